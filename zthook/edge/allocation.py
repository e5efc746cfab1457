"""Who has which public address, or ports of it: pure decisions over a ledger.

A claim is a row. It is granted whole or not at all; one that asks for what another holds
waits in the order of arrival. Of those who wait, the first whose host is leased and whose
way is clear is granted what it asks for (``granting``): whoever waits for more than is free
keeps nothing from others meanwhile.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from zthook.edge.asking import MOST_RAISED, content_of, to_row
from zthook.edge.granting import Granting, waits_for
from zthook.edge.grounds import Ground
from zthook.edge.looks import Older
from zthook.edge.moves import is_elsewhere
from zthook.model.mappings import Claim
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.rows import OCCUPYING, ClaimRow, Content, HostRow, Standing, excluding

Stamp = tuple[int, int]
"""Session and sequence of a message, compared in that order."""


class Allocator(Granting):
    """The decisions of one moment; use it inside one of the ledger's transactions.

    ``leased`` tells whether a host's lease is live, ``now`` is Unix time. Whatever was
    called, ``conclude`` comes last; the book has what was touched. ``incomplete`` is true
    where a claim was taken but its private address not, or it was ``doubted``: whether the
    guest runs there has to be said again, by a host that knows what is known here now.
    """

    def __init__(
        self, ledger: Ledger, ground: Ground | None, leased: Callable[[str], bool], now: float
    ) -> None:
        super().__init__(ledger, ground, leased, now)
        self.incomplete = self.doubted = False
        self._older: Older | None = None

    # What hosts ask for.

    def take_list(
        self, host: HostRow, claims: Sequence[Claim], stamp: Stamp, older: Older | None = None
    ) -> None:
        """Make the host's claims these; what a later reservation asked for stays as it is.

        ``older`` tells of whom it may not know what he said last, None where it does not say.
        """
        self._older = older
        rows = {row.key: row for row in self._ledger.claims_of(host.name)}
        later = {key for key, row in rows.items() if (row.session, row.sequence) > stamp}
        asked = {_key(host, claim): claim for claim in claims}
        for key in rows.keys() - asked.keys() - later:
            self.drop(rows[key])
        unchanged = {
            key for key, claim in asked.items() if self._stands(host, rows.get(key), claim)
        }
        for key in later | unchanged:
            asked.pop(key, None)
        self._unbind(rows, asked)
        for claim in asked.values():
            self._take(host, claim)

    def take_reservation(self, host: HostRow, claims: Iterable[Claim], stamp: Stamp) -> None:
        """Take these claims beside the host's others; no list older than ``stamp`` drops them."""
        for claim in claims:
            self._take(host, claim, stamp)

    def _stands(self, host: HostRow, row: ClaimRow | None, claim: Claim) -> bool:
        """Whether it is held just as it is claimed: most of a list, mostly, and soon seen."""
        return (
            row is not None
            and row.standing is Standing.HOLDING
            and not row.reason
            and claim.epoch <= row.epoch
            and row.saying(_content(row, claim)) == row
            and not self.verdicts.on_claim(host, claim, row)
        )

    def _unbind(self, rows: dict[ClaimKey, ClaimRow], asked: dict[ClaimKey, Claim]) -> None:
        """First free every private address that changes, so that two guests may swap theirs."""
        for key, claim in asked.items():
            row = rows.get(key)
            holds = row is not None and row.standing is Standing.HOLDING
            if row is not None and holds and row.private != _content(row, claim).private:
                self.free(row)
                self.book.put(replace(row, private=None))

    def _take(self, host: HostRow, claim: Claim, stamp: Stamp | None = None) -> None:
        row = self.addressed(self.book.claim(_key(host, claim)) or self._arrival(host, claim))
        if stamp is not None and row.standing is not Standing.HOLDING and self._left(row):
            claim = dataclasses.replace(claim, private=None)  # reserved, it does not run here yet
        if self._is_news(row, claim) or self._may_be_believed(row, claim):
            row = replace(row, heir=self._comes(row, claim))
        why = self.verdicts.on_claim(host, claim, row)
        if stamp is not None:
            row = replace(row, session=stamp[0], sequence=stamp[1])
        if row.standing is Standing.HOLDING:
            self._hold(row, claim, why)
        elif row.standing is Standing.LEAVING:
            after = Standing.REFUSED if why else Standing.WAITING
            self.book.put(replace(row, after=after, then=content_of(claim), reason=why))
        else:
            self.wait(row.saying(content_of(claim)), why)

    def _arrival(self, host: HostRow, claim: Claim) -> ClaimRow:
        """Without its private address: that it has one is news yet."""
        row = to_row(host.name, claim, place=self.book.next_place(), since=self.book.now)
        return replace(row, private=None)

    @staticmethod
    def _is_news(row: ClaimRow, claim: Claim) -> bool:
        """Whether it runs here as of now: a reservation has no private address.

        So it is where the guest had gone to another host and is back.
        """
        returned = row.leaving and not claim.leaving
        return claim.private is not None and (row.private is None or returned)

    def _may_be_believed(self, row: ClaimRow, claim: Claim) -> bool:
        """Whether it says again what may have been doubted."""
        return self._older is not None and claim.private is not None and not row.heir

    def _comes(self, row: ClaimRow, claim: Claim) -> bool:
        """Whether the guest has just come from another host.

        A claim that was shown an epoch is no news: its guest was here before it moved.
        """
        granted = (row.epoch or claim.epoch) and not row.leaving
        left = [] if granted else self._left(row)
        if any(self._may_be_there(one, row) for one in left):
            self.doubted = self.incomplete = True
            return False
        return bool(left)

    def _left(self, row: ClaimRow) -> list[ClaimRow]:
        """Where its guest holds this elsewhere."""
        there = [one for one in self.book.on(row.public) if is_elsewhere(row, one)]
        return [one for one in there if one.standing is Standing.HOLDING]

    def _may_be_there(self, other: ClaimRow, row: ClaimRow) -> bool:
        """Whether the guest may have gone on to where it has this, since ``row`` was said.

        Only within a group: elsewhere that host has to say itself that the guest left it.
        """
        one_group = self._of_one_group(other.host, row.host)
        return one_group and self._older is not None and self._older(other.host)

    def _hold(self, row: ClaimRow, claim: Claim, why: str) -> None:
        content = _content(row, claim)
        if why:
            self.retire(row, Standing.REFUSED, why, then=content)
            return
        if claim.epoch > row.epoch:
            # This store is older than what the host was shown: it came from a backup.
            self._ledger.raise_to("epoch", min(claim.epoch, MOST_RAISED))
            row = replace(row, epoch=self.book.next_epoch())
        bound = row.saying(content)
        others = excluding(bound, self.book.on(row.public))
        if others and (row.mode, row.ports) != (bound.mode, bound.ports):
            self.retire(row, Standing.WAITING, then=content)
        else:
            self._bind(row, bound, others)

    def _bind(self, row: ClaimRow, bound: ClaimRow, others: Sequence[ClaimRow]) -> None:
        """Hold what it now says; the private address only if nobody else has it."""
        moves = (row.private, row.mode) != (bound.private, bound.mode)
        obstacles = [*others, *(self.users(bound) if moves else ())]
        if moves:
            self.free(row)
        if not others and self.move_aside(bound, obstacles):
            self.book.put(replace(bound, reason=""))
        else:
            self.incomplete = True
            self.book.put(replace(bound, private=None, reason=waits_for(obstacles)))
        self.open(row.public)

    # What happens to claims.

    def drop(self, row: ClaimRow) -> None:
        """The claim is no more; where it held, the kernel lets go first."""
        if row.standing in OCCUPYING:
            self.retire(row, None)
        else:
            self.book.drop(row)
            self.open(row.public)

    def release(self, public: str) -> None:
        """End the reservation of an address, and what hosts hold of it that are not here."""
        holders = [row for row in self.book.on(public) if row.standing is Standing.HOLDING]
        here = [row for row in holders if self._leased(row.host)]
        for row in holders:
            if row not in here:
                self.drop(row)
        kept = self._ledger.reservation_on(public)
        if kept is not None and not any((row.guest, row.asked) == kept.key for row in here):
            self._ledger.drop_reservation(kept.key)
            self.book.touched.add(public)
            for row in self.book.on(public):
                self.book.put(self.addressed(row))
        self.open(public)
        self.open("")

    def lease_ended(self, host: str) -> None:
        """What this host holds is claimable now."""
        self.next_hop_moved(host)
        for row in self._ledger.claims_of(host):
            if row.standing is Standing.HOLDING:
                self.open(row.public)
                self.free(row)

    def lease_began(self, host: str) -> None:
        """What this host waits for can be granted again."""
        for row in self._ledger.claims_of(host):
            if row.standing is Standing.WAITING:
                self.open(row.public)

    def next_hop_moved(self, host: str) -> None:
        """What this host holds is reached by another way now, or may be soon."""
        rows = self._ledger.claims_of(host)
        self.book.touched |= {row.public for row in rows if row.standing is Standing.HOLDING}


def _key(host: HostRow, claim: Claim) -> ClaimKey:
    return host.name, str(claim.guest), claim.asked


def _content(row: ClaimRow, claim: Claim) -> Content:
    """What the host says; of a guest that has left it, the private address as it was."""
    content = content_of(claim)
    if claim.leaving and claim.private is None:
        content = replace(content, private=row.private)
    return content

"""Who has which public address: pure decisions over a ledger.

A claim is a row. It waits in the order of arrival; the first whose host is leased, and
whose way is clear, holds. In the way are another holder of the public address, and another
holder that uses the private one. They are moved aside where their host's lease has ended,
or where the same guest arrives from another host of its migration group. Who is moved
aside is LEAVING until the kernel let go; only then (``finish``) the next one is granted.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from zthook.edge.asking import MOST_RAISED, content_of, from_row, to_row
from zthook.edge.grounds import Ground, objection, private_prefixes
from zthook.model.addresses import IPNetwork
from zthook.model.mappings import Claim
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.rows import OCCUPYING, ClaimRow, HostRow, Standing

Stamp = tuple[int, int]
"""Session and sequence of a message, compared in that order."""


class Allocator:
    """The decisions of one moment; use it inside one of the ledger's transactions.

    ``leased`` tells whether a host's lease is live, ``now`` is Unix time. Whatever was
    called, ``conclude`` comes last. ``touched`` has every public address where a row
    changed. ``incomplete`` is true where a claim was taken but its private address not.
    """

    def __init__(
        self, ledger: Ledger, ground: Ground, leased: Callable[[str], bool], now: float
    ) -> None:
        self._ledger = ledger
        self._ground = ground
        self._leased = leased
        self._now = now
        self._prefixes: dict[str, tuple[IPNetwork, ...]] = {}
        # Ordered sets: what is to be decided anew in ``conclude``.
        self._open: dict[str, None] = {}
        self._freed: dict[str, None] = {}
        self.touched: set[str] = set()
        self.incomplete = False

    # What hosts ask for.

    def take_list(self, host: HostRow, claims: Sequence[Claim], stamp: Stamp) -> None:
        """Make the host's claims these; what a later reservation asked for stays as it is."""
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
            and row.saying(content_of(claim)) == row
            and not objection(claim, host, self._prefixes_of(host), self._ground)
        )

    def _unbind(self, rows: dict[ClaimKey, ClaimRow], asked: dict[ClaimKey, Claim]) -> None:
        """First free every private address that changes, so that two guests may swap theirs."""
        for key, claim in asked.items():
            row = rows.get(key)
            if row is not None and row.standing is Standing.HOLDING and _moves(row, claim):
                self._free(row)
                self._put(replace(row, private=None))

    def _take(self, host: HostRow, claim: Claim, stamp: Stamp | None = None) -> None:
        row = self._ledger.claim(_key(host, claim)) or self._arrival(host, claim)
        if row.private is None and claim.private is not None:
            row = replace(row, heir=self._inherits(row, claim))
        why = self._objection(host, claim)
        if stamp is not None:
            row = replace(row, session=stamp[0], sequence=stamp[1])
        if row.standing is Standing.HOLDING:
            self._hold(row, claim, why)
        elif row.standing is Standing.LEAVING:
            after = Standing.REFUSED if why else Standing.WAITING
            self._put(replace(row.saying(content_of(claim)), after=after, reason=why))
        else:
            self._wait(row.saying(content_of(claim)), why)

    def _arrival(self, host: HostRow, claim: Claim) -> ClaimRow:
        row = to_row(host.name, claim, place=self._ledger.next("place"), since=self._now)
        return replace(row, private=None)

    def _inherits(self, row: ClaimRow, claim: Claim) -> bool:
        """Whether the guest has just come from another host of its group.

        A private address tells that it runs here: a reservation has none. A claim that was
        shown an epoch is no news: its guest was here before it moved.
        """
        holder = self._holder(row.public)
        granted = row.epoch or claim.epoch
        return holder is not None and not granted and self._may_inherit(row, holder)

    def _wait(self, row: ClaimRow, why: str) -> None:
        if why:
            self._put(replace(row, standing=Standing.REFUSED, reason=why, heir=False))
            return
        if row.standing is Standing.REFUSED:
            row = replace(row, place=self._ledger.next("place"))
            row = replace(row, standing=Standing.WAITING, reason="")
        self._put(row)
        self._open[row.public] = None

    def _hold(self, row: ClaimRow, claim: Claim, why: str) -> None:
        if why:
            self._free(row)
            self._retire(row.saying(content_of(claim)), Standing.REFUSED, why)
            return
        if claim.epoch > row.epoch:
            # This store is older than what the host was shown: it came from a backup.
            self._ledger.raise_to("epoch", min(claim.epoch, MOST_RAISED))
            row = replace(row, epoch=self._ledger.next("epoch"))
        bound = row.saying(content_of(claim))
        obstacles = self._users(bound) if _moves(row, claim) else []
        if _moves(row, claim):
            self._free(row)
        if self._move_aside(bound, obstacles):
            self._put(replace(bound, reason=""))
        else:
            self.incomplete = True
            self._put(replace(bound, private=None, reason=_waits_for(obstacles)))

    # What happens to claims.

    def drop(self, row: ClaimRow) -> None:
        """The claim is no more; where it held, the kernel lets go first."""
        if row.standing in OCCUPYING:
            self._retire(row, None)
        else:
            self._ledger.drop_claim(row.key)
            self.touched.add(row.public)

    def finish(self, row: ClaimRow) -> None:
        """The kernel let go of a LEAVING row: it becomes what it was to become after."""
        if row.after is None:
            self._ledger.drop_claim(row.key)
            self.touched.add(row.public)
        else:
            place = self._ledger.next("place")
            self._put(replace(row, standing=row.after, after=None, place=place))
        self._open[row.public] = None

    def lease_ended(self, host: str) -> None:
        """What this host holds is claimable now."""
        for row in self._ledger.claims_of(host):
            if row.standing is Standing.HOLDING:
                self._open[row.public] = None
                self._free(row)

    def lease_began(self, host: str) -> None:
        """What this host waits for can be granted again."""
        for row in self._ledger.claims_of(host):
            if row.standing is Standing.WAITING:
                self._open[row.public] = None

    def next_hop_moved(self, host: str) -> None:
        """What this host holds is reached by another way now."""
        rows = self._ledger.claims_of(host)
        self.touched |= {row.public for row in rows if row.standing is Standing.HOLDING}

    def judge(self, row: ClaimRow) -> None:
        """Decide anew whether the claim can be granted at all: pools or prefixes changed."""
        why = self._why_not(row)
        if row.standing is Standing.HOLDING and why:
            self._retire(row, Standing.REFUSED, why)
        elif row.standing in (Standing.WAITING, Standing.REFUSED):
            self._wait(row, why)

    def conclude(self) -> None:
        """Grant what can be granted now, where anything changed."""
        while self._freed or self._open:
            if self._freed:
                self._reconsider(_first(self._freed))
            else:
                self._settle(_first(self._open))

    def _reconsider(self, private: str) -> None:
        for row in self._ledger.claims_using(private):
            if row.standing is Standing.REFUSED:
                self.judge(row)
            elif row.standing is Standing.WAITING:
                self._open[row.public] = None

    def _settle(self, public: str) -> None:
        rows = self._ledger.claims_on(public)
        holder = next((row for row in rows if row.standing in OCCUPYING), None)
        if holder is not None and holder.standing is Standing.LEAVING:
            return
        waiting = [row for row in rows if row.standing is Standing.WAITING]
        for row in sorted(waiting, key=lambda row: (not row.heir, row.place)):
            if self._leased(row.host) and self._try(row, holder):
                return

    def _try(self, row: ClaimRow, holder: ClaimRow | None) -> bool:
        """Whether the address goes to this row, now or once the kernel let go of its holder."""
        why = self._why_not(row)
        if why:
            self._wait(row, why)
            return False
        users = self._users(row)
        if not self._move_aside(row, [holder, *users] if holder else users):
            self._put(replace(row, reason=_waits_for(users)))
            return False
        if holder is None:
            epoch = self._ledger.next("epoch")
            self._put(replace(row, standing=Standing.HOLDING, epoch=epoch, heir=False, reason=""))
        return True

    def _move_aside(self, row: ClaimRow, obstacles: Sequence[ClaimRow]) -> bool:
        """Retire all that is in the row's way, or nothing where some of it has to stay."""
        if not all(self._gives_way(other, row) for other in obstacles):
            return False
        for other in obstacles:
            self._retire(other, Standing.WAITING)
        return True

    def _gives_way(self, other: ClaimRow, row: ClaimRow) -> bool:
        return not self._leased(other.host) or (row.heir and self._may_inherit(row, other))

    def _retire(self, row: ClaimRow, after: Standing | None, reason: str = "") -> None:
        self._free(row)
        self._put(replace(row, standing=Standing.LEAVING, after=after, reason=reason))

    # What is so.

    def _may_inherit(self, row: ClaimRow, other: ClaimRow) -> bool:
        """Whether ``row`` is the same guest on another host of one migration group."""
        if row.guest != other.guest or row.host == other.host:
            return False
        here, there = self._ledger.host(row.host), self._ledger.host(other.host)
        return bool(here and there and here.group and here.group == there.group)

    def _holder(self, public: str) -> ClaimRow | None:
        rows = self._ledger.claims_on(public)
        return next((row for row in rows if row.standing is Standing.HOLDING), None)

    def _users(self, row: ClaimRow) -> list[ClaimRow]:
        """Who else holds a mapping to this private address: another guest, or another host."""
        if row.private is None:
            return []
        return [
            other
            for other in self._ledger.claims_using(row.private)
            if other.standing is Standing.HOLDING
            and (other.guest, other.host) != (row.guest, row.host)
        ]

    def _why_not(self, row: ClaimRow) -> str:
        host = self._ledger.host(row.host)
        return self._objection(host, from_row(row)) if host is not None else "its host is gone"

    def _objection(self, host: HostRow, claim: Claim) -> str:
        prefixes = self._prefixes_of(host)
        return objection(claim, host, prefixes, self._ground) or self._used_by(host, claim)

    def _prefixes_of(self, host: HostRow) -> tuple[IPNetwork, ...]:
        if host.name not in self._prefixes:
            self._prefixes[host.name] = private_prefixes(host, self._ground.connected)
        return self._prefixes[host.name]

    def _used_by(self, host: HostRow, claim: Claim) -> str:
        """In nat mode a private address is one guest's: why this one can not have it."""
        if claim.private is None:
            return ""
        for other in self._ledger.claims_using(str(claim.private)):
            held = other.standing is Standing.HOLDING and self._leased(other.host)
            if held and other.guest != str(claim.guest):
                advice = (
                    "give one of them another address"
                    if other.host == host.name
                    else 'give one of them another address, or use mode="routed"'
                )
                return f"{claim.private} is used by {other.name} on {other.host}; {advice}"
        return ""

    # Rows.

    def _free(self, row: ClaimRow) -> None:
        if row.private is not None:
            self._freed[row.private] = None

    def _put(self, row: ClaimRow) -> None:
        old = self._ledger.claim(row.key)
        if old is None or _face(old) != _face(row):
            row = replace(row, since=self._now)
        if row != old:
            self._ledger.put_claim(row)
            self.touched.add(row.public)


def _key(host: HostRow, claim: Claim) -> ClaimKey:
    return host.name, str(claim.guest), claim.asked


def _moves(row: ClaimRow, claim: Claim) -> bool:
    return row.private != (None if claim.private is None else str(claim.private))


def _face(row: ClaimRow) -> tuple[Standing, str, str | None]:
    return row.standing, row.reason, row.private


def _waits_for(rows: Sequence[ClaimRow]) -> str:
    hosts = ", ".join(sorted({row.host for row in rows}))
    return f"waits for {hosts} to let go" if rows else ""


def _first(ordered: dict[str, None]) -> str:
    found = next(iter(ordered))
    del ordered[found]
    return found

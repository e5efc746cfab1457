"""Who gets an address, or ports of it, of all who wait: decided where anything changed.

In the way of a claim are those that hold what it asks for, and, in nat mode, those that use
its private address. They are moved aside where their host's lease has ended, or where the
same guest has come from there. Who is moved aside is LEAVING until the kernel let go; only
then (``finish``) the next one is granted. But where the same guest's claim takes its very
place (``moves.goes_on``) the one ends and the other holds in one transaction.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from zthook.edge.moves import goes_on, is_elsewhere
from zthook.edge.standings import Standings
from zthook.store.rows import ClaimRow, Standing, excluding


class Granting(Standings):
    """``conclude`` grants what can be granted."""

    def conclude(self) -> None:
        """Grant what can be granted now, where anything changed."""
        if self._blind:
            return
        while self._freed or self._open or self._autos_due:
            if self._freed:
                self._reconsider(_first(self._freed))
            elif self._open:
                self._settle(_first(self._open))
            else:
                self._serve_autos()

    def _reconsider(self, private: str) -> None:
        for row in self._ledger.claims_using(private):
            if row.standing is Standing.REFUSED:
                self.judge(row)
            elif row.standing is Standing.WAITING:
                self.open(row.public)

    def _settle(self, public: str) -> None:
        for row in self.book.on(public):
            if row.standing is Standing.LEAVING:
                self._hand_over(row)
        ahead: list[ClaimRow] = []
        for row in self._queue(public):
            if not any(row.excludes(other) for other in ahead) and self._is_next(row):
                ahead.append(row)
        if self._is_free(public):
            self.open("")

    def _queue(self, public: str) -> list[ClaimRow]:
        waiting = [
            row
            for row in self.book.on(public)
            if row.standing is Standing.WAITING and not row.leaving and self._leased(row.host)
        ]
        return sorted(waiting, key=lambda row: (not row.heir, row.place))

    def _is_free(self, public: str) -> bool:
        claimed = any(row.standing is not Standing.REFUSED for row in self.book.on(public))
        return not claimed and self._ledger.reservation_on(public) is None

    def _is_next(self, row: ClaimRow) -> bool:
        """Grant it where its way is clear; whether it only waits for the kernel to let go.

        Then none of those behind it may have what it is about to have.
        """
        why = self.verdicts.on_row(row)
        if why:
            self.wait(row, why)
            return False
        before, users = excluding(row, self.book.on(row.public)), self.users(row)
        holders = [other for other in before if other.standing is Standing.HOLDING]
        clear = all(self._gives_way(other, row) for other in (*holders, *users))
        if not clear or self.reservations.is_for_another(row):
            self.book.put(replace(row, reason=waits_for(users)))
            return False
        strangers = [other for other in holders if not goes_on(other, row)]
        for other in strangers:
            self._make_way(other, row)
        if strangers or holders != before:
            return True
        for other in users:
            self._yield(other, row)
        if holders:
            self._pass_on(holders[0], row)
        else:
            self._grant(row)
        return False

    def _grant(self, row: ClaimRow) -> None:
        epoch = self.book.next_epoch()
        self.book.put(replace(row, standing=Standing.HOLDING, epoch=epoch, heir=False, reason=""))

    def _serve_autos(self) -> None:
        """Choose addresses for those who leave it to the edge, in the order of arrival."""
        self._autos_due = False
        self.reservations.look_again()
        for row in self._queue(""):
            host, why = self._ledger.host(row.host), self.verdicts.on_row(row)
            if why or host is None:
                self.wait(row, why)
                continue
            public = self.addressed(row).public or self.reservations.reserve(row, host)
            reason = "" if public else self.reservations.why_none(row, host)
            self.book.put(replace(row, public=public, reason=reason))
            if public:
                self.open(public)

    # One guest from host to host.

    def move_aside(self, row: ClaimRow, obstacles: Sequence[ClaimRow]) -> bool:
        """Retire all that is in the row's way, or nothing where some of it has to stay."""
        if not all(self._gives_way(other, row) for other in obstacles):
            return False
        for other in obstacles:
            self._yield(other, row)
        return True

    def _gives_way(self, other: ClaimRow, row: ClaimRow) -> bool:
        """Whether ``row`` may have what ``other`` has: its host is gone, or its guest is.

        That the guest left its own host says, and then it is wherever another one says that
        it runs; of hosts in one group it is enough that it has just come to the other one.
        """
        if not self._leased(other.host):
            return True
        if row.private is None or not is_elsewhere(row, other):
            return False
        return other.leaving or (row.heir and self._of_one_group(row.host, other.host))

    def _of_one_group(self, one: str, other: str) -> bool:
        here, there = self._ledger.host(one), self._ledger.host(other)
        return bool(here and there and here.group and here.group == there.group)

    def _hand_over(self, old: ClaimRow) -> None:
        """What is let go goes to the same guest elsewhere, before all others who want it."""
        queue = self._queue(old.public)
        heirs = [one for one in queue if is_elsewhere(old, one) and not self.verdicts.on_row(one)]
        for row in heirs:
            if self._can_follow(old, row):
                for other in self.users(row):
                    self._yield(other, row)
                self._pass_on(old, row)
                return
        if heirs and heirs[0] != queue[0]:
            self.book.put(replace(heirs[0], place=queue[0].place - 1))

    def _can_follow(self, old: ClaimRow, row: ClaimRow) -> bool:
        """Whether ``row`` takes the place of ``old``, and nothing else is in its way."""
        return (
            goes_on(old, row)
            and [one.key for one in excluding(row, self.book.on(row.public))] == [old.key]
            and not self.reservations.is_for_another(row)
            and all(self._gives_way(other, row) for other in self.users(row))
        )

    def _yield(self, other: ClaimRow, row: ClaimRow) -> None:
        """Move it aside; where its guest claims the same from the host of ``row``, to that."""
        heirs = (one for one in self._queue(other.public) if one.host == row.host)
        heir = next((one for one in heirs if self._can_succeed(other, one)), None)
        if heir is None:
            self._make_way(other, row)
        else:
            self._pass_on(other, heir)

    def _make_way(self, other: ClaimRow, row: ClaimRow) -> None:
        """It waits again, so that ``row`` can have what it asks for."""
        before, self.book.cause = self.book.cause, f"for {row.name} on {row.host}"
        self.retire(other, Standing.WAITING)
        self.book.cause = before

    def _can_succeed(self, old: ClaimRow, row: ClaimRow) -> bool:
        """As ``_can_follow``, of an address beside the one that is decided about: who uses the
        private address is being moved aside already.
        """
        return (
            goes_on(old, row)
            and [one.key for one in excluding(row, self.book.on(row.public))] == [old.key]
            and not self.reservations.is_for_another(row)
            and not self.verdicts.on_row(row)
        )

    def _pass_on(self, old: ClaimRow, new: ClaimRow) -> None:
        """``new`` has what ``old`` had, from one moment to the next."""
        if old.standing is Standing.LEAVING:
            self.finish(old)
        else:
            place = self.book.next_place()
            self.book.put(replace(old, standing=Standing.WAITING, place=place, reason=""))
        self.free(new)  # it is used from another host now
        self._grant(new)


def waits_for(rows: Sequence[ClaimRow]) -> str:
    """What a claim is told that these are in the way of."""
    hosts = ", ".join(sorted({row.host for row in rows}))
    return f"waits for {hosts} to let go" if rows else ""


def _first(ordered: dict[str, None]) -> str:
    found = next(iter(ordered))
    del ordered[found]
    return found

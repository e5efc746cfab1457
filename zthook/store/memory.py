"""A ledger that forgets when the process ends: for tests."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from zthook.errors import StoreError
from zthook.store import events
from zthook.store.events import EventRow, Wanted
from zthook.store.ledger import ClaimKey, ReservationKey
from zthook.store.rows import (
    OCCUPYING,
    ClaimRow,
    HostRow,
    InvitationRow,
    ReservationRow,
    Standing,
    check_alone,
)


class MemoryLedger:
    """A ``Ledger`` in dictionaries, with the same rules as the one on disk."""

    def __init__(self) -> None:
        self.fault = ""
        self._hosts: dict[str, HostRow] = {}
        self._invitations: dict[str, InvitationRow] = {}
        self._claims: dict[ClaimKey, ClaimRow] = {}
        self._reservations: dict[ReservationKey, ReservationRow] = {}
        self._counters: dict[str, int] = {}
        self._events: dict[int, EventRow] = {}
        self._inside = False
        self.changes = 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self._inside:
            raise StoreError("a transaction is open already")
        kept = [dict(table) for table in self._tables()]
        self._inside = True
        try:
            yield
            self._commit(kept)
        except BaseException:
            for table, before in zip(self._tables(), kept, strict=True):
                table.clear()
                table.update(before)
            raise
        finally:
            self._inside = False

    def _commit(self, before: object) -> None:
        try:
            self.commit()
        except StoreError as error:
            self.fault = error.message
            raise
        if self._tables() != before:
            self.fault = ""

    def commit(self) -> None:
        """Nothing to do here; tests override it to fail."""

    def close(self) -> None:
        pass

    def _tables(self) -> list[dict[Any, Any]]:
        return [
            self._hosts,
            self._invitations,
            self._claims,
            self._reservations,
            self._counters,
            self._events,
        ]

    def _write(self) -> None:
        if not self._inside:
            raise StoreError("a change outside of a transaction")
        self.changes += 1

    def next(self, counter: str) -> int:
        self._write()
        self._counters[counter] = self._counters.get(counter, 0) + 1
        return self._counters[counter]

    def raise_to(self, counter: str, value: int) -> None:
        self._write()
        self._counters[counter] = max(self._counters.get(counter, 0), value)

    def hosts(self) -> list[HostRow]:
        return [self._hosts[name] for name in sorted(self._hosts)]

    def host(self, name: str) -> HostRow | None:
        return self._hosts.get(name)

    def host_with(self, credential: str) -> HostRow | None:
        found = (row for row in self._hosts.values() if row.credential == credential)
        return next(found, None)

    def put_host(self, row: HostRow) -> None:
        self._write()
        self._hosts[row.name] = row

    def drop_host(self, name: str) -> None:
        self._write()
        self._hosts.pop(name, None)

    def invitations(self) -> list[InvitationRow]:
        return sorted(self._invitations.values(), key=lambda row: (row.host, row.expires))

    def invitation(self, secret: str) -> InvitationRow | None:
        return self._invitations.get(secret)

    def put_invitation(self, row: InvitationRow) -> None:
        self._write()
        self._invitations[row.secret] = row

    def drop_invitation(self, secret: str) -> None:
        self._write()
        self._invitations.pop(secret, None)

    def _chosen(self, chosen: Callable[[ClaimRow], bool]) -> list[ClaimRow]:
        return sorted(filter(chosen, self._claims.values()), key=lambda row: row.place)

    def claim(self, key: ClaimKey) -> ClaimRow | None:
        return self._claims.get(key)

    def claims(self, standing: Standing | None = None) -> list[ClaimRow]:
        rows = self._chosen(lambda row: standing in (None, row.standing))
        return sorted(rows, key=lambda row: row.public)

    def each_claim(self, standing: Standing | None = None) -> Iterator[ClaimRow]:
        return iter(self.claims(standing))

    def claims_on(self, public: str) -> list[ClaimRow]:
        return self._chosen(lambda row: row.public == public)

    def claims_of(self, host: str) -> list[ClaimRow]:
        return self._chosen(lambda row: row.host == host)

    def claims_of_guest(self, guest: str) -> list[ClaimRow]:
        return self._chosen(lambda row: row.guest == guest)

    def guests_of_several(self) -> list[str]:
        pairs = {(row.guest, row.host) for row in self._claims.values()}
        counted = Counter(guest for guest, _ in pairs)
        return [guest for guest, hosts in counted.items() if hosts > 1]

    def claims_using(self, private: str) -> list[ClaimRow]:
        return self._chosen(lambda row: row.private == private)

    def shared_privates(self) -> set[str]:
        counted = Counter(row.private for row in self._claims.values() if row.private)
        return {private for private, claims in counted.items() if claims > 1}

    def put_claim(self, row: ClaimRow) -> None:
        self._write()
        if row.standing in OCCUPYING:
            check_alone(row, self.claims_on(row.public))
        self._claims[row.key] = row

    def drop_claim(self, key: ClaimKey) -> None:
        self._write()
        self._claims.pop(key, None)

    def reservations(self) -> list[ReservationRow]:
        return sorted(self._reservations.values(), key=lambda row: row.public)

    def reservation(self, key: ReservationKey) -> ReservationRow | None:
        return self._reservations.get(key)

    def reservation_on(self, public: str) -> ReservationRow | None:
        found = (row for row in self._reservations.values() if row.public == public)
        return next(found, None)

    def put_reservation(self, row: ReservationRow) -> None:
        self._write()
        other = self.reservation_on(row.public)
        if other is not None and other.key != row.key:
            raise StoreError(f"{row.public} is reserved for {other.name} already")
        self._reservations[row.key] = row

    def drop_reservation(self, key: ReservationKey) -> None:
        self._write()
        self._reservations.pop(key, None)

    def taken(self) -> set[str]:
        claims = (row for row in self._claims.values() if row.standing is not Standing.REFUSED)
        return {
            *(row.public for row in claims if row.public),
            *(row.public for row in self._reservations.values()),
        }

    def note(self, row: EventRow) -> None:
        self._write()
        self._events[max(self._events, default=0) + 1] = row
        same = [number for number, one in self._events.items() if one.share == row.share]
        for number in same[: -events.MOST_OF_ONE]:
            del self._events[number]
        for number in list(self._events)[: -events.MOST_EVENTS]:
            del self._events[number]

    def events(self, wanted: Wanted) -> list[EventRow]:
        found = [row for row in self._events.values() if wanted.fits(row)]
        return found[max(0, len(found) - wanted.most) :]

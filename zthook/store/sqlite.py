"""The ledger on disk: SQLite, each transaction durable before it ends."""

from collections.abc import Iterator

import msgspec

from zthook.store import events
from zthook.store.events import EventRow, Wanted
from zthook.store.file import StoreFile, Value
from zthook.store.ledger import ClaimKey, ReservationKey
from zthook.store.rows import (
    OCCUPYING,
    ClaimRow,
    HostRow,
    InvitationRow,
    ReservationRow,
    Row,
    Standing,
    check_alone,
)


class SqliteLedger(StoreFile):
    """A ``Ledger`` in one file."""

    def next(self, counter: str) -> int:
        self._write(
            "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
            counter,
        )
        with self._explained():
            (value,) = self._link.execute(
                "SELECT value FROM counters WHERE name = ?", (counter,)
            ).fetchone()
        return int(value)

    def raise_to(self, counter: str, value: int) -> None:
        self._write(
            "INSERT INTO counters VALUES (?1, ?2) "
            "ON CONFLICT (name) DO UPDATE SET value = max(value, ?2)",
            counter,
            value,
        )

    def hosts(self) -> list[HostRow]:
        return self._rows(HostRow, "ORDER BY name")

    def host(self, name: str) -> HostRow | None:
        known = self._hosts.get(name)
        if known is None:
            known = self._row(HostRow, "WHERE name = ?", name)
            if known is not None:
                self._hosts[name] = known
        return known

    def host_with(self, credential: str) -> HostRow | None:
        known = self._hosts.get(self._named.get(credential, ""))
        if known is None or known.credential != credential:
            known = self._row(HostRow, "WHERE credential = ?", credential)
            if known is not None:
                self._hosts[known.name], self._named[credential] = known, known.name
        return known

    def put_host(self, row: HostRow) -> None:
        self._hosts.pop(row.name, None)
        self._write(
            "INSERT INTO hosts VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET credential = ?2, row = ?3",
            row.name,
            row.credential,
            _text(row),
        )

    def drop_host(self, name: str) -> None:
        self._hosts.pop(name, None)
        self._write("DELETE FROM hosts WHERE name = ?", name)

    def invitations(self) -> list[InvitationRow]:
        return self._rows(InvitationRow, "ORDER BY host, expires")

    def invitation(self, secret: str) -> InvitationRow | None:
        return self._row(InvitationRow, "WHERE secret = ?", secret)

    def put_invitation(self, row: InvitationRow) -> None:
        self._write(
            "INSERT OR REPLACE INTO invitations VALUES (?, ?, ?, ?)",
            row.secret,
            row.host,
            row.expires,
            _text(row),
        )

    def drop_invitation(self, secret: str) -> None:
        self._write("DELETE FROM invitations WHERE secret = ?", secret)

    def claim(self, key: ClaimKey) -> ClaimRow | None:
        return self._row(ClaimRow, "WHERE host = ? AND guest = ? AND asked = ?", *key)

    def claims(self, standing: Standing | None = None) -> list[ClaimRow]:
        if standing is None:
            return self._rows(ClaimRow, "ORDER BY public, place")
        return self._rows(ClaimRow, "WHERE standing = ? ORDER BY public, place", standing)

    def each_claim(self, standing: Standing | None = None) -> Iterator[ClaimRow]:
        if standing is None:
            return self._each(ClaimRow, "")
        return self._each(ClaimRow, "WHERE standing = ?", standing)

    def claims_on(self, public: str) -> list[ClaimRow]:
        return self._rows(ClaimRow, "WHERE public = ? ORDER BY place", public)

    def claims_of(self, host: str) -> list[ClaimRow]:
        return self._rows(ClaimRow, "WHERE host = ? ORDER BY place", host)

    def claims_of_guest(self, guest: str) -> list[ClaimRow]:
        return self._rows(ClaimRow, "WHERE guest = ? ORDER BY place", guest)

    def guests_of_several(self) -> list[str]:
        with self._explained():
            found = self._link.execute(
                "SELECT guest FROM claims GROUP BY guest HAVING min(host) <> max(host)"
            )
            return [guest for (guest,) in found]

    def claims_using(self, private: str) -> list[ClaimRow]:
        return self._rows(ClaimRow, "WHERE private = ? ORDER BY place", private)

    def shared_privates(self) -> set[str]:
        with self._explained():
            found = self._link.execute(
                "SELECT private FROM claims WHERE private IS NOT NULL "
                "GROUP BY private HAVING count(*) > 1"
            )
            return {private for (private,) in found}

    def put_claim(self, row: ClaimRow) -> None:
        if row.standing in OCCUPYING:
            check_alone(row, self.claims_on(row.public))
        self._write(
            "INSERT INTO claims VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
            "ON CONFLICT (host, guest, asked) "
            "DO UPDATE SET public = ?4, private = ?5, standing = ?6, place = ?7, row = ?8",
            *row.key,
            row.public,
            row.private,
            row.standing,
            row.place,
            _text(row),
        )

    def drop_claim(self, key: ClaimKey) -> None:
        self._write("DELETE FROM claims WHERE host = ? AND guest = ? AND asked = ?", *key)

    def reservations(self) -> list[ReservationRow]:
        return self._rows(ReservationRow, "ORDER BY public")

    def reservation(self, key: ReservationKey) -> ReservationRow | None:
        return self._row(ReservationRow, "WHERE guest = ? AND asked = ?", *key)

    def reservation_on(self, public: str) -> ReservationRow | None:
        return self._row(ReservationRow, "WHERE public = ?", public)

    def put_reservation(self, row: ReservationRow) -> None:
        self._write(
            "INSERT INTO reservations VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (guest, asked) DO UPDATE SET public = ?3, row = ?4",
            *row.key,
            row.public,
            _text(row),
        )

    def drop_reservation(self, key: ReservationKey) -> None:
        self._write("DELETE FROM reservations WHERE guest = ? AND asked = ?", *key)

    def taken(self) -> set[str]:
        with self._explained():
            found = self._link.execute(
                "SELECT public FROM claims WHERE standing <> ? "
                "UNION SELECT public FROM reservations",
                (Standing.REFUSED,),
            )
            return {public for (public,) in found} - {""}

    def note(self, row: EventRow) -> None:
        self._write(
            "INSERT INTO events (at, public, host, guest, name, share, nth, row) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
            "1 + COALESCE((SELECT max(nth) FROM events WHERE share = ?6), 0), ?7)",
            *(row.at, row.public, row.host, row.guest, row.name, row.share, _text(row)),
        )
        self._drop_events(
            "share = ?1 AND nth <= (SELECT max(nth) FROM events WHERE share = ?1) - ?2",
            *(row.share, events.MOST_OF_ONE),
        )
        excess = self.next("events") - events.MOST_EVENTS
        if excess > 0:
            self._drop_events(
                "number IN (SELECT number FROM events ORDER BY number LIMIT ?)", excess
            )

    def _drop_events(self, which: str, *values: Value) -> None:
        """How many are left is a counter: counting them would cost each line all others."""
        dropped = self._write(f"DELETE FROM events WHERE {which}", *values)  # noqa: S608
        if dropped:
            self._write("UPDATE counters SET value = value - ? WHERE name = 'events'", dropped)

    def events(self, wanted: Wanted) -> list[EventRow]:
        found = self._rows(
            EventRow,
            "WHERE (?1 = '' OR public = ?1) AND (?2 = '' OR host = ?2) "
            "AND (?3 = '' OR guest = ?3 OR name = ?3) AND at >= ?4 "
            "ORDER BY number DESC LIMIT ?5",
            *(wanted.public, wanted.host, wanted.guest, wanted.since, wanted.most),
        )
        return found[::-1]


def _text(row: Row) -> str:
    return msgspec.json.encode(row).decode()

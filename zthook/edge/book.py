"""The claims that one transaction decides about."""

from msgspec.structs import replace

from zthook.edge.trail import Change
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.rows import ClaimRow, Standing


class Book:
    """Reads each address's claims once, writes through, and notes what changed.

    ``now`` is Unix time. ``touched`` has every public address where a row changed, and ""
    where one without an address did; ``guests`` and ``hosts`` whose rows did. ``cause`` is why
    rows change from now on, for the audit trail, where they do not say it themselves.
    """

    def __init__(self, ledger: Ledger, now: float) -> None:
        self.now = now
        self.touched: set[str] = set()
        self.guests: set[str] = set()
        self.hosts: set[str] = set()
        self.cause = ""
        self._ledger = ledger
        self._pages: dict[str, dict[ClaimKey, ClaimRow]] = {}
        self._before: dict[ClaimKey, tuple[ClaimRow | None, str]] = {}

    def changes(self) -> list[Change]:
        """What became of every row that was written, each once."""
        return [
            Change(before, self._ledger.claim(key), cause)
            for key, (before, cause) in self._before.items()
        ]

    def claim(self, key: ClaimKey) -> ClaimRow | None:
        """The row as it is now."""
        return self._ledger.claim(key)

    def on(self, public: str) -> list[ClaimRow]:
        """All of this public address; "": every ``auto`` without one."""
        return list(self._page(public).values())

    def next_place(self) -> int:
        """A place behind all others."""
        return self._ledger.next("place")

    def next_epoch(self) -> int:
        """The fencing number of a grant."""
        return self._ledger.next("epoch")

    def put(self, row: ClaimRow) -> None:
        """Keep it, if it is another than before; ``since`` is set where its face changed."""
        old = self._ledger.claim(row.key)
        if old is None or _face(old) != _face(row):
            row = replace(row, since=self.now)
        if row == old:
            return
        self._before.setdefault(row.key, (old, self.cause))
        if old is not None:
            self._forget(old)
        self._ledger.put_claim(row)
        self._note(row)
        if row.public in self._pages:
            self._pages[row.public][row.key] = row

    def drop(self, row: ClaimRow) -> None:
        """The claim is no more."""
        self._before.setdefault(row.key, (self._ledger.claim(row.key), self.cause))
        self._ledger.drop_claim(row.key)
        self._forget(row)

    def _forget(self, row: ClaimRow) -> None:
        self._note(row)
        if row.public in self._pages:
            self._pages[row.public].pop(row.key, None)

    def _note(self, row: ClaimRow) -> None:
        self.touched.add(row.public)
        self.guests.add(row.guest)
        self.hosts.add(row.host)

    def _page(self, public: str) -> dict[ClaimKey, ClaimRow]:
        if public not in self._pages:
            self._pages[public] = {row.key: row for row in self._ledger.claims_on(public)}
        return self._pages[public]


def _face(row: ClaimRow) -> tuple[Standing, str, str, str | None]:
    return row.standing, row.reason, row.public, row.private

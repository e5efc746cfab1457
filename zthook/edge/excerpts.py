"""A part of the mappings: those that fit, so many of them. What it costs is what it looks at."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from zthook.edge import reports
from zthook.edge.outlook import Outlook
from zthook.edge.views import MappingView, State, TrafficView, View
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, ReservationRow, Standing

Found = ClaimRow | ReservationRow
_UNKNOWN = (9, b"", 0)
"""Those without an address come last."""
_STANDINGS: Mapping[State | None, Sequence[Standing | None]] = {
    None: (None,),
    "active": (Standing.HOLDING,),
    "pending": (Standing.HOLDING, Standing.WAITING, Standing.LEAVING),
    "conflict": (Standing.WAITING, Standing.LEAVING),
    "refused": (Standing.REFUSED, Standing.LEAVING),
    "withdrawn": (Standing.LEAVING,),
    "reserved": (),
}
"""Who may be seen in a state stands so: to say what state a claim is in takes much longer."""
_ELSEWHERE = (Standing.WAITING, Standing.REFUSED, Standing.LEAVING)


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which mappings: ``most`` of those that fit, from number ``first`` on.

    ``text`` is a part of an address, of a guest's or host's name, or a whole UUID.
    """

    text: str = ""
    state: State | None = None
    first: int = 0
    most: int = 50

    def matches(self, *words: str | None) -> bool:
        """Whether one of these words has ``text`` in it."""
        return not self.text or any(self.text in word.lower() for word in words if word)


class Excerpt(View, frozen=True):
    """``found`` fit altogether; ``mappings`` are those from ``first`` on."""

    mappings: list[MappingView]
    found: int
    first: int


def excerpt(
    ledger: Ledger,
    outlook: Outlook,
    traffic: Mapping[tuple[str, str], TrafficView],
    asked: Asked,
) -> Excerpt:
    """By public address as a number, then by place. Where there is no such page, the last."""
    rows = sorted(_fitting(ledger, outlook, asked), key=_place)
    first = asked.first if asked.first < len(rows) else _last_page(len(rows), asked.most)
    shown = rows[first : first + asked.most]
    return Excerpt(
        mappings=[reports.mapping_view(row, outlook, traffic) for row in shown],
        found=len(rows),
        first=first,
    )


def troubled(ledger: Ledger, outlook: Outlook, most: int) -> list[MappingView]:
    """Claims that conflict or are refused, ``most`` of them; what is held is not looked at."""
    rows = (row for standing in _ELSEWHERE for row in ledger.each_claim(standing))
    states = ((row, outlook.sight(row).state.value) for row in list(rows))
    found = (row for row, state in states if state in {"conflict", "refused"})
    return [reports.mapping_view(row, outlook, {}) for row in islice(found, most)]


def _last_page(found: int, most: int) -> int:
    return max(0, found - 1) // most * most


def _fitting(ledger: Ledger, outlook: Outlook, asked: Asked) -> Iterator[Found]:
    for standing in _STANDINGS[asked.state]:
        rows = [
            row
            for row in ledger.each_claim(standing)
            if asked.matches(row.public, row.name, row.host, row.private, row.guest)
        ]
        yield from (
            row
            for row in rows
            if asked.state is None or outlook.sight(row).state.value == asked.state
        )
    if asked.state in (None, "reserved"):
        for kept in reports.idle(ledger):
            if asked.matches(kept.public, kept.name, kept.host, kept.guest):
                yield kept


def _place(row: Found) -> tuple[int, bytes, int]:
    if not row.public:
        return _UNKNOWN
    place = row.place if isinstance(row, ClaimRow) else 0
    if ":" in row.public:
        return 6, socket.inet_pton(socket.AF_INET6, row.public), place
    return 4, socket.inet_pton(socket.AF_INET, row.public), place

"""The audit trail: what an edge decided, as lines of its store. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from zthook.store.events import Event, EventRow
from zthook.store.rows import ClaimRow, Standing


@dataclass(frozen=True, slots=True)
class Change:
    """A claim's row before and after a transaction; None: there is none.

    ``cause`` is why, where the rows do not show it.
    """

    before: ClaimRow | None
    after: ClaimRow | None
    cause: str = ""


def told(changes: Iterable[Change], at: float) -> list[EventRow]:
    """What one transaction did to claims, withdrawals first."""
    changes = list(changes)
    ended = {_thing(row): row for one in changes if (row := _ended(one)) is not None}
    begun = {_thing(row): row for one in changes if (row := _begun(one)) is not None}
    lines = [
        _line(one.before, Event.WITHDRAWN, at, one.cause or _why(one.after))
        for one in changes
        if one.before is not None and _ended(one) is not None and _thing(one.before) not in begun
    ]
    for thing, row in begun.items():
        came = ended.get(thing)
        lines.append(
            _line(row, Event.GRANTED, at)
            if came is None
            else _line(row, Event.MOVED, at, f"from {came.host}")
        )
    for one in changes:
        if one.after is not None and one.before is not None and _rebound(one.before, one.after):
            lines.append(_line(one.after, Event.CHANGED, at))
        if one.after is not None and _refused(one.after) not in ("", _refused(one.before)):
            lines.append(_line(one.after, Event.REFUSED, at, one.after.reason))
    return lines


def _ended(one: Change) -> ClaimRow | None:
    return one.before if _holds(one.before) and not _holds(one.after) else None


def _begun(one: Change) -> ClaimRow | None:
    return one.after if _holds(one.after) and not _holds(one.before) else None


def _holds(row: ClaimRow | None) -> bool:
    return row is not None and row.standing is Standing.HOLDING


def _rebound(before: ClaimRow, after: ClaimRow) -> bool:
    """Whether what it holds is another thing than before, or elsewhere."""
    faces = [(row.public, row.private, row.mode, row.ports) for row in (before, after)]
    return _holds(before) and _holds(after) and faces[0] != faces[1]


def _refused(row: ClaimRow | None) -> str:
    return row.reason if row is not None and row.standing is Standing.REFUSED else ""


def _why(after: ClaimRow | None) -> str:
    if after is None or (after.standing is Standing.LEAVING and after.after is None):
        return "its host claims it no more"
    return after.reason


def _thing(row: ClaimRow) -> tuple[str, str]:
    """What goes along when one guest moves from host to host."""
    return row.guest, row.public


def _line(row: ClaimRow, event: Event, at: float, why: str = "") -> EventRow:
    return EventRow(
        at=at,
        event=event,
        host=row.host,
        public=row.public,
        guest=row.guest,
        name=row.name,
        private=row.private,
        mode=row.mode,
        ports=row.ports,
        epoch=row.epoch,
        why=why,
    )

"""What a watcher is sent: server-sent events, each only where it is another than before."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from zthook.edge.admin_views import EdgeReport
from zthook.edge.excerpts import Asked
from zthook.edge.views import EventView, HostView, MappingView, TrafficView, View
from zthook.edge.web.looking import Seen
from zthook.edge.web.traces import Point

MOST_HOSTS = 200
"""Those first with which something is amiss; a search finds the others."""


class StatusPart(View, frozen=True):
    """``zthook edge status --json``, less hosts that are not shown, with how many there are;
    ``fit`` the search. A lease's seconds are left out, as they are others at every look.
    """

    report: EdgeReport
    hosts: int
    fit: int


class MappingsPart(View, frozen=True):
    """A page of ``zthook edge mappings --json``; traffic comes beside it."""

    mappings: list[MappingView]
    found: int
    first: int
    most: int


class TrafficPart(View, frozen=True):
    """``all`` mappings together, and each of the page's, in its order. ``counted``: it is told."""

    all: Point | None
    each: list[TrafficView | None]
    counted: bool


class HistoryPart(View, frozen=True):
    """The last minutes: of all mappings, and of each of the page's."""

    points: Sequence[Point]
    traces: Sequence[Sequence[float | None]]


class AlivePart(View, frozen=True):
    """``at`` is when the look was, ``next`` how many seconds the next one is away; ``fault`` why
    there is no newer one.
    """

    at: float
    next: float
    fault: str


class Stream:
    """One watcher's side: what he has seen already."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._sent: dict[str, bytes] = {}
        self._begun = False

    def told(self, seen: Seen | None, pause: float, fault: str) -> Iterator[bytes]:
        """The events that he lacks."""
        at = seen.at if seen is not None else 0.0
        yield _event("alive", _encoded(AlivePart(at=at, next=pause, fault=fault)))
        found = seen.excerpts.get(self._asked) if seen is not None else None
        if seen is not None and found is not None:
            shown = found.mappings
            yield from self._part("status", _status(seen.report, self._asked))
            rows = [replace(one, traffic=None) for one in shown]
            part = MappingsPart(
                mappings=rows, found=found.found, first=found.first, most=self._asked.most
            )
            yield from self._part("mappings", part)
            yield from self._part("troubled", list(seen.troubled))
            yield from self._part("events", list[EventView](seen.events))
            yield from self._history(seen)
            last = seen.points[-1] if seen.points else None
            each = [one.traffic for one in shown]
            yield from self._part("traffic", TrafficPart(all=last, each=each, counted=seen.counted))

    def _history(self, seen: Seen) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            part = HistoryPart(points=seen.points, traces=seen.traces.get(self._asked, ()))
            yield _event("history", _encoded(part))

    def _part(self, name: str, what: object) -> Iterator[bytes]:
        body = _encoded(what)
        if self._sent.get(name) != body:
            self._sent[name] = body
            yield _event(name, body)


ENDED = b"event: ended\ndata: {}\n\n"
"""He is logged in no more."""


def _encoded(what: object) -> bytes:
    return msgspec.json.encode(what)


def _event(name: str, body: bytes) -> bytes:
    # JSON has no line breaks of its own: one line of data is the whole of it.
    return b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"


_RANK: Mapping[str, int] = {"silent": 0, "up": 1, "enrolled": 2, "invited": 3}


def _status(report: EdgeReport, asked: Asked) -> StatusPart:
    hosts = report.status.hosts
    fitting = [
        replace(one, lease_seconds=None)
        for one in hosts
        if asked.matches(one.name, one.address, one.hostname, one.member)
    ]
    fitting.sort(key=_amiss_first)
    status = replace(report.status, hosts=fitting[:MOST_HOSTS])
    return StatusPart(report=replace(report, status=status), hosts=len(hosts), fit=len(fitting))


def _amiss_first(host: HostView) -> tuple[bool, int, str]:
    return not host.fault, _RANK[host.state], host.name

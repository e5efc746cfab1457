"""What passed in the last minutes, as far as somebody watched: a few numbers a mapping."""

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from zthook.edge.views import MappingView, TrafficView, View

Key = tuple[str, str]
"""Public and private address."""

POINTS = 150
MOST_TRACED = 500
"""Of more mappings those with the most traffic have a point."""
APART_SECONDS = 1.0


class Point(View, frozen=True):
    """Bytes a second of all mappings together, at a time."""

    at: float
    rate_in: float
    rate_out: float


@dataclass(frozen=True, slots=True)
class _Moment:
    point: Point
    each: Mapping[Key, float]


class Traces:
    """The last ``POINTS`` looks."""

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque(maxlen=POINTS)

    def note(self, at: float, traffic: Mapping[Key, TrafficView]) -> None:
        """What was seen at a look; without rates, or too soon after the last one, nothing is."""
        rates = {
            key: (one.rate_in, one.rate_out)
            for key, one in traffic.items()
            if one.rate_in is not None and one.rate_out is not None
        }
        last = self._moments[-1].point.at if self._moments else 0.0
        if not rates or at - last < APART_SECONDS:
            return
        sums = {key: came + went for key, (came, went) in rates.items()}
        most = heapq.nlargest(MOST_TRACED, sums, key=sums.__getitem__)
        point = Point(
            at=at,
            rate_in=sum(came for came, _ in rates.values()),
            rate_out=sum(went for _, went in rates.values()),
        )
        self._moments.append(_Moment(point, {key: sums[key] for key in most}))

    def points(self) -> list[Point]:
        """Oldest first."""
        return [one.point for one in self._moments]

    def of(self, mapping: MappingView) -> list[float | None]:
        """Bytes a second both ways, at each point; None where it was not there."""
        key = mapping.public or "", mapping.private or ""
        return [one.each.get(key) for one in self._moments]

"""The log of what was refused, with who asked: often enough to notice, too rare to flood."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("zthook.edge.api")

_QUIET_SECONDS = 10.0
_MOST_SOURCES = 1024
_NOTE_SECONDS = 60.0
_MOST_NOTED = 64
_MOST_WHY = 300


@dataclass(frozen=True, slots=True)
class RefusedRequests:
    """So many requests of one source that got the same status; ``why`` is of the last."""

    host: str
    source: str
    why: str
    times: int = 1


class Refusals:
    """One line for each source and status in ten seconds; the next one tells how many were not.

    For the audit trail they are counted, to be taken once in a minute: 64 sources are told
    apart, what is beyond that is one line. ``by_status`` counts all of them, since the start.
    ``clock`` returns seconds that rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[tuple[str, int], tuple[float, int]] = {}
        self._counted: dict[tuple[str, int], RefusedRequests] = {}
        self._taken = clock()
        self.by_status: Counter[int] = Counter()

    def tell(self, source: str, status: int, request: str, why: str, host: str = "") -> None:
        """Log that ``request`` (method and path) of ``source`` got ``status``, and why.

        ``host`` is who asked, where the credential told.
        """
        now = self._clock()
        self.by_status[status] += 1
        self._count(source, status, f"{request}: {status}, {why}", host)
        since, silent = self._told.get((source, status), (float("-inf"), 0))
        if now - since < _QUIET_SECONDS:
            self._told[source, status] = since, silent + 1
            return
        if len(self._told) >= _MOST_SOURCES:
            self._told.clear()
        self._told[source, status] = now, 0
        more = f" (and {silent} more in between)" if silent else ""
        log.warning("refused %s from %s: %d, %s%s", request, source, status, why, more)

    def _count(self, source: str, status: int, why: str, host: str) -> None:
        key = source, status
        if key not in self._counted and len(self._counted) >= _MOST_NOTED:
            key, source, host = ("", 0), "", ""
        before = self._counted.get(key)
        times = before.times + 1 if before is not None else 1
        self._counted[key] = RefusedRequests(host, source, why[:_MOST_WHY], times)

    def due(self) -> bool:
        """Whether a minute's refusals wait to be taken."""
        return bool(self._counted) and self._clock() - self._taken >= _NOTE_SECONDS

    def take(self) -> list[RefusedRequests]:
        """What was counted since the last time."""
        taken, self._counted = list(self._counted.values()), {}
        self._taken = self._clock()
        return taken

"""The log of what was refused, with who asked: often enough to notice, too rare to flood."""

import logging
from collections.abc import Callable

log = logging.getLogger("zthook.edge.api")

_QUIET_SECONDS = 10.0
_MOST_SOURCES = 1024


class Refusals:
    """One line for each source and status in ten seconds; the next one tells how many were not.

    ``clock`` returns seconds that rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[tuple[str, int], tuple[float, int]] = {}

    def tell(self, source: str, status: int, request: str, why: str) -> None:
        """Log that ``request`` (method and path) of ``source`` got ``status``, and why."""
        now = self._clock()
        since, silent = self._told.get((source, status), (float("-inf"), 0))
        if now - since < _QUIET_SECONDS:
            self._told[source, status] = since, silent + 1
            return
        if len(self._told) >= _MOST_SOURCES:
            self._told.clear()
        self._told[source, status] = now, 0
        more = f" (and {silent} more in between)" if silent else ""
        log.warning("refused %s from %s: %d, %s%s", request, source, status, why, more)

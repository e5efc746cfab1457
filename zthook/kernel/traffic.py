"""What passed through a mapping, as the kernel counted it, and how fast."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from zthook.model.clock import Clock

K = TypeVar("K", bound=Hashable)

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 600.0
"""Between two looks: a shorter time says little of a rate, a longer one little of now."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Since the mapping entered the kernel; ``in`` is toward the guest, bytes are of IP packets."""

    bytes_in: int = 0
    packets_in: int = 0
    bytes_out: int = 0
    packets_out: int = 0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Bytes a second."""

    bytes_in: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class _Sample(Generic[K]):
    at: float
    counted: Mapping[K, Traffic]


class Sampling(Generic[K]):
    """Rates by what was counted at the looks before; there is none at the first look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: _Sample[K] | None = None
        self._before: _Sample[K] | None = None

    def rates(self, counted: Mapping[K, Traffic]) -> dict[K, Throughput]:
        """Since the last look that was long enough ago. What counts anew has no rate yet."""
        now = self._clock.boottime()
        if self._last is None or now - self._last.at >= SHORTEST_SECONDS:
            self._before, self._last = self._last, _Sample(now, counted)
        since = self._before
        if since is None or now - since.at > LONGEST_SECONDS:
            return {}
        found = {
            key: _rate(since.counted[key], one, now - since.at)
            for key, one in counted.items()
            if key in since.counted
        }
        return {key: rate for key, rate in found.items() if rate is not None}


def _rate(before: Traffic, after: Traffic, seconds: float) -> Throughput | None:
    """None where the counters began anew in between."""
    came, went = after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out
    return Throughput(came / seconds, went / seconds) if min(came, went) >= 0 else None

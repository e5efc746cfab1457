"""Timing and tables, shared by all benchmarks."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one thing, over the rounds of a run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median * 1e3:8.2f} ms  ({low * 1e3:.2f} to {high * 1e3:.2f})"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing to time. ``undo`` runs after each round and is not timed."""

    run: Callable[[], None]
    undo: Callable[[], None] = lambda: None


def interleaved(candidates: Mapping[str, Candidate], rounds: int) -> dict[str, Timing]:
    """Run every candidate once a round, so that noise of the machine meets all alike.

    A first round is run and thrown away: it pays for caches and imports.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(rounds + 1):
        for name, candidate in candidates.items():
            begun = time.perf_counter()
            candidate.run()
            if round_number:
                seconds[name].append(time.perf_counter() - begun)
            candidate.undo()
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def table(title: str, timings: Mapping[str, Timing], against: str) -> str:
    """The medians and their ratios to the median of ``against``."""
    base = timings[against].median
    width = max(map(len, timings))
    lines = [
        f"{name:<{width}}  {timing}  {timing.median / base:7.2f}x"
        for name, timing in timings.items()
    ]
    return "\n".join([f"\n{title} (ratios to: {against})", *lines])

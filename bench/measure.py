"""Timing and tables, shared by all benchmarks."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


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
class Use:
    """What a process and its ended children have used so far: seconds of CPU, and bytes of memory
    that the process has now, and had at most.
    """

    cpu: float
    memory: int
    highest: int

    @classmethod
    def of(cls, pid: int) -> Self:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks = sum(map(int, fields[11:15]))
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
        now, highest = (int(kilobytes[name]) * 1024 for name in ("VmRSS", "VmHWM"))
        return cls(ticks / os.sysconf("SC_CLK_TCK"), now, highest)


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

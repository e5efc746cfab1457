"""Metrics as values: what there is to be told, and what it is now. Pure; see ``exposition``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from zthook.model.durations import Durations


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, by Prometheus' conventions for ``name``, which has a counter's ``_total``."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Readings:
    """What was read of some metrics: values by labels, in the order of ``Metric.labels``.

    What is not known has no value. Of two with the same labels the later one counts.
    """

    values: dict[Metric, dict[tuple[str, ...], float]] = field(default_factory=dict)
    durations: dict[Metric, Durations] = field(default_factory=dict)

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Note a value, where there is one."""
        if value is not None:
            self.values.setdefault(metric, {})[labels] = value

    def set_each(self, metric: Metric, values: Mapping[str, float], *labels: str) -> None:
        """Note a value for each of what the last label may be."""
        for last, value in values.items():
            self.set(metric, value, *labels, last)

    def time(self, metric: Metric, durations: Durations) -> None:
        """Note how long something took, until now."""
        self.durations[metric] = durations.copy()

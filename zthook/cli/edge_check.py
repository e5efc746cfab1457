"""``zthook edge status --check``: what of an edge's state is a warning, what is critical. Pure.

Critical is what keeps this edge from its work. What keeps one host or one guest from an
address is a warning here at most: a host's own check says it where it can be mended.
"""

from collections import Counter
from collections.abc import Iterator

from zthook.cli.check import Checked, Finding, Measure, Severity
from zthook.cli.mapping_words import counted_plainly
from zthook.cli.output import duration
from zthook.edge.admin_views import EdgeReport

STARTING_SECONDS = 60.0
"""So long the API may have no address yet."""


def check_edge(report: EdgeReport, now: float) -> Checked:
    """``now`` is Unix time."""
    states = Counter(str(host.state) for host in report.status.hosts)
    active = counted_plainly({str(state): many for state, many in report.status.mappings.items()})
    return Checked(
        f"{states['up']} hosts up, mappings: {active}",
        [*_problems(report, now), *_hosts(report, now)],
        list(_measures(report, states)),
    )


def _problems(report: EdgeReport, now: float) -> Iterator[Finding]:
    bearable = {*report.status.twice, *report.status.misled, report.metrics, report.web}
    for problem in report.problems:
        yield Finding(Severity.WARNING if problem in bearable else Severity.CRITICAL, problem)
    if report.listening is None and not report.problems:
        starting = now - report.status.started < STARTING_SECONDS
        severity = Severity.WARNING if starting else Severity.CRITICAL
        yield Finding(severity, "the API does not listen yet")


def _hosts(report: EdgeReport, now: float) -> Iterator[Finding]:
    for host in report.status.hosts:
        if host.fault:
            yield Finding(Severity.WARNING, host.fault)
        if host.state == "silent":
            since = f" for {duration(now - host.last_seen)}" if host.last_seen else ""
            held = f", addresses held: {host.held}" if host.held else ""
            yield Finding(Severity.WARNING, f"{host.name} is silent{since}{held}")


def _measures(report: EdgeReport, states: "Counter[str]") -> Iterator[Measure]:
    yield Measure("hosts_up", states["up"])
    yield Measure("hosts_silent", states["silent"], warning=0)
    for state, number in report.status.mappings.items():
        yield Measure(str(state), number)
    yield Measure("repairs", report.status.drift.repaired, "c")
    for pool in report.pools:
        yield Measure(f"pool_{pool.name}", pool.used + pool.reserved, most=pool.size)

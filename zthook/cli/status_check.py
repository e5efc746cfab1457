"""``zthook status --check``: what of a host's state is a warning, and what is critical. Pure.

Critical is what keeps clients from a guest now, or will without somebody's hand; a warning
is what heals by itself as a rule, or what nobody outside notices.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from zthook.cli.check import Checked, Finding, Measure, Severity, unknown
from zthook.cli.mapping_words import counted_plainly
from zthook.cli.output import duration
from zthook.host.status import AgentStatus, MappingView
from zthook.model.mappings import MappingState

AWAY_SECONDS = 60.0
"""A redial heals in less; after it others may have the addresses. The lease's, where known."""
SLOW_SECONDS, STUCK_SECONDS = 60.0, 300.0
"""A guest that boots has its address before; one that has none by then will not find it."""
COUNTED = (MappingState.ACTIVE, MappingState.PENDING, MappingState.CONFLICT, MappingState.REFUSED)


def check_host(status: AgentStatus, now: float) -> Checked:
    """``now`` is Unix time."""
    if status.edge is None:
        return unknown("; ".join(status.faults) or "this host belongs to no edge")
    counts = Counter(one.state for one in status.mappings)
    return Checked(
        f"mappings: {counted_plainly({state.value: counts[state] for state in COUNTED})}",
        [*_parts(status, now), *_mappings(status.mappings, now), *_others(status)],
        list(_measures(status, counts)),
    )


def check_guest(status: AgentStatus, guest: str, now: float) -> Checked:
    """Of one guest alone, whose mappings are the only ones in ``status``.

    The parts it depends on count as well.
    """
    checked = check_host(status, now)
    if status.edge is None or status.mappings:
        return checked
    gone = Finding(Severity.CRITICAL, f"{guest} runs nowhere here, or asks for no address")
    return Checked(checked.well, [gone, *checked.findings], checked.measures)


def _parts(status: AgentStatus, now: float) -> Iterator[Finding]:
    lease = status.lease_seconds or AWAY_SECONDS
    parts = (
        ("the edge", status.edge_health, lease),
        ("the overlay", status.overlay_health, lease),
        ("this host's kernel", status.kernel_health, AWAY_SECONDS),
        ("libvirt", status.libvirt_health, None),
    )
    for name, health, bearable in parts:
        if health is not None and health.up is False:
            away = now - health.since
            bad = health.refusing or (bearable is not None and away > bearable)
            severity = Severity.CRITICAL if bad else Severity.WARNING
            yield Finding(severity, f"{name} is down for {duration(away)}: {health.error}")


def _mappings(mappings: Sequence[MappingView], now: float) -> Iterator[Finding]:
    for one in mappings:
        severity = _severity(one, now - one.since if one.since is not None else 0.0)
        if severity is not Severity.OK:
            what = f"{one.guest} {one.public or one.asked or ''}".rstrip()
            why = f": {one.reason}" if one.reason else ""
            yield Finding(severity, f"{what} {one.state.value}{why}")


def _severity(one: MappingView, seconds: float) -> Severity:
    if one.state is MappingState.REFUSED:
        return Severity.CRITICAL
    if one.state is MappingState.CONFLICT:
        return Severity.CRITICAL if one.required else Severity.WARNING
    if one.state is MappingState.PENDING and seconds > STUCK_SECONDS:
        return Severity.CRITICAL
    if one.state is MappingState.PENDING and seconds > SLOW_SECONDS:
        return Severity.WARNING
    return Severity.OK


def _others(status: AgentStatus) -> Iterator[Finding]:
    """Faults that are not just a part's that is down."""
    parts = (status.edge_health, status.overlay_health, status.libvirt_health, status.kernel_health)
    told = [one.error for one in parts if one is not None and one.error]
    for fault in status.faults:
        if not any(error in fault for error in told):
            yield Finding(Severity.WARNING, fault)


def _measures(status: AgentStatus, counts: Counter[MappingState]) -> Iterator[Measure]:
    for state in COUNTED:
        yield Measure(state.value, counts[state])
    if status.lease_age is not None:
        yield Measure("lease_age", status.lease_age, "s", critical=status.lease_seconds)

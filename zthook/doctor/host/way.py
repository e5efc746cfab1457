"""Have answers their way back to the edge: policy rules, routes, and who the edge is?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import NO_MEMBER, NOTHING, HostCase
from zthook.kernel.host.inspecting import way_lacks
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.way import Way


def judge(lacking: Sequence[str]) -> Finding:
    """``lacking`` are rules, routes and neighbour entries that are not there."""
    if lacking:
        return fail(
            f"answers to clients do not find back to the edge: {lacking[0]} is missing",
            "systemctl restart zthook-agent, which sets it; `ip monitor` shows who removes it",
        )
    return ok("rules, routes and neighbour entries for answers are there")


def check(case: HostCase) -> Finding:
    """Look for each."""
    settings = case.settings
    if settings.via is not None:
        return skipped(NO_MEMBER)
    if not case.mapped:
        return skipped(NOTHING)
    way = Way(Marks(settings.mark), settings.table, settings.preference)
    device = case.device.name if case.device else ""
    health = case.agent.edge_health if case.agent else None
    heard = health is not None and health.up is True
    mac = case.table.edge_mac
    return judge(way_lacks(way, device, case.edge, mac, case.families, pinned=heard))

"""Is our nftables table there, whole, and are all active guests in it?"""

from collections.abc import Set as AbstractSet

from zthook.doctor.finding import Finding, counted, fail, ok, skipped
from zthook.doctor.host.case import NO_MEMBER, NOTHING, HostCase
from zthook.kernel.host.inspecting import HostTable
from zthook.model.addresses import IPAddress

REPAIR = "systemctl restart zthook-agent, which sets it; `nft monitor` shows who changes it"


def judge(table: HostTable, mapped: AbstractSet[IPAddress]) -> Finding:
    """``mapped`` are the private addresses that must be in it."""
    if not table.there:
        return fail("the table inet zthook_host is missing", REPAIR)
    if not table.whole:
        return fail("the table inet zthook_host lacks rules or sets of ours, or has others", REPAIR)
    missing = sorted(map(str, mapped - table.guests))
    if missing:
        return fail(f"{', '.join(missing)} is not in the table inet zthook_host", REPAIR)
    return ok(f"inet zthook_host, {counted(len(mapped), 'guest address')}")


def check(case: HostCase) -> Finding:
    """Look at it."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    if not case.mapped and not case.table.there:
        return skipped(NOTHING)
    return judge(case.table, case.mapped)

"""Is our nftables table there, whole, and are all active guests in it?"""

from collections.abc import Set as AbstractSet

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import HostCase
from zthook.doctor.host.forwarding import NOTHING
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
    number = len(mapped)
    return ok(f"inet zthook_host, {number} guest address{'' if number == 1 else 'es'}")


def check(case: HostCase) -> Finding:
    """Look at it."""
    if case.settings.via is not None:
        return skipped("this host is no member, and has no table")
    if not case.mapped and not case.table.there:
        return skipped(NOTHING)
    return judge(case.table, case.mapped)

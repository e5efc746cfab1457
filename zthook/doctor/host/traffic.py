"""Do packets come through the edge to the guest, and go back?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, ok, skipped, warn
from zthook.doctor.host.case import HostCase
from zthook.host.status import MappingView


def judge(rows: Sequence[MappingView]) -> Finding:
    """Warns where packets came and none went back."""
    counted = [(row, row.traffic) for row in rows if row.traffic is not None]
    if not counted:
        return skipped("nothing is counted here")
    for row, traffic in counted:
        if traffic.packets_in and not traffic.packets_out:
            return warn(
                f"{traffic.packets_in} packets came for {row.public}, and the guest sent none back",
                "look in the guest: its service, its firewall, its default route",
            )
    came = sum(traffic.packets_in for _, traffic in counted)
    if not came:
        return ok("none came yet: try it from outside; on the edge `zthook doctor` looks further")
    return ok(f"{came} packets in, {sum(one.packets_out for _, one in counted)} out")


def check(case: HostCase) -> Finding:
    """Look at what the agent counts."""
    return judge(case.rows)

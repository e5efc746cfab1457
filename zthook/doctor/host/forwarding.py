"""Does this host forward packets at all?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import NOTHING, HostCase
from zthook.kernel.host.inspecting import not_forwarding


def judge(closed: Sequence[str]) -> Finding:
    """``closed`` are the settings that are 0."""
    if closed:
        name = closed[0].replace("/", ".")
        return fail(
            f"{name} is 0: packets for guests end here",
            f"sysctl -w {name}=1; the agent sets it while it runs: what sets it to 0?",
        )
    return ok("on")


def check(case: HostCase) -> Finding:
    """Read the settings of the families that are mapped."""
    return judge(not_forwarding(case.families)) if case.mapped else skipped(NOTHING)

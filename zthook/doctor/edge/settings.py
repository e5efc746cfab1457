"""Are the kernel's settings so that it forwards: ip_forward, rp_filter, and their like?"""

from collections.abc import Sequence

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok


def judge(differing: Sequence[str]) -> Finding:
    """``differing``: a line each."""
    if differing:
        path, _, was = differing[0].partition(" was ")
        return fail(
            f"{path.replace('/', '.')} is {was}",
            "systemctl restart zthook-edge, which sets it; what else sets it? (/etc/sysctl.d)",
        )
    return ok("forwarding, rp_filter and the others are as they should be")


def check(case: EdgeCase) -> Finding:
    """Compare."""
    return judge(case.drift.settings)

"""Does the edge's daemon run and answer, and what does it complain of?"""

from zthook import __version__
from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.edge.admin_views import EdgeReport
from zthook.errors import DaemonUnreachable

START = "systemctl start zthook-edge; what is mapped stays meanwhile"
LATE = "systemctl restart zthook-edge; what is mapped stays meanwhile"
LOOKED_AT = ("the overlay is down", "the kernel is not as it should be")
"""What other checks look at themselves."""


def judge(report: EdgeReport, ours: str = __version__) -> Finding:
    """Fails with the first of its problems that no other check is about."""
    for problem in report.problems:
        if not problem.startswith(LOOKED_AT):
            return fail(f"the daemon says: {problem}", "zthook edge status has all that it says")
    if report.status.version != ours:
        return warn(
            f"the daemon that runs is version {report.status.version}, and this command {ours}",
            "systemctl restart zthook-edge",
        )
    return ok(f"it answers, as {report.status.edge}")


def check(case: EdgeCase) -> Finding:
    """Ask it."""
    heard = case.heard
    if isinstance(heard, DaemonUnreachable):
        return fail(f"the daemon does not answer: {heard.message}", START)
    return judge(heard)

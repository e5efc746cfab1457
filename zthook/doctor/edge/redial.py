"""The edge's part in redials that heal at once."""

from zthook.doctor import redials
from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding
from zthook.errors import DaemonUnreachable


def check(case: EdgeCase) -> Finding:
    """As the daemon tells it."""
    heard = case.heard
    if isinstance(heard, DaemonUnreachable):
        raise heard
    return redials.judge(heard.redial, "zthook edge status")

"""The agent's part in redials that heal at once."""

from zthook.doctor import redials
from zthook.doctor.finding import Finding
from zthook.doctor.host.case import HostCase
from zthook.errors import DaemonUnreachable


def check(case: HostCase) -> Finding:
    """As the agent tells it."""
    heard = case.heard
    if isinstance(heard, DaemonUnreachable):
        raise heard
    return redials.judge(heard.redial, "zthook status")

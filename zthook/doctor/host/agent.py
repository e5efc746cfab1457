"""Does the agent run and answer, and what does it complain of?"""

from zthook import __version__
from zthook.doctor.finding import Finding, counted, fail, ok, warn
from zthook.doctor.host.case import HostCase
from zthook.errors import DaemonUnreachable
from zthook.host.report import faults
from zthook.host.status import AgentStatus

START = "systemctl start zthook-agent; mappings that are there stay meanwhile"
LATE = "systemctl restart zthook-agent; mappings that are there stay meanwhile"


def judge(status: AgentStatus, ours: str = __version__) -> Finding:
    """Fails with the first of its faults that no other check is about."""
    others = _others(status)
    for fault in status.faults:
        if fault not in others:
            return fail(
                f"the agent says: {fault}", "docs/troubleshooting.md has it, with what to do"
            )
    if status.version != ours:
        return warn(
            f"the agent that runs is version {status.version}, and this command {ours}",
            "systemctl restart zthook-agent",
        )
    return ok(f"it answers; {counted(len(status.mappings), 'address')} asked for")


def _others(status: AgentStatus) -> list[str]:
    """How the agent finds what other checks look at themselves."""
    healths = {
        "edge": status.edge_health,
        "libvirt": status.libvirt_health,
        "overlay": status.overlay_health,
    }
    return faults({name: health for name, health in healths.items() if health})


def check(case: HostCase) -> Finding:
    """Ask it."""
    heard = case.heard
    if isinstance(heard, DaemonUnreachable):
        return fail(f"the agent does not answer: {heard.message}", START)
    return judge(heard)

"""Is all set up, and in force, by which a redial heals at once?"""

from zthook.doctor.finding import Finding, counted, ok, warn
from zthook.model.redial import Redial

RESTART = "systemctl restart zerotier-one, when the overlay may be away for two seconds"


def judge(redial: Redial | None, noted: str) -> Finding:
    """``noted`` is what shows what is left as it was, and why."""
    if redial is None:
        return ok("the overlay is not ZeroTier's, or was not looked at yet")
    if redial.fault:
        return warn(redial.fault, noted)
    if not redial.wanted:
        return ok("it is turned off: fast_redial = false")
    if redial.restart:
        return warn("part of what makes a redial heal at once waits for a restart", RESTART)
    if redial.hosts is None:
        return ok("one UDP port, and a ping a second")
    slow = [name for name, bond in redial.hosts.items() if bond != "broadcast"]
    if slow:
        return warn(f"a redial of {', '.join(slow)} may take up to 20 s to heal", noted)
    return ok(f"a redial heals at once with {counted(len(redial.hosts), 'host')}")

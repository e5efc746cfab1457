"""Do the hosts that hold addresses speak, and only they?"""

from collections.abc import Sequence

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok, skipped, warn
from zthook.edge.views import HostView


def judge(hosts: Sequence[HostView]) -> Finding:
    """Warns of who holds addresses, and is silent; fails where two speak for one."""
    for host in hosts:
        if host.fault:
            return fail(host.fault, "docs/troubleshooting.md has it, with what to do")
    for host in hosts:
        if host.lease == "ended" and host.held:
            return warn(
                f"{host.name} holds addresses and is silent: others may take them now",
                f"on {host.name}: zthook doctor",
            )
    known = [one.name for one in hosts if one.enrolled]
    if not known:
        return skipped("no host is enrolled", "zthook edge host add NAME")
    live = [one.name for one in hosts if one.lease == "live"]
    return ok(f"{', '.join(live) or 'none'} of {', '.join(known)} there")


def check(case: EdgeCase) -> Finding:
    """Look at what the daemon says."""
    return judge(case.daemon.status.hosts if case.daemon else ())

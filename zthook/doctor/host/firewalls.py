"""Do libvirt's, Docker's and all other firewalls of this host let mapped packets through?"""

from zthook.doctor.finding import Finding, skipped
from zthook.doctor.firewalls import judge
from zthook.doctor.host.case import HostCase
from zthook.doctor.host.forwarding import NOTHING
from zthook.kernel.host.inspecting import host_standings


def check(case: HostCase) -> Finding:
    """Look at each."""
    if not case.mapped or case.settings.via is not None:
        return skipped(NOTHING)
    return judge(host_standings(case.settings.mark, case.families), "zthook-agent")

"""Do libvirt's, Docker's and all other firewalls of this host let mapped packets through?"""

from zthook.doctor.finding import Finding, skipped
from zthook.doctor.firewalls import judge
from zthook.doctor.host.case import NO_MEMBER, NOTHING, HostCase
from zthook.kernel.host.inspecting import host_standings


def check(case: HostCase) -> Finding:
    """Look at each."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    if not case.mapped:
        return skipped(NOTHING)
    return judge(host_standings(case.settings.mark, case.families), "zthook-agent")

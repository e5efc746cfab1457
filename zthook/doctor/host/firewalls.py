"""Do libvirt's, Docker's and all other firewalls of this host let mapped packets through?"""

from collections.abc import Iterator

from zthook.doctor.finding import Finding, skipped
from zthook.doctor.firewalls import judge
from zthook.doctor.host.case import NO_MEMBER, NOTHING, HostCase
from zthook.kernel.firewalls.firewalld import Reach
from zthook.kernel.host.inspecting import firewalld_amiss, host_standings
from zthook.kernel.near import device_toward


def check(case: HostCase) -> Finding:
    """Look at each."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    if not case.mapped:
        return skipped(NOTHING)
    found = host_standings(case.settings.mark, case.families)
    return judge(found, "zthook-agent", firewalld_amiss(list(_reached(case))))


def _reached(case: HostCase) -> Iterator[Reach]:
    """As the agent asks firewalld for it."""
    overlay, mac = case.device, case.table.edge_mac
    if overlay is None or not mac:
        return
    for address in sorted(case.mapped, key=str):
        if (bridge := device_toward(address)) is not None:
            yield Reach(mac, address, overlay.name, bridge)

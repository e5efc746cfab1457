"""Does libvirt answer, and which networks does it have?"""

import asyncio

from zthook.doctor.finding import Finding, ok, warn
from zthook.doctor.host.case import HostCase
from zthook.hypervisor.libvirt_hypervisor import LibvirtHypervisor
from zthook.model.guests import Network

LATE = "does `virsh list` answer? if not: systemctl restart libvirtd (guests keep running)"


def judge(uri: str, networks: list[str]) -> Finding:
    """Warns where no network is active: most guests are on one."""
    if not networks:
        return warn(
            f"{uri} answers, and none of its networks is active",
            "virsh net-list --all; guests on bridges need none",
        )
    return ok(f"{uri} answers; networks: {', '.join(sorted(networks))}")


def check(case: HostCase) -> Finding:
    """Ask it; raises HypervisorUnavailable."""
    uri = case.settings.libvirt_uri
    return judge(uri, list(asyncio.run(_networks(uri))))


async def _networks(uri: str) -> dict[str, Network]:
    async with LibvirtHypervisor(uri, lambda _hint: None) as libvirt:
        return await libvirt.networks()

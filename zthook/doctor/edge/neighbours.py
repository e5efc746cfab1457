"""Does each host alone say by ARP that it has its overlay address?"""

from collections.abc import Sequence
from ipaddress import IPv4Address

from zthook.config.settings import OverlaySettings
from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, counted, fail, ok, skipped, warn
from zthook.doctor.impostors import FIND, named
from zthook.edge.views import HostView
from zthook.kernel.asking import Answers, ask_all

MOST = 64


def judge(hosts: Sequence[HostView], answers: Answers, overlay: OverlaySettings) -> Finding:
    """``hosts`` were heard from their addresses, ``answers`` are who says that he has them.

    Who is silent is no matter of this. Where a host's MAC is known the kernel asks nobody.
    """
    for host in hosts:
        others = set(answers.get(IPv4Address(host.address or ""), ())) - {host.mac}
        if not others:
            continue
        said = f"{host.address} of {host.name} is claimed by {named(overlay, others)}"
        if host.mac is None or host.lease != "live":
            return fail(f"{said}, and which is {host.name}'s MAC is not sure", FIND)
        return warn(f"{said} too; what is mapped goes to {host.mac} all the same", FIND)
    if not hosts:
        return skipped("no host was heard yet")
    return ok(f"nobody else answers for {counted(len(hosts), 'host')}")


def check(case: EdgeCase) -> Finding:
    """Ask, first for those that hold addresses."""
    heard = [one for one in (case.daemon.status.hosts if case.daemon else ()) if one.address]
    asked = sorted(heard, key=lambda one: not one.held)[:MOST]
    overlay = case.settings.overlay
    if case.overlay is None or not asked:
        return judge((), {}, overlay)
    addresses = {IPv4Address(one.address or "") for one in asked}
    return judge(asked, ask_all(case.overlay.name, addresses), overlay)

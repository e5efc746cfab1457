"""Does the edge alone say by ARP that it has its overlay address?"""

from collections.abc import Collection

from zthook.config.settings import OverlaySettings
from zthook.doctor.finding import Finding, fail, ok, skipped, warn
from zthook.doctor.host.case import NO_MEMBER, HostCase
from zthook.doctor.impostors import FIND, named
from zthook.kernel.asking import ask_all
from zthook.model.addresses import IPAddress

GONE = "has the edge another MAC? the agent asks again once it hears nothing of it for a minute"


def judge(
    edge: IPAddress, edge_mac: str, answers: Collection[str], overlay: OverlaySettings
) -> Finding:
    """``answers`` are who says that he has ``edge``; ``edge_mac`` is what the edge says itself,
    and where guests' packets go, empty where nothing of ours is in the kernel. That nobody is
    there at all, the path tells.
    """
    others = set(answers) - {edge_mac}
    if edge_mac and others and edge_mac not in answers:
        return fail(
            f"{edge} is answered for by {named(overlay, others)}, and not by the edge's {edge_mac}",
            f"{FIND}; or {GONE}",
        )
    if edge_mac and others:
        return warn(
            f"{edge} of the edge is claimed by {named(overlay, others)} too; what is mapped goes "
            f"to {edge_mac} all the same",
            FIND,
        )
    if len(others) > 1:
        return fail(f"{edge} is answered for by several: {named(overlay, others)}", FIND)
    if not answers:
        return skipped(f"nobody answers for {edge}")
    return ok(f"nobody else answers for {edge}")


def check(case: HostCase) -> Finding:
    """Ask."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    if case.device is None:
        return skipped(f"no route leads to {case.edge}")
    answers = ask_all(case.device.name, [case.edge])[case.edge]
    return judge(case.edge, case.table.edge_mac, answers, case.settings.overlay)

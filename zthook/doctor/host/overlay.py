"""Is the overlay's device there, with an address?"""

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase
from zthook.model.addresses import IPAddress
from zthook.model.mappings import OverlayDevice
from zthook.overlay import open_overlay


def judge(overlay: OverlayDevice, toward: str | None, edge: IPAddress) -> Finding:
    """``toward`` is the device by which the kernel reaches the edge."""
    if toward != overlay.name:
        return fail(
            f"{edge} is not reached by {overlay.name}, the overlay's device, but by "
            f"{toward or 'none'}",
            f"ip route get {edge}; does {overlay.name} have an address of the edge's network?",
        )
    own = ", ".join(map(str, overlay.addresses))
    return ok(f"{overlay.name} has {own}, MTU {overlay.mtu}")


def check(case: HostCase) -> Finding:
    """Look for it; raises OverlayDown."""
    if case.settings.via is not None:
        return ok(f"this host is no member: it is behind the LAN gateway {case.settings.via}")
    found = open_overlay(case.settings.overlay).observe()
    return judge(found, case.device.name if case.device else None, case.edge)

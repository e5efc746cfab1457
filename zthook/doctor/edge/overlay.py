"""Is the overlay's device there, with an address?"""

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, ok
from zthook.overlay import open_overlay


def check(case: EdgeCase) -> Finding:
    """Look for it; raises OverlayDown."""
    found = open_overlay(case.settings.overlay).observe()
    own = ", ".join(map(str, found.addresses))
    return ok(f"{found.name} has {own}, MTU {found.mtu}")

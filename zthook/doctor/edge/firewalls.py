"""Do other firewalls of this edge let mapped packets through?"""

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, skipped
from zthook.doctor.firewalls import judge
from zthook.kernel.edge.inspecting import edge_standings

NOTHING = "no address is held, so nothing is needed of it yet"


def check(case: EdgeCase) -> Finding:
    """Look at each."""
    families = frozenset(one.public.version for one in case.plane().forwardings)
    return judge(edge_standings(families), "zthook-edge") if families else skipped(NOTHING)

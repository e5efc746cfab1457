"""Has the kernel the table, routes, rules and neighbour entries that the store asks for?"""

import time
from collections.abc import Sequence

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.edge.views import DriftView

RECENT_SECONDS = 600.0


def judge(differing: Sequence[str], repaired: DriftView, started: float, now: float) -> Finding:
    """``differing``: a line each of what lasts. ``repaired`` and ``started`` are the daemon's.

    What it put right at its start nobody broke.
    """
    if differing:
        return fail(
            differing[0] + (f", and {len(differing) - 1} more" if differing[1:] else ""),
            "systemctl restart zthook-edge, which sets it; `nft monitor` shows who changes it",
        )
    at = repaired.last_at
    if at is not None and now - at < RECENT_SECONDS and at - started > RECENT_SECONDS / 10:
        return warn(
            f"it is as it should be, but somebody changes it: {'; '.join(repaired.last[:1])}",
            "`nft monitor` and `ip monitor` show who does; another firewall's reload?",
        )
    return ok("table, routes, rules and neighbour entries are as the store asks for")


def check(case: EdgeCase) -> Finding:
    """Compare."""
    status = case.daemon.status if case.daemon else None
    repaired = status.drift if status else DriftView()
    started = status.started if status else 0.0
    return judge(case.drift.rest, repaired, started, time.time())

"""Is every address that the guest asks for active at the edge, and if not, why?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase
from zthook.host.status import MappingView
from zthook.model.mappings import MappingState


def judge(guest: str, rows: Sequence[MappingView]) -> Finding:
    """Fails with the first that is not active."""
    if not rows:
        return fail(
            f"the agent knows of no address that {guest} asks for",
            f"zthook apply {guest}; journalctl -u zthook-agent says what it sees",
        )
    for row in rows:
        if row.state is not MappingState.ACTIVE:
            where = row.public or row.asked or "its address"
            return fail(
                f"{where} is {row.state.value}: {row.reason or 'no reason is known'}",
                "docs/troubleshooting.md has this reason, with what to do",
            )
    return ok(f"{', '.join(str(row.public) for row in rows)}: active at the edge")


def check(case: HostCase) -> Finding:
    """Look at what the agent says."""
    return judge(case.guest, case.rows)

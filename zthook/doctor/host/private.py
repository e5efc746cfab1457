"""Is the guest's own address known, and who named it?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import HostCase
from zthook.host.status import MappingView
from zthook.model.mappings import MappingState


def judge(rows: Sequence[MappingView]) -> Finding:
    """Fails where an address has none; for what is refused nobody looks for one."""
    sought = [one for one in rows if one.state is not MappingState.REFUSED]
    if not sought:
        return skipped("nothing that it asks for is looked at any further")
    lacking = next((one for one in sought if one.private is None), None)
    if lacking is not None:
        return fail(
            f"no address of the guest's own is known for {lacking.public or lacking.asked}",
            'write private="ADDRESS" into the annotation, or see that the guest gets one by DHCP',
        )
    named = dict.fromkeys(f"{one.private} ({one.source or 'annotation'})" for one in sought)
    return ok(", ".join(named))


def check(case: HostCase) -> Finding:
    """Look at what the agent says."""
    return judge(case.rows)

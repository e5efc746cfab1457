"""Is the guest's own address known, and who named it?"""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase
from zthook.host.status import MappingView


def judge(rows: Sequence[MappingView]) -> Finding:
    """Fails where an address has none."""
    lacking = next((one for one in rows if one.private is None), None)
    if lacking is not None:
        return fail(
            f"no address of the guest's own is known for {lacking.public or lacking.asked}",
            'write private="ADDRESS" into the annotation, or see that the guest gets one by DHCP',
        )
    named = dict.fromkeys(f"{one.private} ({one.source or 'annotation'})" for one in rows)
    return ok(", ".join(named))


def check(case: HostCase) -> Finding:
    """Look at what the agent says."""
    return judge(case.rows)

"""Does the kernel take what comes by the overlay from addresses that it would answer elsewhere?"""

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import NO_MEMBER, NOTHING, HostCase
from zthook.kernel.host.inspecting import return_filter

STRICT = 1


def judge(device: str, value: int) -> Finding:
    """Fails where it is strict: clients' addresses are not the overlay's."""
    if value == STRICT:
        name = f"net.ipv4.conf.{device}.rp_filter"
        return fail(
            f"{name} is strict (1): what clients send is dropped on arrival",
            f"sysctl -w {name}=2; the agent sets it while it runs: what sets it to 1?",
        )
    return ok(f"{'loose' if value else 'off'} on {device}")


def check(case: HostCase) -> Finding:
    """Read it."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    if case.device is None or not case.mapped:
        return skipped(NOTHING)
    return judge(case.device.name, return_filter(case.device.name))

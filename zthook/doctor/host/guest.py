"""Does the guest exist, and run?"""

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase
from zthook.hypervisor.definitions import find


def judge(name: str, *, runs: bool) -> Finding:
    """Fails where it does not run."""
    return ok(f"{name} runs") if runs else fail(f"{name} does not run", f"virsh start {name}")


def check(case: HostCase) -> Finding:
    """Ask libvirt; raises NotFound, HypervisorUnavailable."""
    defined, case.live = find(case.settings.libvirt_uri, case.guest)
    return judge(defined.name, runs=case.live is not None)

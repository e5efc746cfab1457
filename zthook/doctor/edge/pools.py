"""Are the pools' uplinks there, and can all their addresses be given away?"""

from collections.abc import Collection, Mapping

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.kernel.links import devices_up
from zthook.kernel.protected import needed
from zthook.model.addresses import IPAddress, Pool


def judge(
    pools: Collection[Pool], up: Collection[str], protected: Mapping[IPAddress, str]
) -> Finding:
    """``up``: the devices that are; ``protected``: addresses that stay the edge's, and why."""
    if not pools:
        return warn("there is no pool", "zthook edge pool add NAME=FIRST-LAST")
    for pool in pools:
        if pool.uplink not in up:
            return fail(
                f"{pool.uplink}, the uplink of pool {pool.name}, is missing or down",
                f"ip link show {pool.uplink}; is uplink in edge.toml the right name?",
            )
        for address, why in protected.items():
            if any(address in one for one in pool.arrives_as or pool.ranges):
                return warn(
                    f"{address} of pool {pool.name} is never given away: it is {why}",
                    f"leave it out of pool {pool.name} in edge.toml, then: "
                    "systemctl reload zthook-edge",
                )
    return ok(", ".join(f"{one.name} by {one.uplink}" for one in pools))


def check(case: EdgeCase) -> Finding:
    """Look at this machine's devices and addresses."""
    overlay = case.overlay.addresses if case.overlay else ()
    return judge(case.settings.pools, devices_up().keys(), needed(overlay))

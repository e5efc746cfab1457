"""Do the public addresses really arrive at this edge?

An address on the uplink's own network that another machine answers for does not. Of the others
only packets that came tell.
"""

import socket
import time
from collections.abc import Collection, Mapping, Sequence

from zthook.doctor.answering import answering
from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.edge.firewalls import NOTHING
from zthook.doctor.finding import Finding, counted, fail, ok, skipped, warn
from zthook.edge.views import MappingView
from zthook.model.addresses import IPAddress

MOST = 64
QUIET_SECONDS = 300.0


def judge(taken: Mapping[IPAddress, str], mappings: Sequence[MappingView], now: float) -> Finding:
    """``taken``: address → MAC of another machine that answers for it on the uplink."""
    for address, mac in taken.items():
        return fail(
            f"{address} is answered for by {mac} on the uplink: another machine has it",
            f"find that machine (ip neigh); or `zthook unassign` its guest {address} on the host, "
            "and leave it out of its pool in edge.toml: systemctl reload zthook-edge",
        )
    active = [one for one in mappings if one.state == "active" and one.traffic is not None]
    for one in active:
        if one.traffic and not one.traffic.packets_in and now - one.since > QUIET_SECONDS:
            return warn(
                f"nothing came for {one.public} since it is active",
                "ping it from outside: if IN stays 0 B in `zthook edge mappings`, the provider "
                "does not bring it here, or filters it",
            )
        if one.traffic and one.traffic.packets_in and not one.traffic.packets_out:
            return warn(
                f"packets came for {one.public}, and none went back",
                f"on {one.host}: zthook doctor {one.guest}",
            )
    if not active:
        return skipped(NOTHING)
    return ok(f"{counted(len(active), 'address')} active, and nobody else answers for any")


def check(case: EdgeCase) -> Finding:
    """Ask who else has those that are held, and count what came."""
    return judge(_taken(case.drift.on_link), case.mappings, time.time())


def _taken(places: Collection[tuple[IPAddress, str]]) -> dict[IPAddress, str]:
    return answering(
        (address, socket.if_nametoindex(uplink))
        for address, uplink in sorted(places, key=str)[:MOST]
    )

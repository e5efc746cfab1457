"""Who is near this machine, and by which way: what hosts and doctor ask of the kernel.

Through pyroute2, whose socket each function is given.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from zthook.kernel.links import device_names
from zthook.kernel.neighbours import GONE, KNOWN, PERMANENT
from zthook.kernel.routes import FAMILIES
from zthook.kernel.rtnetlink import IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress

USE = 0x01
PROBING, ASKED = 0x10, 0x10 | PERMANENT
ANSWERS = 0x02 | PERMANENT


def neighbours(ip: IPRoute, device: int) -> dict[IPAddress, str]:
    """Address → MAC (lower case) of every neighbour that is known on ``device``."""
    with asking(f"listing the neighbours on device {device}"):
        return {
            ip_address(one.get("dst")): one.get("lladdr")
            for one in ip.neigh("dump", ifindex=device)
            if one["ifindex"] == device and one["state"] & KNOWN and one.get("lladdr")
        }


def answering_mac(ip: IPRoute, address: IPAddress, device: int) -> str | None:
    """The MAC that answers for ``address`` by the last word of it, not by an old one; else None."""
    with asking(f"looking for the neighbour {address}"):
        found = next(iter(_entry(ip, {"dst": str(address), "ifindex": device})), None)
    return found.get("lladdr") if found is not None and found["state"] & ANSWERS else None


def probe(ip: IPRoute, address: IPAddress, device: int) -> None:
    """Make the kernel ask now who has ``address``, whatever it believes.

    Without an answer a known entry fails within three seconds, and is in use until then; one
    that somebody made permanent stays.
    """
    request = {"dst": str(address), "ifindex": device}
    with asking(f"probing the neighbour {address}"):
        state = next((one["state"] for one in _entry(ip, request)), 0)
        if state & KNOWN == 0:
            ip.neigh("replace", flags=USE, **request)
        elif state & ASKED == 0:  # one that runs already would begin anew
            ip.neigh("change", state=PROBING, **request)


def _entry(ip: IPRoute, request: Mapping[str, object]) -> Iterable[Any]:
    try:
        return list(ip.neigh("get", **request))
    except NetlinkError as error:
        if error.code in GONE:
            return ()
        raise


def next_hop(ip: IPRoute, address: IPAddress) -> IPAddress | None:
    """The router by which ``address`` is reached; None where it is on-link or not reached."""
    try:
        for route in ip.route("get", family=FAMILIES[address.version], dst=str(address)):
            if gateway := route.get("gateway"):
                return ip_address(gateway)
    except NetlinkError:
        return None  # no route leads there
    return None


def device_toward(ip: IPRoute, address: IPAddress) -> str | None:
    """The device by which ``address`` is reached, None where no route leads there."""
    try:
        for route in ip.route("get", family=FAMILIES[address.version], dst=str(address)):
            return device_names().get(route.get("oif"))
    except NetlinkError:
        return None
    return None

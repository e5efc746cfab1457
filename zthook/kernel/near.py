"""Who is near this machine, and by which way: what hosts and doctor ask of the kernel."""

from ipaddress import ip_address

from zthook.kernel.links import NO_WAY, device_names
from zthook.kernel.neighbours import DESTINATION as NEIGHBOUR
from zthook.kernel.neighbours import (
    ENTRY,
    GET_NEIGHBOUR,
    KNOWN,
    MAC,
    NEW_NEIGHBOUR,
    PERMANENT,
    neighbour,
)
from zthook.kernel.netlink import ACK, CREATE, ROUTE, Netlink, attribute, attributes, message
from zthook.kernel.routes import DESTINATION, DEVICE, FAMILIES, GATEWAY, GET, HEADER, NUMBER
from zthook.model.addresses import IPAddress

ON_DEVICE = 8
REPLACE = 0x100
USE = 0x01
PROBING, ASKED = 0x10, 0x10 | PERMANENT
ANSWERS = 0x02 | PERMANENT


def neighbours(device: int) -> dict[IPAddress, str]:
    """Address → MAC (lower case) of every neighbour that is known on ``device``.

    Raises KernelError, as everything here.
    """
    wanted = ENTRY.pack(0, 0, 0, 0, 0) + attribute(ON_DEVICE, NUMBER.pack(device))
    about = f"listing the neighbours on device {device}"
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET_NEIGHBOUR, wanted, about=about)
    known = dict[IPAddress, str]()
    for one in listed:
        family, index, state, _, _ = ENTRY.unpack_from(one)
        found = attributes(one, ENTRY.size)
        if index == device and family in FAMILIES.values() and state & KNOWN and found.get(MAC):
            known[ip_address(found[NEIGHBOUR])] = found[MAC].hex(":")
    return known


def answering_mac(address: IPAddress, device: int) -> str | None:
    """The MAC that answers for ``address`` by the last word of it, not by an old one; else None."""
    with Netlink(ROUTE) as kernel:
        state, mac = neighbour(kernel, address, device)
    return mac if state & ANSWERS else None


def probe(address: IPAddress, device: int) -> None:
    """Make the kernel ask now who has ``address``, whatever it believes.

    Without an answer a known entry fails within three seconds, and is in use until then; one
    that somebody made permanent stays.
    """
    with Netlink(ROUTE) as kernel:
        state, _ = neighbour(kernel, address, device)
        if state & KNOWN == 0:
            _set(kernel, address, device, CREATE | REPLACE, flags=USE)
        elif state & ASKED == 0:  # one that runs already would begin anew
            _set(kernel, address, device, REPLACE, state=PROBING)


def next_hop(address: IPAddress) -> IPAddress | None:
    """The router by which ``address`` is reached; None where it is on-link or not reached."""
    gateway = _way_to(address).get(GATEWAY)
    return ip_address(gateway) if gateway else None


def device_toward(address: IPAddress) -> str | None:
    """The device by which ``address`` is reached, None where no route leads there."""
    device = _way_to(address).get(DEVICE)
    return device_names().get(NUMBER.unpack(device)[0]) if device else None


def _set(
    kernel: Netlink, address: IPAddress, device: int, how: int, *, state: int = 0, flags: int = 0
) -> None:
    body = ENTRY.pack(FAMILIES[address.version], device, state, flags, 0)
    body += attribute(NEIGHBOUR, address.packed)
    request = message(NEW_NEIGHBOUR, ACK | how, body)
    kernel.carry_out([request], about=lambda _: f"probing the neighbour {address}")


def _way_to(address: IPAddress) -> dict[int, bytes]:
    """The attributes of the route that is taken, none where no route leads there."""
    wanted = HEADER.pack(FAMILIES[address.version], 8 * len(address.packed), *bytes(7))
    wanted += attribute(DESTINATION, address.packed)
    about = f"asking for the way to {address}"
    with Netlink(ROUTE) as kernel:
        found = kernel.ask(GET, 0, wanted, about=about, fine=NO_WAY)
    return attributes(found, HEADER.size) if found else {}

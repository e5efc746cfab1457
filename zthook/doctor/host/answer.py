"""Does the guest answer at its own address, as its host sees it?"""

import asyncio
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from zthook.doctor.answering import answering
from zthook.doctor.finding import Finding, fail, ok, skipped, warn
from zthook.doctor.host.case import HostCase
from zthook.doctor.host.pinging import echoed
from zthook.kernel.links import find_device
from zthook.kernel.near import device_toward
from zthook.model.addresses import IPAddress
from zthook.model.publication import PortRange, Protocol

TCP_SECONDS = 1.0
MOST_PORTS = 3


@dataclass(frozen=True, slots=True)
class AnswerSeen:
    """``mac`` is the neighbour's at the address, None where nobody says to have it.

    ``ports``: TCP port → whether it takes connections, None where nothing came back.
    """

    address: IPAddress
    mac: str | None
    pinged: bool
    ports: tuple[tuple[int, bool | None], ...] = ()


def judge(seen: AnswerSeen, macs: Collection[str]) -> Finding:
    """``macs`` are those of the guest's interfaces."""
    if seen.mac is None and not seen.pinged:
        return fail(
            f"nobody answers at {seen.address}",
            "is the guest's network up? look at its console (virsh console)",
        )
    if seen.mac is not None and seen.mac not in macs:
        return fail(
            f"{seen.address} is answered for by {seen.mac}, which is no interface of the guest",
            "another machine has this address: give one of the two another",
        )
    shut = [port for port, taken in seen.ports if not taken]
    if shut:
        return warn(
            f"{seen.address} takes no connection to port {shut[0]}",
            "does its service run, and listen on all addresses? its own firewall?",
        )
    if not seen.pinged and not seen.ports:
        return warn(
            f"{seen.address} is there ({seen.mac}), and answers no pings",
            "its own firewall may drop them: try its service from this host",
        )
    return ok(f"{seen.address} answers")


def check(case: HostCase) -> Finding:
    """Ping it, connect to its TCP ports, and see which MAC has it; the worst of its addresses."""
    if case.live is None:
        return skipped("the guest does not run")
    macs = {one.mac.lower() for one in case.live.interfaces}
    told = [judge(one, macs) for one in _look(case)]
    order = ("fail", "warn", "ok")
    found = sorted(told, key=lambda one: order.index(one.outcome.value))
    return found[0] if found else skipped("no IPv4 address of the guest's own is known")


def _look(case: HostCase) -> list[AnswerSeen]:
    ports: dict[IPv4Address, list[int]] = {}
    for row in case.rows:
        address = ip_address(row.private) if row.private else None
        if isinstance(address, IPv4Address):
            ports.setdefault(address, []).extend(_targets(row.ports))
    return [_seen(address, some[:MOST_PORTS]) for address, some in ports.items()]


def _targets(ports: list[str]) -> list[int]:
    """The guest's own TCP ports of a mapping, the first of each range."""
    found = map(PortRange.parse, ports)
    return [one.target for one in found if one.protocol is Protocol.TCP]


def _seen(address: IPv4Address, ports: list[int]) -> AnswerSeen:
    pinged = asyncio.run(echoed(address))
    tried = tuple((port, _takes(address, port)) for port in ports)
    name = device_toward(address)
    device = find_device(name) if name else None
    found = answering([(address, device.index)]) if device else {}
    return AnswerSeen(address, found.get(address), pinged, tried)


def _takes(address: IPv4Address, port: int) -> bool | None:
    try:
        with socket.create_connection((str(address), port), TCP_SECONDS):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return None

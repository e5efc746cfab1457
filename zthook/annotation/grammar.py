"""Reads a ``<zthook:publish>`` element into the model and finds everything that is wrong."""

from collections.abc import Sequence

from lxml.etree import _Element as Element

from zthook.annotation import meaning, values
from zthook.annotation.document import Document
from zthook.annotation.reading import PREFIX, Findings, Reading
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.publication import (
    AddressRequest,
    Client,
    Egress,
    Mode,
    PortRange,
    Protocol,
    Publication,
)


def read_publish(document: Document, element: Element, findings: Findings) -> Publication:
    """The publication of a ``<publish>``; it counts only if nothing was added to ``findings``."""
    reading = Reading(element, document, findings)
    reading.check_shape()
    addresses = reading.children("address")
    if not addresses:
        right = f'add <{PREFIX}:address public="203.0.113.10"/>, or remove <publish>'
        reading.form("<publish> has no <address>", right)
    requests = tuple(_read_address(one) for one in addresses)
    _check_repetitions(addresses, requests)
    return Publication(requests)


def _check_repetitions(addresses: Sequence[Reading], requests: Sequence[AddressRequest]) -> None:
    first: dict[IPAddress, int] = {}
    for one, request in zip(addresses, requests, strict=True):
        if request.public in first:
            what = f'public="{request.public}" stands in line {first[request.public]} already'
            one.meaning(what, "keep one of the two, with the ports of both")
        elif request.public is not None:
            first[request.public] = one.line


def _read_address(one: Reading) -> AddressRequest:
    one.check_shape()
    request = AddressRequest(
        public=one.require("public", values.public, 'add public="203.0.113.10" or public="auto"'),
        pool=one.take("pool", values.pool, None),
        private=one.take("private", values.address, None),
        mode=one.take("mode", values.choice(Mode), Mode.NAT),
        client=one.take("client", values.choice(Client), None),
        interface=one.take("interface", values.mac, None),
        egress=one.take("egress", values.choice(Egress), Egress.HOME),
        required=one.take("required", values.yes_or_no, False),  # noqa: FBT003 - the default
        ports=_read_ports(one.children("port")),
        allow=_read_allow(one.children("allow")),
        line=one.line,
    )
    if request.public is not None and "pool" in one.element.attrib:
        right = 'leave pool out, or write public="auto"'
        one.form("pool stands beside a fixed public address", right)
    for attribute, address in (("public", request.public), ("private", request.private)):
        one.doubt(attribute, meaning.unusable(address) if address else None)
    for wrong in meaning.contradictions(request):
        one.meaning(wrong.what, wrong.right)
    return request


def _read_ports(elements: Sequence[Reading]) -> tuple[PortRange, ...]:
    read = [(_read_port(one), one) for one in elements]
    lines = {id(ports): one for ports, one in read if ports}
    good = [ports for ports, _ in read if ports]
    for ports, other in meaning.overlapping(good):
        what = f"{ports.protocol} ports {_span(ports)} and {_span(other)} overlap"
        lines[id(ports)].meaning(what, f"take {_span(other)} out of one of the two")
    return tuple(good)


def _span(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"


def _read_port(one: Reading) -> PortRange | None:
    """The ports of a ``<port>``; None where they can not be told."""
    one.check_shape()
    protocol = one.require("protocol", values.choice(Protocol), 'add protocol="tcp" or "udp"')
    listen = one.require("listen", values.ports, 'add listen="80" or a range, "27000-27100"')
    target = one.take("target", values.port, None)
    wrong = meaning.reversed_range(*listen) if listen else None
    one.doubt("listen", wrong)
    if protocol is None or listen is None or wrong:
        return None
    found = PortRange(protocol, *listen, target or listen[0])
    one.doubt("target", meaning.past_the_end(found))
    return found


def _read_allow(elements: Sequence[Reading]) -> tuple[IPNetwork, ...]:
    found = []
    for one in elements:
        one.check_shape()
        network = one.require("source", values.prefix, 'add source="198.51.100.0/24"')
        if network is not None:
            one.doubt("source", values.host_bits(one.element.get("source", "")))
            found.append(network)
    return tuple(found)

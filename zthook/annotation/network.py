"""Reads libvirt's network XML."""

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from lxml.etree import _Element as Element

from zthook.annotation.checking import annotation_error
from zthook.annotation.document import NotReadable, parse
from zthook.annotation.domain import attribute_of, not_libvirts
from zthook.model.addresses import IPAddress
from zthook.model.ethernet import mac_of_duid
from zthook.model.guests import Network, NetworkKind

_KINDS = {
    "nat": NetworkKind.NAT,
    "route": NetworkKind.ROUTE,
    "open": NetworkKind.OPEN,
    "bridge": NetworkKind.BRIDGE,
    "private": NetworkKind.MACVTAP,
    "vepa": NetworkKind.MACVTAP,
    "passthrough": NetworkKind.MACVTAP,
}


def read_network(xml: bytes) -> Network:
    """The network that a libvirt network XML describes.

    Raises AnnotationError where it is no network XML: not readable, another root element,
    no name, an address that is none.
    """
    try:
        document = parse(xml)
    except NotReadable as error:
        raise annotation_error((error.problem,)) from error
    root = document.root
    name = root.findtext("name")
    if root.tag != "network" or not name:
        raise not_libvirts(document, "network", "" if root.tag != "network" else "it has no <name>")
    try:
        own = [_own_address(ip) for ip in root.iterfind("ip") if ip.get("address")]
        static = _static_entries(root)
    except ValueError as error:
        raise not_libvirts(document, "network", str(error)) from error
    return Network(
        name=name,
        kind=_kind(root),
        bridge=attribute_of(root, "bridge", "name"),
        gateways=tuple(address.ip for address in own),
        prefixes=tuple(address.network for address in own),
        static=static,
    )


def _kind(network: Element) -> NetworkKind:
    forward = network.find("forward")
    if forward is None or forward.get("mode") == "none":
        return NetworkKind.ISOLATED
    kind = _KINDS.get(forward.get("mode", "nat"), NetworkKind.OTHER)
    if kind is NetworkKind.BRIDGE and network.find("bridge") is None:
        # "bridge" with an interface instead of a bridge is libvirt's macvtap in bridge mode.
        return NetworkKind.MACVTAP
    return kind


def _own_address(ip: Element) -> IPv4Interface | IPv6Interface:
    address = ip.get("address", "")
    length = ip.get("prefix") or ip.get("netmask") or _usual_prefix(ip_address(address))
    return ip_interface(f"{address}/{length}")


def _usual_prefix(address: IPAddress) -> int:
    """The prefix length libvirt takes where none is given (virSocketAddrGetIPPrefix)."""
    if address.version == 6:
        return 64
    first = address.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24


def _static_entries(network: Element) -> tuple[tuple[str, IPAddress], ...]:
    """Those that are bound to a MAC. One by name alone promises nothing: a guest says its own."""
    return tuple(
        (mac.lower(), ip_address(address))
        for host in network.iterfind("ip/dhcp/host")
        if (mac := host.get("mac") or mac_of_duid(host.get("id", "")))
        and (address := host.get("ip"))
    )

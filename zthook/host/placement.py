"""Which of a guest's interfaces an address belongs to, and what can be done there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from zthook.errors import Refused
from zthook.model.guests import Domain, Interface, Network, NetworkKind
from zthook.model.mappings import Rewriter
from zthook.model.publication import AddressRequest, Client, Egress, Mode

Networks = Mapping[str, Network]
"""The active libvirt networks by name."""


@dataclass(frozen=True, slots=True)
class Placement:
    """An interface with its true kind, and who does what to the client's address there.

    ``known`` is false while the libvirt network it names is not active: then only the
    address can be reserved. ``carried`` is false where the packets come past this host, by
    another machine of its LAN.
    """

    interface: Interface
    network: Network | None
    client: Client
    rewriter: Rewriter
    known: bool = True
    carried: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address needs of the interface that it is for. ``version`` is that of IP, None
    while the edge has not chosen an address.
    """

    request: AddressRequest
    version: int | None
    via: IPv4Address | None

    @property
    def needs_default_route(self) -> tuple[str, str] | None:
        """What works only where the guest's default route goes through this host, and what
        would be right where it does not.
        """
        if self.request.mode is Mode.ROUTED:
            return 'mode="routed"', 'say mode="nat"'
        if self.request.egress is Egress.PUBLIC:
            return 'egress="public"', 'leave egress out or say egress="home"'
        if self.request.client is Client.KEEP:
            return 'client="keep"', 'leave client out or say client="hide"'
        return None


def resolved(interface: Interface, networks: Networks) -> tuple[Interface, Network | None]:
    """The interface as its libvirt network makes it: kind and bridge; and that network."""
    network = networks.get(interface.network or "")
    if network is None:
        return interface, None
    bridge = interface.bridge or network.bridge
    return replace(interface, kind=network.kind, bridge=bridge), network


def place(asked: Asked, domain: Domain, networks: Networks) -> Placement:
    """The interface of ``domain`` that the request is for.

    Named by its MAC it is that one; else the first that fits: one whose network holds the
    annotated private address before others, then in the order of the XML. Raises Refused
    saying why none does.
    """
    refusal: Refused | None = None
    for interface in _chosen(asked.request, domain, networks):
        try:
            return _fitting(asked, *resolved(interface, networks), domain, networks)
        except Refused as error:
            refusal = refusal or error
    raise refusal or Refused(
        f"guest {domain.name!r} has no network interface: give it one on a libvirt network or a "
        "bridge"
    )


def _chosen(request: AddressRequest, domain: Domain, networks: Networks) -> list[Interface]:
    if request.interface is None:
        return sorted(
            domain.interfaces,
            key=lambda interface: not _holds(resolved(interface, networks)[1], request),
        )
    named = [one for one in domain.interfaces if one.mac == request.interface]
    if not named:
        macs = ", ".join(one.mac for one in domain.interfaces) or "none"
        raise Refused(
            f"no interface has the MAC {request.interface}; this guest's are {macs}: take one of "
            "them, or leave interface out"
        )
    return named


def _holds(network: Network | None, request: AddressRequest) -> bool:
    if network is None or request.private is None:
        return False
    return any(request.private in prefix for prefix in network.prefixes)


def _fitting(
    asked: Asked,
    interface: Interface,
    network: Network | None,
    domain: Domain,
    networks: Networks,
) -> Placement:
    if network is None and _is_unknown(interface):
        client = asked.request.client or Client.KEEP
        return Placement(interface, None, client, Rewriter.EDGE, known=False)
    _check_family(asked, interface, network)
    if asked.via is not None:
        _check_gateway(asked, interface)
        return Placement(interface, network, Client.HIDE, Rewriter.EDGE, carried=False)
    client, rewriter = _treatment(asked, interface, _way_past(domain, networks))
    return Placement(interface, network, client, rewriter)


def _check_family(asked: Asked, interface: Interface, network: Network | None) -> None:
    """libvirt gives its own networks no IPv6 unless they say so."""
    own = interface.kind.routed_by_host or interface.kind is NetworkKind.ISOLATED
    if asked.version != 6 or network is None or not own:
        return
    if not any(prefix.version == 6 for prefix in network.prefixes):
        raise Refused(
            f"network {network.name!r} has no IPv6 prefix: give it one (virsh net-edit "
            f"{network.name}), as in <ip family='ipv6' address='fd00:122::1' prefix='64'/>"
        )


def _way_past(domain: Domain, networks: Networks) -> Interface | None:
    """The interface by which the guest's default route goes past this host, as far as can be
    told from here: the first of its XML that has a router at all, where that is not this host.
    """
    found = (resolved(interface, networks)[0] for interface in domain.interfaces)
    first = next((one for one in found if one.kind is not NetworkKind.ISOLATED), None)
    if first is None or first.kind.routed_by_host or _is_unknown(first):
        return None
    return first


def _is_unknown(interface: Interface) -> bool:
    """Its network is not active, or libvirt has not been asked yet: its kind shows later."""
    return interface.kind is NetworkKind.OTHER and interface.network is not None


def _treatment(
    asked: Asked, interface: Interface, past: Interface | None
) -> tuple[Client, Rewriter]:
    """What the guest sees of the client, and who rewrites where it is hidden.

    ``past`` is the interface by which the guest's default route leads elsewhere. Raises
    Refused with the reason.
    """
    kind, client = interface.kind, asked.request.client
    if kind is NetworkKind.OTHER:
        raise Refused(
            f"interface {interface.mac} hangs on no bridge or libvirt network: put it on one"
        )
    if kind is NetworkKind.MACVTAP:
        raise Refused(
            "a macvtap guest can not talk to its own host: it is reached only through "
            "another machine (via in host.toml); a bridge instead of macvtap works"
        )
    if kind.routed_by_host and (past is None or client is Client.KEEP):
        return client or Client.KEEP, Rewriter.EDGE
    if asked.needs_default_route is not None:
        what, right = asked.needs_default_route
        if not kind.routed_by_host or past is None:
            raise Refused(
                f"{what} needs the guest's default route to go through this host, and "
                f"{_where(interface)} does not lead there; {right}"
            )
        raise Refused(
            f"{what} needs the guest's default route to go through this host, and it goes by the "
            f"guest's first interface, {past.mac} on {_where(past)}; {right}, or say "
            'client="keep" if the guest itself routes otherwise'
        )
    return Client.HIDE, Rewriter.HOST


def _check_gateway(asked: Asked, interface: Interface) -> None:
    """The edge's packets come by another machine of the LAN, and their answers leave by it."""
    kind = interface.kind
    if kind is NetworkKind.OTHER:
        raise Refused(
            f"interface {interface.mac} hangs on no bridge or libvirt network: put it on one"
        )
    if asked.needs_default_route is not None:
        what, right = asked.needs_default_route
        raise Refused(f"{what} can not work behind a LAN gateway (via in host.toml): {right}")
    if kind in {NetworkKind.NAT, NetworkKind.ISOLATED}:
        raise Refused(
            f"{_where(interface)} lets nobody in from a LAN gateway (via in host.toml): put the "
            "guest on a bridge to the LAN, or on a network with <forward mode='route'/>"
        )


def _where(interface: Interface) -> str:
    if interface.network:
        return f"network {interface.network!r} ({interface.kind})"
    return f"bridge {interface.bridge}" if interface.bridge else f"a {interface.kind} interface"

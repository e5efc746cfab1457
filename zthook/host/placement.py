"""Which of a guest's interfaces an address belongs to, and what can be done there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zthook.errors import Refused
from zthook.model.guests import Domain, Interface, Network, NetworkKind
from zthook.model.mappings import Rewriter
from zthook.model.publication import AddressRequest, Client

Networks = Mapping[str, Network]
"""The active libvirt networks by name."""


@dataclass(frozen=True, slots=True)
class Placement:
    """An interface with its true kind, and who does what to the client's address there.

    ``known`` is false while the libvirt network it names is not active: then only the
    address can be reserved.
    """

    interface: Interface
    network: Network | None
    client: Client
    rewriter: Rewriter
    known: bool = True


def resolved(interface: Interface, networks: Networks) -> tuple[Interface, Network | None]:
    """The interface as its libvirt network makes it: kind and bridge; and that network."""
    network = networks.get(interface.network or "")
    if network is None:
        return interface, None
    bridge = interface.bridge or network.bridge
    return replace(interface, kind=network.kind, bridge=bridge), network


def place(request: AddressRequest, domain: Domain, networks: Networks, *, via: bool) -> Placement:
    """The interface of ``domain`` that ``request`` is for.

    Named by its MAC it is that one; else the first that fits: one whose network holds the
    annotated private address before others, then in the order of the XML. Raises Refused
    saying why none does. ``via``: this host sits behind a LAN gateway.
    """
    chosen = _chosen(request, domain, networks)
    refusal: Refused | None = None
    for interface in chosen:
        try:
            return _fitting(request.client, *resolved(interface, networks), via=via)
        except Refused as error:
            refusal = refusal or error
    raise refusal or Refused(f"guest {domain.name!r} has no network interface")


def _chosen(request: AddressRequest, domain: Domain, networks: Networks) -> list[Interface]:
    if request.interface is None:
        return sorted(
            domain.interfaces,
            key=lambda interface: not _holds(resolved(interface, networks)[1], request),
        )
    named = [one for one in domain.interfaces if one.mac == request.interface]
    if not named:
        macs = ", ".join(one.mac for one in domain.interfaces) or "none"
        raise Refused(f"no interface has the MAC {request.interface}; this guest's are: {macs}")
    return named


def _holds(network: Network | None, request: AddressRequest) -> bool:
    if network is None or request.private is None:
        return False
    return any(request.private in prefix for prefix in network.prefixes)


def _fitting(
    asked: Client | None, interface: Interface, network: Network | None, *, via: bool
) -> Placement:
    if interface.kind is NetworkKind.OTHER and interface.network and network is None:
        # Not active, or libvirt has not been asked yet: its kind decides later.
        return Placement(interface, None, asked or Client.KEEP, Rewriter.EDGE, known=False)
    client, rewriter = treatment(asked, interface, via=via)
    return Placement(interface, network, client, rewriter)


def treatment(asked: Client | None, interface: Interface, *, via: bool) -> tuple[Client, Rewriter]:
    """What the guest sees of the client, and who rewrites where it is hidden.

    ``asked`` None takes what fits the network. Raises Refused with the reason.
    """
    kind, where = interface.kind, _where(interface)
    if kind is NetworkKind.OTHER:
        raise Refused(f"interface {interface.mac} hangs on no bridge or libvirt network")
    if via:
        return _behind_gateway(asked, kind)
    if kind.routed_by_host:
        return asked or Client.KEEP, Rewriter.EDGE
    if kind is NetworkKind.MACVTAP:
        raise Refused(
            "a macvtap guest can not talk to its own host: it is reached only through "
            "another machine (via in host.toml); a bridge instead of macvtap works"
        )
    if asked is Client.KEEP:
        raise Refused(
            f'client="keep" needs the guest\'s default route to go through this host, and {where} '
            'does not lead there; leave client out or say client="hide"'
        )
    return Client.HIDE, Rewriter.HOST


def _behind_gateway(asked: Client | None, kind: NetworkKind) -> tuple[Client, Rewriter]:
    if kind.routed_by_host or kind is NetworkKind.ISOLATED:
        raise Refused(
            "not supported yet: a guest on a libvirt network of a host behind a LAN gateway (via)"
        )
    if asked is Client.KEEP:
        raise Refused(
            'client="keep" can not work behind a LAN gateway (via in host.toml): '
            'leave client out or say client="hide"'
        )
    return Client.HIDE, Rewriter.EDGE


def _where(interface: Interface) -> str:
    if interface.network:
        return f"network {interface.network!r} ({interface.kind})"
    return f"bridge {interface.bridge}" if interface.bridge else f"a {interface.kind} interface"

"""Small makers of guests, networks and requests for the host's tests."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from uuid import UUID

from zthook.host.addresses import Sightings
from zthook.host.desired import View
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, GuestState, Interface, Network, NetworkKind
from zthook.model.mappings import GuestRule
from zthook.model.publication import AddressRequest, Problem, Publication
from zthook.wire.messages import MappingReply

PUBLIC = IPv4Address("203.0.113.10")
OTHER_PUBLIC = IPv4Address("203.0.113.11")
PRIVATE = IPv4Address("192.168.122.50")
GATEWAY = IPv4Address("192.168.122.1")
MAC = "52:54:00:aa:00:01"

NAT = Network(
    name="default",
    kind=NetworkKind.NAT,
    bridge="virbr0",
    gateways=(GATEWAY,),
    prefixes=(IPv4Network("192.168.122.0/24"),),
)
LAB = Network(
    name="lab",
    kind=NetworkKind.ISOLATED,
    bridge="virbr1",
    gateways=(IPv4Address("10.9.0.1"),),
    prefixes=(IPv4Network("10.9.0.0/24"),),
)
DUAL = Network(
    name="dual",
    kind=NetworkKind.ROUTE,
    bridge="virbr2",
    gateways=(IPv4Address("192.168.124.1"), IPv6Address("fd00:124::1")),
    prefixes=(IPv4Network("192.168.124.0/24"), IPv6Network("fd00:124::/64")),
)
NETWORKS = {network.name: network for network in (NAT, LAB, DUAL)}


def uuid(number: int) -> UUID:
    return UUID(int=number)


def mac(number: int) -> str:
    return f"52:54:00:aa:00:{number:02x}"


def on_network(number: int = 1, network: str = "default") -> Interface:
    return Interface(mac(number), NetworkKind.OTHER, network=network)


def on_bridge(number: int = 1) -> Interface:
    return Interface(mac(number), NetworkKind.BRIDGE, bridge="br0")


def macvtap(number: int = 1) -> Interface:
    return Interface(mac(number), NetworkKind.MACVTAP)


def domain(
    number: int = 1,
    *requests: AddressRequest,
    interfaces: tuple[Interface, ...] | None = None,
    problems: tuple[Problem, ...] = (),
    wrong_but_required: bool = False,
) -> Domain:
    return Domain(
        uuid=uuid(number),
        name=f"web{number}",
        interfaces=(on_network(number),) if interfaces is None else interfaces,
        publication=Publication(requests) if requests else None,
        problems=problems,
        wrong_but_required=wrong_but_required,
    )


def guest(
    number: int = 1,
    *requests: AddressRequest,
    interfaces: tuple[Interface, ...] | None = None,
    state: GuestState = GuestState.RUNNING,
) -> Guest:
    return Guest(domain(number, *requests, interfaces=interfaces), state)


def rule_of(
    private: IPAddress, device: str = "virbr0", public: IPAddress = PUBLIC, **rest: object
) -> GuestRule:
    """The rule of a mapping whose packets arrive as its public address."""
    given = {"public": public, "arrives_as": public} | rest
    return GuestRule(private, device, **given)  # type: ignore[arg-type]


def answer(number: int, asked: str, **rest: object) -> MappingReply:
    """The edge's answer to a claim of guest ``number``, active where nothing else is said."""
    given = {"public": asked, "private": str(PRIVATE), "state": "active"} | rest
    return MappingReply(guest=str(uuid(number)), asked=asked, **given)  # type: ignore[arg-type]


def leased(*pairs: tuple[int, str], bridge: str = "virbr0") -> Sightings:
    return Sightings(leases={bridge: {mac(number): (ip_address(text),) for number, text in pairs}})


def view(*guests: Guest, sightings: Sightings | None = None, **rest: object) -> View:
    return View(
        guests=guests,
        networks=NETWORKS,
        sightings=sightings or Sightings(),
        **rest,  # type: ignore[arg-type]
    )

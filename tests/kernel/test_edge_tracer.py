"""Where packets end by the rules alone, for every kind of mapping; and that the kernel agrees."""

import contextlib
import socket
import time
from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.kernel.contract_edge import OVERLAY_ADDRESS, by_two, mapping, plane
from tests.kernel.driver import CONFIGURED, ON_LINK, ROUTED, Edge
from tests.kernel.namespace import Namespace
from tests.kernel.questions import SILENCE, eventually
from tests.kernel.topology import EchoServer, Topology
from tests.kernel.tracer import Packet, Tracer, each
from zthook.kernel.edge.ground import Surroundings
from zthook.kernel.edge.uplinks import ways_of
from zthook.kernel.links import DefaultRoute
from zthook.model.addresses import AddressRange
from zthook.model.mappings import Forwarding, OverlayDevice
from zthook.model.publication import Egress, Mode

CLIENT, STRANGER, NEIGHBOUR = "198.51.100.7", "198.51.100.8", "203.0.113.3"
PUBLIC, PRIVATE = "203.0.113.30", "192.168.122.50"
EDGE = str(OVERLAY_ADDRESS)
AROUND = Surroundings(
    overlay=OverlayDevice("zt0", 7, "02:00:00:00:00:fe", 2800, (OVERLAY_ADDRESS,)),
    indexes={"lo": 1, "eth0": 2, "zt0": 7},
    own=frozenset(map(IPv4Address, ("203.0.113.2", CONFIGURED, EDGE))),
    on_link={
        "eth0": (IPv4Network("203.0.113.0/24"),),
        "zt0": (IPv4Network("192.168.193.0/24"),),
    },
    defaults=(DefaultRoute(4, "eth0", IPv4Address("203.0.113.1")),),
    ways=(),
    routes_anyway=False,
)


def traced(*some: Forwarding) -> Tracer:
    return Tracer(plane(*some), AROUND)


def by_both(*some: Forwarding) -> Tracer:
    """With eth1 beside eth0: its addresses are 198.18.20.0/24, its router .1."""
    indexes = {**AROUND.indexes, "eth1": 3}
    found = by_two(
        *(
            replace(one, uplink="eth1") if one.public in IPv4Network("198.18.20.0/24") else one
            for one in some
        )
    )
    ranges = ("203.0.113.20-203.0.113.63", "192.0.2.0/24", "198.18.20.20-198.18.20.63")
    found = replace(found, pool_ranges=tuple(map(AddressRange.parse, ranges)))
    around = replace(
        AROUND,
        indexes=indexes,
        on_link={**AROUND.on_link, "eth1": (IPv4Network("198.18.20.0/24"),)},
        ways=ways_of(found, AROUND.defaults, indexes),
    )
    return Tracer(found, around)


def client(public: str = PUBLIC, port: int = 80, source: str = CLIENT, **more: object) -> Packet:
    """What a client sends."""
    return Packet(source, public, port=port, **more)


def member(home: int, source: str, to: str, port: int = 80, **more: object) -> Packet:
    """What comes from the overlay, from that home's MAC."""
    return Packet(source, to, port=port, device="zt0", mac=f"02:00:00:00:00:{home:02x}", **more)


def answered(tracer: Tracer, packet: Packet, home: int = 2) -> str:
    """Where the guest's answer to it ends."""
    came = tracer.send(packet)
    return str(
        tracer.send(
            came.packet.answer(device="zt0", mac=f"02:00:00:00:00:{home:02x}"),
        )
    )


def test_a_whole_address() -> None:
    tracer = traced(mapping(PUBLIC, PRIVATE))
    assert each(tracer, [client(), client(port=7, protocol="udp"), client(protocol="icmp")]) == [
        "192.168.122.50:80 by 192.168.193.2, from 198.51.100.7",
        "192.168.122.50:7 by 192.168.193.2, from 198.51.100.7",
        "192.168.122.50 by 192.168.193.2, from 198.51.100.7",
    ]
    assert answered(tracer, client()) == "198.51.100.7:40000 by eth0, from 203.0.113.30"
    assert answered(tracer, client(), home=9) == "dropped: from_routed_parts: nothing else"
    assert str(tracer.send(client("203.0.113.31"))) == (
        "dropped: astray: nobody's: it must not go round in circles"
    )
    assert str(tracer.send(client(PRIVATE))) == "dropped: to_ports: nothing else"


def test_a_hidden_client() -> None:
    tracer = traced(mapping(PUBLIC, PRIVATE, hide=True))
    assert str(tracer.send(client())) == (
        "192.168.122.50:80 by 192.168.193.2, from 192.168.193.222"
    )
    assert answered(tracer, client()) == "198.51.100.7:40000 by eth0, from 203.0.113.30"


def test_ports_that_guests_share() -> None:
    tracer = traced(
        mapping(PUBLIC, PRIVATE, ports=["tcp/80:8080", "udp/27000-27100", "tcp/90-92:100"]),
        mapping(PUBLIC, "192.168.122.60", host=3, ports=["tcp/443"], allow=["198.51.100.7"]),
    )
    assert each(
        tracer,
        [
            client(port=80),
            client(port=27050, protocol="udp"),
            client(port=91),
            client(port=443),
            client(port=443, source=STRANGER),
            client(port=81),
            client(port=80, protocol="udp"),
            client(port=27050),
            client(protocol="icmp"),
        ],
    ) == [
        "192.168.122.50:8080 by 192.168.193.2, from 198.51.100.7",
        "192.168.122.50:27050 by 192.168.193.2, from 198.51.100.7",
        "192.168.122.50:101 by 192.168.193.2, from 198.51.100.7",
        "192.168.122.60:443 by 192.168.193.3, from 198.51.100.7",
        "dropped: from_clients: nobody else",
        *["dropped: to_ports: nothing else"] * 4,
    ]
    assert answered(tracer, client(port=80)) == "198.51.100.7:40000 by eth0, from 203.0.113.30"
    assert answered(tracer, client(port=443), home=3).startswith("198.51.100.7:40000 by eth0")
    assert answered(tracer, client(port=443), home=2) == "dropped: from_routed_parts: nothing else"


def test_a_part_of_the_edges_own_address_leaves_it_the_rest() -> None:
    tracer = traced(mapping(CONFIGURED, PRIVATE, ports=["tcp/80"]))
    assert str(tracer.send(client(CONFIGURED))).startswith("192.168.122.50:80 by 192.168.193.2")
    assert str(tracer.send(client(CONFIGURED, 22))) == (
        "203.0.113.20:22 of the edge, from 198.51.100.7"
    )


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ports", [[], ["tcp/80"]], ids=["whole", "port"])
def test_allowed_clients(mode: Mode, ports: list[str]) -> None:
    tracer = traced(mapping(PUBLIC, PRIVATE, mode=mode, ports=ports, allow=["198.51.100.8/31"]))
    assert str(tracer.send(client(source=STRANGER))).endswith("by 192.168.193.2, from 198.51.100.8")
    assert str(tracer.send(client())).startswith("dropped: ")


@pytest.mark.parametrize("mode", list(Mode))
def test_errors_of_routers(mode: Mode) -> None:
    one = mapping(PUBLIC, PRIVATE, mode=mode, ports=["tcp/80"], allow=[CLIENT])
    tracer = traced(one)
    came = tracer.send(client())
    answer = client().answer()
    error = Packet("198.18.0.1", PUBLIC, "icmp", kind="destination-unreachable", about=answer)
    guest = PRIVATE if mode is Mode.NAT else PUBLIC
    assert str(tracer.send(error)) == f"{guest} by 192.168.193.2, from 198.18.0.1"
    report = member(2, PUBLIC, CLIENT, protocol="icmp", kind="time-exceeded", about=came.packet)
    assert str(tracer.send(report)) == "198.51.100.7 by eth0, from 203.0.113.30"
    assert str(tracer.send(replace(report, mac="02:00:00:00:00:09"))).startswith("dropped: ")


def test_a_routed_address() -> None:
    tracer = traced(mapping(PUBLIC, PRIVATE, mode=Mode.ROUTED), mapping("203.0.113.31", PRIVATE))
    assert str(tracer.send(client())) == "203.0.113.30:80 by 192.168.193.2, from 198.51.100.7"
    assert answered(tracer, client()) == "198.51.100.7:40000 by eth0, from 203.0.113.30"
    assert answered(tracer, client(), home=9) == "dropped: from_routed_parts: nothing else"
    assert tracer.connections == []


def test_a_routed_address_of_the_edge() -> None:
    tracer = traced(mapping(CONFIGURED, PRIVATE, mode=Mode.ROUTED, ports=["tcp/80-90"]))
    assert str(tracer.send(client(CONFIGURED))) == (
        "203.0.113.20:80 by 192.168.193.2, from 198.51.100.7"
    )
    assert str(tracer.send(client(CONFIGURED, 22))) == "dropped: to_routed_parts: nothing else"
    assert answered(tracer, client(CONFIGURED)).startswith("198.51.100.7:40000 by eth0")
    assert str(tracer.send(member(2, CONFIGURED, CLIENT, 7))).startswith("dropped: ")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "kind", [{}, {"ports": ["tcp/80"]}, {"allow": [STRANGER]}], ids=["whole", "ports", "allow"]
)
def test_what_guests_begin(mode: Mode, kind: dict[str, list[str]]) -> None:
    source = PRIVATE if mode is Mode.NAT else PUBLIC
    one = mapping(PUBLIC, PRIVATE, mode=mode, egress=Egress.PUBLIC, **kind)
    tracer = traced(one)
    begun = member(2, source, CLIENT, 443, source_port=5000)
    assert str(tracer.send(begun)) == "198.51.100.7:443 by eth0, from 203.0.113.30"
    answer = client(port=5000, source_port=443)
    assert str(tracer.send(answer)) == f"{source}:5000 by 192.168.193.2, from 198.51.100.7"
    if kind:
        assert str(tracer.send(replace(answer, source_port=444))).startswith("dropped: ")
    assert str(tracer.send(replace(begun, mac="02:00:00:00:00:09"))).startswith("dropped: ")
    assert str(tracer.send(member(2, "192.168.122.51", CLIENT))).startswith("dropped: ")
    at_home = traced(replace(one, egress=Egress.HOME))
    if mode is Mode.NAT or kind.get("ports"):
        assert str(at_home.send(begun)) == "dropped: from_routed_parts: nothing else"
    if kind:
        middle = replace(begun, flags=frozenset({"ack"}), source_port=5001)
        assert str(traced(one).send(middle)) == (
            "dropped: from_parts: an answer in a connection that was ended begins none"
        )


FAR, FAR_NEIGHBOUR = "198.18.20.30", "198.18.20.3"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ports", [[], ["tcp/80"]], ids=["whole", "port"])
@pytest.mark.parametrize("egress", list(Egress))
def test_answers_by_the_uplink_that_was_asked(mode: Mode, ports: list[str], egress: Egress) -> None:
    tracer = by_both(
        mapping(PUBLIC, PRIVATE, mode=mode, ports=ports, egress=egress),
        mapping(FAR, "192.168.122.60", mode=mode, ports=ports, egress=egress),
    )
    ways = {
        (CLIENT, PUBLIC): "203.0.113.1",
        (CLIENT, FAR): "198.18.20.1",
        (NEIGHBOUR, PUBLIC): "eth0",
        (NEIGHBOUR, FAR): "198.18.20.1",
        (FAR_NEIGHBOUR, PUBLIC): "203.0.113.1",
        (FAR_NEIGHBOUR, FAR): "eth1",
    }
    for (source, public), way in ways.items():
        asked = client(public, source=source, device="eth1" if public == FAR else "eth0")
        assert answered(tracer, asked) == f"{source}:40000 by {way}, from {public}"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ports", [[], ["tcp/80"]], ids=["whole", "port"])
def test_what_guests_begin_by_their_addresss_own_uplink(mode: Mode, ports: list[str]) -> None:
    for public, way in ((PUBLIC, "203.0.113.1"), (FAR, "198.18.20.1")):
        one = mapping(public, PRIVATE, mode=mode, ports=ports, egress=Egress.PUBLIC)
        tracer = by_both(one, mapping("203.0.113.31", PRIVATE, mode=Mode.NAT))
        source = PRIVATE if mode is Mode.NAT else public
        for flags in ({"syn"}, {"ack"}):
            begun = member(2, source, CLIENT, 443, flags=frozenset(flags))
            assert str(tracer.send(begun)) == f"{CLIENT}:443 by {way}, from {public}"


@pytest.mark.parametrize("mode", list(Mode))
def test_members_reach_addresses_of_either_uplink_over_the_edge(mode: Mode) -> None:
    guest = mapping(FAR, "192.168.122.60", host=3, mode=mode, egress=Egress.PUBLIC)
    tracer = by_both(mapping(PUBLIC, PRIVATE, mode=mode, egress=Egress.PUBLIC), guest)
    for sender, home, public, holder in (
        ("192.168.122.60" if mode is Mode.NAT else FAR, 3, PUBLIC, 2),
        (PRIVATE if mode is Mode.NAT else PUBLIC, 2, FAR, 3),
        ("192.168.193.9", 9, FAR, 3),
    ):
        asked = tracer.send(member(home, sender, public))
        assert asked.via == f"192.168.193.{holder}"
        back = asked.packet.answer(device="zt0", mac=f"02:00:00:00:00:{holder:02x}")
        assert str(tracer.send(back)) == (
            f"{sender}:40000 by {'zt0' if home == 9 else f'192.168.193.{home}'}, from {public}"
        )


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("ports", [[], ["tcp/80"]], ids=["whole", "port"])
@pytest.mark.parametrize("allow", [[], ["192.0.2.9", "192.168.193.3"]], ids=["all", "some"])
def test_from_inside(mode: Mode, ports: list[str], allow: list[str]) -> None:
    tracer = traced(
        mapping(PUBLIC, PRIVATE, mode=mode, ports=ports, allow=allow),
        mapping("192.0.2.9", "192.168.122.60", host=3, egress=Egress.PUBLIC),
        mapping("192.0.2.10", "192.168.122.61", host=3, egress=Egress.PUBLIC),
        mapping("192.0.2.11", "192.168.122.62", host=3),
    )
    guest = f"{PRIVATE if mode is Mode.NAT else PUBLIC}:80 by 192.168.193.2"
    refused = {
        Mode.NAT: "dropped: from_clients: nobody else",
        Mode.ROUTED: "dropped: to_routed_parts: nothing else",
    }[mode]
    own = Packet(CONFIGURED, PUBLIC, device="")
    assert each(
        tracer,
        [
            member(3, "192.168.122.60", PUBLIC),
            member(3, "192.168.122.61", PUBLIC),
            member(3, "192.168.193.3", PUBLIC),
            member(4, "192.168.193.4", PUBLIC),
            own,
        ],
    ) == [
        f"{guest}, from 192.0.2.9",
        f"{guest}, from 192.0.2.10" if not allow else refused,
        f"{guest}, from {EDGE}",
        f"{guest}, from {EDGE}" if not allow else refused,
        refused if allow else f"{guest}, from {EDGE if mode is Mode.NAT else CONFIGURED}",
    ]
    spoofed = "dropped: senders: nobody else"
    assert (
        each(
            tracer,
            [
                member(4, "192.168.122.60", PUBLIC),
                member(3, "192.168.122.62", PUBLIC),
                member(4, CLIENT, PUBLIC),
                member(3, "192.0.2.9", PUBLIC),
            ],
        )
        == [spoofed] * 4
    )
    if ports:
        assert str(tracer.send(member(3, "192.168.122.60", PUBLIC, 81))).startswith("dropped: ")


@pytest.mark.parametrize("mode", list(Mode))
def test_answers_to_those_inside(mode: Mode) -> None:
    tracer = traced(
        mapping(PUBLIC, PRIVATE, mode=mode),
        mapping("192.0.2.9", "192.168.122.60", host=3, egress=Egress.PUBLIC),
    )
    for packet, ends in (
        (member(3, "192.168.122.60", PUBLIC), "192.168.122.60:40000 by 192.168.193.3"),
        (member(4, "192.168.193.4", PUBLIC), "192.168.193.4:40000 by zt0"),
    ):
        assert answered(tracer, packet) == f"{ends}, from {PUBLIC}"
        assert answered(tracer, packet, home=9).startswith("dropped: ")
    assert answered(
        tracer, Packet(EDGE, PUBLIC, source_port=5000, device="")
    ) == f"{EDGE}:5000 of the edge, from " + (PUBLIC if mode is Mode.ROUTED else PRIVATE)


def test_one_routed_address_to_another_is_not_remembered() -> None:
    tracer = traced(
        mapping(PUBLIC, PRIVATE, mode=Mode.ROUTED),
        mapping("192.0.2.9", PRIVATE, host=3, mode=Mode.ROUTED, egress=Egress.PUBLIC),
    )
    packet = member(3, "192.0.2.9", PUBLIC)
    assert str(tracer.send(packet)) == f"{PUBLIC}:80 by 192.168.193.2, from 192.0.2.9"
    assert answered(tracer, packet) == f"192.0.2.9:40000 by 192.168.193.3, from {PUBLIC}"
    assert tracer.connections == []


def test_members_reach_nobody_by_a_private_address() -> None:
    tracer = traced(mapping(PUBLIC, PRIVATE), mapping("192.0.2.9", PRIVATE, mode=Mode.ROUTED))
    assert (
        str(tracer.send(member(3, "192.168.193.3", PRIVATE))) == "dropped: to_ports: nothing else"
    )
    assert str(tracer.send(member(2, "192.0.2.9", PRIVATE))) == "dropped: to_ports: nothing else"


# The same by the real kernel.


def kinds(edge: Edge) -> list[Forwarding]:
    """One of each: whole, hidden, ports, clients; and the same routed."""
    return [
        edge.mapping(ON_LINK),
        edge.mapping("203.0.113.31", hide=True),
        edge.mapping("203.0.113.32", ports=["tcp/80", "udp/70-90"], allow=[STRANGER]),
        edge.mapping("203.0.113.33", allow=["198.51.100.0/30", STRANGER]),
        edge.mapping(CONFIGURED, ports=["tcp/8080:80"], egress=Egress.PUBLIC),
        edge.mapping("203.0.113.34", 2, "192.168.122.50", mode=Mode.ROUTED),
        edge.mapping("203.0.113.35", 2, mode=Mode.ROUTED, ports=["tcp/80"], allow=[STRANGER]),
        edge.mapping(ROUTED, 2, mode=Mode.ROUTED, egress=Egress.PUBLIC, ports=["udp/80"]),
    ]


ASKED = [
    *(f"203.0.113.{number}" for number in (30, 31, 32, 33, 34, 35, 36)),
    CONFIGURED,
    ROUTED,
    "192.0.2.99",
    PRIVATE,
]


class Ears:
    """What reaches servers, each time since the time before."""

    def __init__(self, **servers: EchoServer) -> None:
        self._servers = servers

    def heard(self, expected: Collection[tuple[str, str]] = ()) -> set[tuple[str, str]]:
        """Names of servers and who reached them; ``expected`` are waited for."""
        found: set[tuple[str, str]] = set()

        def all_came() -> bool:
            for name, one in self._servers.items():
                found.update((name, source) for source, _ in one.peers)
                one.peers.clear()
            return found.issuperset(expected)

        eventually(all_came)
        return found


@pytest.mark.netns
def test_the_kernel_agrees(top: Topology, edge: Edge) -> None:
    edge.apply(*kinds(edge))
    prepare(top)
    around = edge.ask(lambda dataplane: dataplane._around)
    assert around is not None
    ears = Ears(
        guest1=top.server1,
        guest2=top.server2,
        edge=top.own_server,
        internet=top.serve(top.client, 80, b"internet "),
    )
    senders: dict[Packet, Namespace] = {
        Packet(CLIENT, ""): top.client,
        Packet(STRANGER, ""): top.client,
        Packet(NEIGHBOUR, ""): top.neighbour,
        Packet("192.168.193.3", "", device="zt0", mac=edge.macs[2]): top.home2,
        Packet(PRIVATE, "", device="zt0", mac=edge.macs[1]): top.guest1,
        Packet(EDGE, "", device=""): edge.inside,
    }
    sent: list[socket.socket] = []
    for sender, where in senders.items():
        # What does not go by the edge tells nothing of it.
        for public in {*ASKED, CLIENT} - {PRIVATE if sender.device == "zt0" else CLIENT}:
            for protocol, port in (("tcp", 80), ("tcp", 8080), ("udp", 80)):
                packet = replace(sender, destination=public, protocol=protocol, port=port)
                expected = reached(Tracer(edge.plane, around), packet)
                sent.append(knock(where, packet))
                if expected:
                    found = ears.heard(expected)
                    assert found == expected, f"{packet.source} to {public} {protocol}/{port}"
    time.sleep(SILENCE)
    assert ears.heard() == set()
    for one in sent:
        one.close()


def knock(where: Namespace, packet: Packet) -> socket.socket:
    """Send it and do not wait for what comes."""
    kind = socket.SOCK_STREAM if packet.protocol == "tcp" else socket.SOCK_DGRAM
    one = where.socket(kind)
    one.bind((packet.source, 0))
    one.settimeout(0)
    one.connect_ex((packet.destination, packet.port))
    with contextlib.suppress(OSError):
        one.send(b"?")
    return one


def prepare(top: Topology) -> None:
    """Hosts translate their routed addresses, and everybody sends everything to the edge."""
    top.home2.nft(
        """table ip routed {
    chain arriving { type nat hook prerouting priority dstnat;
        iifname zt0 ip daddr { 203.0.113.34, 203.0.113.35, 192.0.2.10 } dnat to 192.168.122.50; }
}"""
    )
    top.neighbour.run("ip route add 192.168.0.0/16 via 203.0.113.2")
    top.neighbour.run("ip route add 192.0.2.0/24 via 203.0.113.2")
    top.home2.run("ip route add default via 192.168.193.222")


def reached(tracer: Tracer, packet: Packet) -> set[tuple[str, str]]:
    """Which server hears of it, and as whose, if its answer comes back too."""
    verdict = tracer.send(packet)
    one = verdict.packet
    if verdict.dropped or one.port != 80:
        return set()
    guests = {"192.168.193.2": "guest1", "192.168.193.3": "guest2"}
    where = guests.get(verdict.via) if verdict.device == "zt0" else None
    if not verdict.device:
        where = "edge"
    elif verdict.device == "eth0" and one.destination == CLIENT:
        where = "internet"
    return {(where, one.source)} if where else set()

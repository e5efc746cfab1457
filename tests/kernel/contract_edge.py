"""What every EdgeDataplane does, the machine's and the one in memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.twin_worlds import back, twin_forwarding
from zthook.errors import KernelError
from zthook.kernel.edge.dataplane import EdgeDataplane
from zthook.kernel.edge.elements import all_elements
from zthook.kernel.edge.sets import FAMILIES, MAPPING_SETS, Elements
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Egress, Mode, PortRange, in_each_others_way

OVERLAY_ADDRESS = IPv4Address("192.168.193.222")
EMPTY = EdgePlane(
    overlay="zt0",
    overlay_address=OVERLAY_ADDRESS,
    uplinks=frozenset({"eth0"}),
    api_port=9443,
    pool_ranges=(AddressRange.parse("203.0.113.0/24"), AddressRange.parse("192.0.2.0/24")),
)
ON_LINK = IPv4Network("203.0.113.0/24")
CONFIGURED = IPv4Address("203.0.113.20")


CLIENT = IPv4Address("198.51.100.7")


@dataclass(frozen=True)
class Flow:
    """A UDP connection that the kernel remembers: as it came, and who answers whom."""

    source: IPv4Address
    destination: IPv4Address
    port: int
    answered_by: IPv4Address
    answered_from: int
    answered_to: IPv4Address


def through(
    one: Forwarding, port: int = 53, client: IPv4Address = CLIENT, target: int | None = None
) -> Flow:
    """A client's connection through a mapping, to the port that leads to ``target``."""
    guest = one.private if one.mode is Mode.NAT else one.arrives_as
    answering = port if target is None or one.mode is Mode.ROUTED else target
    return Flow(client, one.arrives_as, port, guest, answering, client)


def begun(one: Forwarding) -> Flow:
    """A connection that the mapping's guest began, and that left by the edge."""
    guest = one.private if one.mode is Mode.NAT else one.arrives_as
    return Flow(guest, CLIENT, 53, CLIENT, 53, one.arrives_as)


class World(ABC):
    """A kernel with eth0 (203.0.113.2/24, 203.0.113.20), zt0, and dataplanes over it.

    Where ``version`` is 6 it has the addresses' twins, which nobody sees from outside.
    """

    version = 4

    @abstractmethod
    def start(self) -> EdgeDataplane:
        """A dataplane as a fresh process has it; the one before ends."""

    @abstractmethod
    def translated(self) -> dict[IPv4Address, IPv4Address]:
        """Destination on the uplink → private address, read from the kernel."""

    @abstractmethod
    def routed(self) -> dict[IPv4Address, IPv4Address | None]:
        """Our routes in the kernel: destination → gateway."""

    @abstractmethod
    def answered(self) -> set[IPv4Address]:
        """Whom the kernel answers ARP for, at our request."""

    @abstractmethod
    def pinned(self) -> dict[IPv4Address, str]:
        """The MACs in permanent neighbour entries of ours, by what has them on the overlay."""

    @abstractmethod
    def settle(self, address: IPv4Address, mac: str) -> None:
        """Somebody else says for good who has an address on the overlay."""

    @abstractmethod
    def unsettle(self, address: IPv4Address) -> None:
        """Somebody takes away what is said of the address there, whoever said it."""

    @abstractmethod
    def elements(self) -> Elements:
        """What is in the table's sets and maps."""

    @abstractmethod
    def has_rule(self, version: int) -> bool:
        """Whether our table for the machine's own addresses is asked before the local one."""

    @abstractmethod
    def join(self) -> None:
        """Another uplink: eth1 (198.18.20.2/24), where no default route leads to."""

    @abstractmethod
    def rules(self) -> dict[tuple[int, int], int]:
        """Our policy rules by mark: preference and mark → table."""

    @abstractmethod
    def router(self, table: int) -> IPv4Address | None:
        """Where the table's default route leads."""

    @abstractmethod
    def connect(self, one: Flow) -> None:
        """An established connection that looks so."""

    @abstractmethod
    def is_connected(self, one: Flow) -> bool:
        """Whether it is still remembered."""

    @abstractmethod
    def flush(self) -> None:
        """Somebody else flushes the ruleset."""

    @abstractmethod
    def unplug(self) -> None:
        """The overlay's device goes away."""

    @abstractmethod
    def plug(self) -> None:
        """It comes back."""

    def led(self) -> dict[IPv4Address, IPv4Address | None]:
        """By which router leaves what has a public address, or a guest's private one."""
        found = {}
        tables = {mark: table for (place, mark), table in self.rules().items() if place == 12311}
        suffix = FAMILIES[self.version].suffix
        for name in ("way_of_public", "way_of_guest"):
            for one in self.elements()[f"{name}{suffix}"]:
                address, _, number = one.partition(" : goto uplink")
                found[back(ip_address(address))] = self.router(tables[int(number) << 29])
        return found

    def holds(self, some: Iterable[Forwarding]) -> bool:
        """Whether the kernel has these mappings with all that belongs to them, and no more."""
        some = list(some)
        nat = [f for f in some if f.mode is Mode.NAT]
        routed = [f for f in some if f.mode is Mode.ROUTED]
        on_link = {f.arrives_as for f in some if f.arrives_as in ON_LINK} - {CONFIGURED}
        ways: dict[IPv4Address, IPv4Address | None] = dict.fromkeys(on_link)
        ways |= {f.private: f.next_hop for f in nat} | {f.arrives_as: f.next_hop for f in routed}
        found = {k: v for k, v in self.elements().items() if k in MAPPING_SETS and v}
        return (
            self.translated() == {f.arrives_as: f.private for f in nat if not f.ports}
            and found == all_elements(some if self.version == 4 else map(twin_forwarding, some))
            and self.routed() == ways
            and self.answered() == on_link | {f.arrives_as for f in routed} & {CONFIGURED}
            and self.has_rule(self.version) == any(f.arrives_as == CONFIGURED for f in routed)
            and self.pinned()
            == {f.next_hop: f.next_hop_mac for f in some if f.pinned or self.version == 6}
        )


def mapping(
    public: str = "203.0.113.30",
    private: str = "192.168.122.50",
    host: int = 2,
    *,
    pinned: bool = True,
    hide: bool = False,
    mode: Mode = Mode.NAT,
    egress: Egress = Egress.HOME,
    ports: Iterable[str] = (),
    allow: Iterable[str] = (),
) -> Forwarding:
    return Forwarding(
        public=IPv4Address(public),
        arrives_as=IPv4Address(public),
        private=IPv4Address(private),
        next_hop=IPv4Address(f"192.168.193.{host}"),
        next_hop_mac=f"02:00:00:00:00:{host:02x}",
        uplink="eth0",
        pinned=pinned,
        hide=hide,
        mode=mode,
        egress=egress,
        ports=tuple(map(PortRange.parse, ports)),
        allow=tuple(map(ip_network, allow)),
    )


def plane(*some: Forwarding) -> EdgePlane:
    return replace(EMPTY, forwardings=frozenset(some))


FIRST_ROUTER, SECOND_ROUTER = IPv4Address("203.0.113.1"), IPv4Address("198.18.20.1")


def by_two(*some: Forwarding) -> EdgePlane:
    """With a second uplink, whose router edge.toml tells."""
    return replace(
        plane(*some),
        uplinks=frozenset({"eth0", "eth1"}),
        pool_ranges=(*EMPTY.pool_ranges, AddressRange.parse("198.18.20.0/24")),
        gateways=frozenset({("eth1", SECOND_ROUTER)}),
    )


A = mapping("203.0.113.30", "192.168.122.50")
FAR = replace(mapping("198.18.20.30", "192.168.122.70", egress=Egress.PUBLIC), uplink="eth1")
B = mapping("192.0.2.10", "192.168.122.60", host=3, hide=True)
C = mapping(str(CONFIGURED), "192.168.122.50")
HTTP = mapping("203.0.113.32", "192.168.122.50", ports=["tcp/80", "udp/80"])
MAIL = mapping("203.0.113.32", "192.168.122.60", host=3, ports=["tcp/25", "udp/20-30"])

PUBLICS = ["203.0.113.30", "203.0.113.31", str(CONFIGURED), "192.0.2.10"]
PORTS = [(), ("tcp/80",), ("tcp/81:80", "udp/100-110"), ("tcp/200-203:300", "udp/53")]
mappings = st.builds(
    mapping,
    st.sampled_from(PUBLICS),
    st.sampled_from(["192.168.122.50", "192.168.122.51"]),
    st.just(2),
    pinned=st.booleans(),
    hide=st.booleans(),
    mode=st.sampled_from(Mode),
    egress=st.sampled_from(Egress),
    ports=st.sampled_from(PORTS),
    allow=st.sampled_from([(), ("198.51.100.0/24", "10.0.0.0/8")]),
)


def displaced(some: Iterable[Forwarding], by: Forwarding) -> list[Forwarding]:
    """What is left of ``some`` where ``by`` is granted."""
    return [
        one
        for one in some
        if one.key != by.key
        and (
            one.arrives_as != by.arrives_as
            or (one.mode is by.mode and not in_each_others_way(one.ports, by.ports))
        )
    ]


def together(some: Iterable[Forwarding]) -> list[Forwarding]:
    """Those of them that can be there at the same time; later ones count."""
    found: list[Forwarding] = []
    for one in some:
        found = [*displaced(found, one), one]
    return found


some_mappings = st.lists(mappings, max_size=3).map(together)


class EdgeContract:
    """``world`` is a fixture of the suites that inherit this."""

    def test_a_plane_is_made_so_once(self, world: World) -> None:
        dataplane = world.start()
        assert dataplane.apply(plane(A, B, C))
        assert world.holds([A, B, C])
        assert dataplane.apply(plane(A, B, C)) == []
        assert not dataplane.drifted()

    def test_what_another_process_left_is_adopted(self, world: World) -> None:
        world.start().apply(plane(A, B, C))
        fresh = world.start()
        assert fresh.drifted()
        assert fresh.apply(plane(A, B, C)) == []
        assert not fresh.drifted()

    def test_orphans_go(self, world: World) -> None:
        world.start().apply(plane(A, B, C))
        repairs = world.start().apply(plane(B))
        assert "mapping of 203.0.113.30 is nobody's: removed" in repairs
        assert world.holds([B])

    def test_nothing_is_a_plane_too(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        dataplane.apply(plane())
        assert world.holds([])

    def test_increments_are_as_good_as_a_pass(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        dataplane.change(grant=[B, C])
        assert world.holds([A, B, C])
        dataplane.change(withdraw=[A], grant=[])
        assert world.holds([B, C])
        assert not dataplane.drifted()
        assert dataplane.apply(plane(B, C)) == []

    def test_a_route_stays_for_who_shares_it(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, C))
        dataplane.change(withdraw=[A])
        assert world.holds([C])
        dataplane.change(withdraw=[C])
        assert world.holds([])

    def test_withdrawing_what_is_not_so_is_nothing(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        dataplane.change(withdraw=[B, replace(A, private=IPv4Address("192.168.122.99"))])
        assert world.holds([A])
        dataplane.change(withdraw=[replace(A, next_hop_mac="02:00:00:00:00:99")])
        assert world.holds([])

    def test_granting_what_is_so_is_nothing(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        world.connect(through(A))
        dataplane.change(grant=[A])
        assert world.holds([A])
        assert world.is_connected(through(A))

    def test_connections_end_with_their_mapping_alone(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B, C))
        for one in map(through, [A, B, C]):
            world.connect(one)
        dataplane.change(withdraw=[A])
        assert not world.is_connected(through(A))
        dataplane.apply(plane(C))
        assert not world.is_connected(through(B))
        assert world.is_connected(through(C))

    def test_what_a_crash_left_of_a_mapping_ends_with_the_next_pass(self, world: World) -> None:
        to_the_edge = Flow(CLIENT, CONFIGURED, 53, CONFIGURED, 53, CLIENT)
        elsewhere = through(mapping("198.51.100.9"))
        world.start().apply(plane(A, B))
        left = through(mapping("203.0.113.31", "192.168.122.51"))
        for one in (through(A), through(B), left, to_the_edge, elsewhere):
            world.connect(one)
        world.start().apply(plane(A, B))
        assert not world.is_connected(left)
        for one in (through(A), through(B), to_the_edge, elsewhere):
            assert world.is_connected(one)

    def test_connections_move_but_do_not_change_their_guest(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        connection = through(A)
        world.connect(connection)
        moved = mapping(str(A.public), str(A.private), host=3)
        dataplane.change(grant=[moved])
        assert world.holds([moved])
        dataplane.apply(plane(A))
        assert world.holds([A])
        assert world.is_connected(connection)
        dataplane.change(withdraw=[A], grant=[moved])
        assert world.holds([moved])
        assert not world.is_connected(connection)

    def test_a_grant_displaces(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        world.connect(through(A))
        other = mapping(str(A.public), "192.168.122.77", host=3)
        dataplane.change(grant=[other])
        assert world.holds([other])
        assert not world.is_connected(through(A))
        assert dataplane.apply(plane(other)) == []

    def test_guests_share_an_address_by_ports(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(HTTP, MAIL))
        assert world.holds([HTTP, MAIL])
        flows = {one.key: through(one, 80 if one is HTTP else 25) for one in (HTTP, MAIL)}
        for flow in flows.values():
            world.connect(flow)
        dataplane.change(withdraw=[HTTP])
        assert world.holds([MAIL])
        assert [world.is_connected(flow) for flow in flows.values()] == [False, True]
        dataplane.change(grant=[HTTP])
        assert dataplane.apply(plane(HTTP, MAIL)) == []

    def test_other_ports_end_what_goes_to_those_before(self, world: World) -> None:
        dataplane = world.start()
        wide = replace(HTTP, ports=(*HTTP.ports, PortRange.parse("udp/53:5353")))
        kept, gone = through(wide, 80), through(wide, 53, target=5353)
        for way in ("change", "apply"):
            dataplane.apply(plane(wide))
            for flow in (kept, gone):
                world.connect(flow)
            if way == "change":
                dataplane.change(grant=[HTTP])
            else:
                dataplane.apply(plane(HTTP))
            assert world.holds([HTTP])
            assert [world.is_connected(flow) for flow in (kept, gone)] == [True, False]

    def test_other_clients_end_what_those_before_have(self, world: World) -> None:
        dataplane = world.start()
        stranger = IPv4Address("198.51.100.99")
        kept, gone = through(A), through(A, client=stranger)
        narrow = replace(A, allow=(ip_network("198.51.100.7/32"),))
        for way in ("change", "apply"):
            dataplane.apply(plane(A))
            for flow in (kept, gone):
                world.connect(flow)
            if way == "change":
                dataplane.change(grant=[narrow])
            else:
                dataplane.apply(plane(narrow))
            assert world.holds([narrow])
            assert [world.is_connected(flow) for flow in (kept, gone)] == [True, False]

    def test_what_a_crash_left_to_clients_that_may_no_more_ends_with_the_next_pass(
        self, world: World
    ) -> None:
        narrow = replace(A, allow=(ip_network("198.51.100.7/32"),))
        kept, gone = through(A), through(A, client=IPv4Address("198.51.100.99"))
        world.start().apply(plane(narrow, B))
        for flow in (kept, gone, through(B)):
            world.connect(flow)
        world.start().apply(plane(narrow, B))
        stay = [world.is_connected(flow) for flow in (kept, gone, through(B))]
        assert stay == [True, False, True]

    def test_what_a_guest_began_ends_with_its_egress(self, world: World) -> None:
        dataplane = world.start()
        leaving = replace(A, egress=Egress.PUBLIC)
        for way in ("change", "apply", "withdraw"):
            dataplane.apply(plane(leaving, B))
            assert world.holds([leaving, B])
            for flow in (through(A), begun(A)):
                world.connect(flow)
            if way == "change":
                dataplane.change(grant=[A])
            elif way == "apply":
                dataplane.apply(plane(A, B))
            else:
                dataplane.change(withdraw=[leaving])
            assert not world.is_connected(begun(A))
            assert world.is_connected(through(A)) == (way != "withdraw")

    def test_a_routed_address_of_its_own(self, world: World) -> None:
        dataplane = world.start()
        own, other = replace(C, mode=Mode.ROUTED), replace(A, mode=Mode.ROUTED)
        dataplane.apply(plane(other))
        dataplane.change(grant=[own])
        assert world.holds([own, other])
        assert world.start().apply(plane(own, other)) == []
        dataplane = world.start()
        dataplane.apply(plane(own, other))
        dataplane.change(withdraw=[own])
        assert world.holds([other])
        assert not dataplane.drifted()
        assert dataplane.apply(plane(other)) == []

    def test_a_mode_may_change(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(C))
        world.connect(through(C))
        routed = replace(C, mode=Mode.ROUTED)
        dataplane.change(grant=[routed])
        assert world.holds([routed])
        assert not world.is_connected(through(C))
        dataplane.apply(plane(C))
        assert world.holds([C])

    def test_a_tracked_routed_address_ends_like_any_other(self, world: World) -> None:
        dataplane = world.start()
        part = replace(A, mode=Mode.ROUTED, egress=Egress.PUBLIC, ports=HTTP.ports)
        dataplane.apply(plane(part, B))
        for flow in (through(part, 80), begun(part)):
            world.connect(flow)
        dataplane.change(withdraw=[part])
        assert not world.is_connected(through(part, 80))
        assert not world.is_connected(begun(part))

    def test_a_granted_address_leaves_no_connection_to_the_edge(self, world: World) -> None:
        to_the_edge = Flow(CLIENT, CONFIGURED, 53, CONFIGURED, 53, CLIENT)
        dataplane = world.start()
        dataplane.apply(plane())
        world.connect(to_the_edge)
        dataplane.change(grant=[C])
        assert not world.is_connected(to_the_edge)

    def test_first_there_is_a_pass(self, world: World) -> None:
        with pytest.raises(KernelError):
            world.start().change(grant=[A])

    def test_a_flushed_ruleset_is_noticed(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        world.connect(through(A))
        world.flush()
        assert dataplane.drifted()
        assert dataplane.apply(plane(A, B))[0] == "table inet zthook was missing: loaded"
        assert world.holds([A, B])
        assert world.is_connected(through(A))
        assert not dataplane.drifted()

    def test_routes_wait_for_the_overlay(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        world.unplug()
        assert dataplane.drifted()
        assert dataplane.apply(plane(A, B)) == [
            "the device zt0 is away: the routes of 2 mappings wait for it"
        ]
        assert dataplane.apply(plane(A, B)) == [], "which is no news"
        assert not dataplane.drifted()
        assert world.routed() == {}
        dataplane.change(withdraw=[A])
        world.plug()
        assert dataplane.drifted()
        dataplane.apply(plane(B))
        assert world.holds([B])

    def test_an_edge_without_its_overlay_address_keeps_who_hid(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        homeless = replace(plane(A, B), overlay_address=None)
        assert dataplane.apply(homeless) == []
        dataplane.apply(plane(A))
        dataplane.apply(replace(plane(A, B), overlay_address=None))
        assert dataplane.apply(plane(A, B)) == [], "it is one for all of them"

    def test_an_overlay_that_is_not_known_yet_costs_no_mapping(self, world: World) -> None:
        world.start().apply(plane(A, B))
        unknown = replace(plane(A, B), overlay="", overlay_address=None)
        fresh = world.start()
        assert "removed" not in " ".join(fresh.apply(unknown))
        assert world.holds([A, B])
        fresh.apply(replace(unknown, forwardings=frozenset([A])))
        assert world.holds([A])

    def test_who_a_host_is_nobody_else_says(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        for way in ("settle", "unsettle"):
            if way == "settle":
                world.settle(A.next_hop, "02:00:00:00:00:66")
            else:
                world.unsettle(A.next_hop)
            assert dataplane.drifted()
            (line,) = dataplane.apply(plane(A, B))
            assert line.startswith("neighbour ")
            assert line.endswith(f" at {A.next_hop_mac} was missing: added")
            assert world.holds([A, B])
            assert not dataplane.drifted()

    def test_a_host_whose_mac_changes_is_followed(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        world.connect(through(A))
        for mac, way in (("02:00:00:00:07:02", "change"), ("02:00:00:00:08:02", "apply")):
            changed = replace(A, next_hop_mac=mac)
            if way == "change":
                dataplane.change(grant=[changed])
            else:
                dataplane.apply(plane(changed, B))
            assert world.holds([changed, B])
            assert world.is_connected(through(A))
            assert dataplane.apply(plane(changed, B)) == []

    def test_traffic_is_told_for_each_mapping(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        assert dataplane.traffic() == {
            (A.public, A.private): Traffic(),
            (B.public, B.private): Traffic(),
        }

    def test_what_the_edge_needs_itself_is_told(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A))
        protected = dataplane.protected()
        assert protected[OVERLAY_ADDRESS] == "the edge's own address on the overlay"
        assert protected[IPv4Address("203.0.113.1")] == "the router of the edge's default route"
        assert CONFIGURED not in protected
        assert ON_LINK in dataplane.connected()
        assert IPv4Network("203.0.113.20/32") in dataplane.connected()
        assert dataplane.mac_of(IPv4Address("192.168.193.2")) == "02:00:00:00:00:02"
        assert dataplane.mac_of(IPv4Address("192.168.193.9")) is None

    def test_a_host_may_be_asked_for_again(self, world: World) -> None:
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        world.connect(through(A))
        asked = replace(A, pinned=False)
        dataplane.change(grant=[asked])
        assert world.holds([asked, B])
        assert world.start().apply(plane(asked, B)) == []
        fresh = world.start()
        fresh.apply(plane(A, B))
        assert world.holds([A, B])
        fresh.apply(plane(asked, B))
        assert world.holds([asked, B])
        assert world.is_connected(through(A))
        fresh.change(withdraw=[B])
        assert world.pinned().keys() == ({A.next_hop} if self.pinned_anyway else set())

    def test_whose_address_two_have_is_asked(self, world: World) -> None:
        other = replace(B, next_hop=A.next_hop)
        dataplane = world.start()
        dataplane.apply(plane(A))
        dataplane.change(grant=[other])
        assert world.pinned() == {}
        assert dataplane.apply(plane(A, other)) == []
        dataplane.change(withdraw=[A])
        assert world.holds([other])

    def test_what_others_say_for_good_stays(self, world: World) -> None:
        world.settle(A.next_hop, "02:00:00:00:00:77")
        dataplane = world.start()
        dataplane.apply(plane(A, B))
        assert world.pinned() == {B.next_hop: B.next_hop_mac}
        assert dataplane.mac_of(A.next_hop) == "02:00:00:00:00:77"
        dataplane.change(withdraw=[A, B])
        assert world.pinned() == {}
        assert dataplane.mac_of(A.next_hop) == "02:00:00:00:00:77"

    pinned_anyway = False

    def test_uplinks_have_ways_of_their_own(self, world: World) -> None:
        world.join()
        dataplane = world.start()
        dataplane.apply(by_two())
        assert world.rules() == {}
        dataplane.change(grant=[A])
        first = {A.arrives_as: FIRST_ROUTER}
        second = {FAR.arrives_as: SECOND_ROUTER, FAR.private: SECOND_ROUTER}
        assert world.led() == first
        dataplane.change(grant=[FAR])
        assert world.led() == first | second
        assert not dataplane.drifted()
        fresh = world.start()
        assert fresh.apply(by_two(A, FAR)) == []
        fresh.change(withdraw=[A])
        assert world.led() == second
        world.unplug()
        fresh.apply(by_two(FAR))
        assert world.led() == second
        world.plug()
        fresh.apply(by_two(FAR))
        fresh.change(withdraw=[FAR])
        assert world.rules() == {}
        assert world.routed() == {}

    def test_uplinks_that_all_go_by_the_default_route_have_none(self, world: World) -> None:
        world.join()
        dataplane = world.start()
        dataplane.apply(by_two(A, FAR))
        known = replace(by_two(A, FAR), gateways=frozenset({("eth0", FIRST_ROUTER)}))
        assert dataplane.misled() == ()
        dataplane.apply(known)
        assert dataplane.misled() == (
            "the router of uplink eth1 is not known: what is asked there is answered by eth0;"
            " write gateway into the [[pool]] in edge.toml",
        )
        assert world.rules() == {}
        assert world.led() == {}
        assert dataplane.apply(known) == []
        assert not dataplane.drifted()
        dataplane.apply(replace(known, forwardings=frozenset([A])))
        assert dataplane.misled() == (), "nobody asks there"

    def test_any_order_of_changes(self, world: World) -> None:
        """Increments and passes from any number of processes lead to the same kernel."""
        steps = st.tuples(st.booleans(), st.booleans(), some_mappings, some_mappings)

        @settings(deadline=None, max_examples=self.examples, database=None)
        @given(st.lists(steps, min_size=1, max_size=6))
        def check(history: list[tuple[bool, bool, list[Forwarding], list[Forwarding]]]) -> None:
            has: list[Forwarding] = []
            dataplane = world.start()
            dataplane.apply(plane())
            for anew, flushed, withdraw, grant in history:
                if flushed:
                    world.flush()
                if anew or flushed:
                    dataplane = world.start()
                    dataplane.apply(plane(*has))
                dataplane.change(withdraw=withdraw, grant=grant)
                gone = {one.key for one in withdraw}
                has = together([*(one for one in has if one.key not in gone), *grant])
                assert world.holds(has)
                assert not dataplane.drifted()
            assert dataplane.apply(plane(*has)) == []

        check()

    examples = 10

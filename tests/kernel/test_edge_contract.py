"""The contract, kept by the machine's kernel and by the one in memory."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import count
from typing import cast

import pytest

from tests.kernel.contract_edge import (
    CONFIGURED,
    FAR,
    FIRST_ROUTER,
    OVERLAY_ADDRESS,
    A,
    B,
    C,
    EdgeContract,
    Flow,
    World,
    by_two,
    mapping,
    plane,
    through,
)
from tests.kernel.namespace import Namespace
from tests.kernel.nft_listing import read_listing
from tests.kernel.questions import eventually
from tests.kernel.twin_worlds import TwinDataplane, back
from tests.kernel_host.twins import six
from zthook.errors import KernelError
from zthook.kernel.connection_table import Connection
from zthook.kernel.edge.dataplane import EdgeDataplane, KernelEdgeDataplane
from zthook.kernel.edge.fake import Crash, FakeEdgeDataplane, FakeEdgeKernel
from zthook.kernel.edge.ground import BEFORE_LOCAL, ROUTES6_FOR_ALL
from zthook.kernel.edge.sets import CLOSED6, Elements
from zthook.kernel.links import DefaultRoute, link_local_of
from zthook.model.publication import Egress, Mode

D = mapping("203.0.113.33", "192.168.122.70")


class FakeWorld(World):
    def __init__(self, version: int = 4) -> None:
        self.version = version
        self.kernel = FakeEdgeKernel()
        own = (IPv4Address("203.0.113.2"), CONFIGURED, OVERLAY_ADDRESS)
        self.kernel.own |= {ip_address(self._spoken(one)) for one in own}
        self.kernel.on_link["eth0"] = (ip_network(self._spoken("203.0.113.0/24")),)
        self.kernel.defaults = [
            DefaultRoute(version, "eth0", ip_address(self._spoken(FIRST_ROUTER)))
        ]
        self.kernel.macs[IPv4Address("192.168.193.2")] = "02:00:00:00:00:02"
        self._device = self.kernel.device

    def _spoken(self, text: object) -> str:
        return str(text) if self.version == 4 else six(str(text))

    def start(self) -> EdgeDataplane:
        return spoken(FakeEdgeDataplane(self.kernel), self.version)

    def translated(self) -> dict[IPv4Address, IPv4Address]:
        name = "inward" if self.version == 4 else "inward6"
        pairs = (one.split(" : ") for one in self.kernel.sets[name])
        return {back(ip_address(one)): back(ip_address(other)) for one, other in pairs}

    def routed(self) -> dict[IPv4Address, IPv4Address | None]:
        return {
            back(one.destination.network_address): back(one.via) if one.via else None
            for one in self.kernel.routes
        }

    def answered(self) -> set[IPv4Address]:
        return {back(one.address) for one in self.kernel.proxies}

    def pinned(self) -> dict[IPv4Address, str]:
        return {back(one.address): one.mac for one in self.kernel.pinned}

    def settle(self, address: IPv4Address, mac: str) -> None:
        assert self.kernel.device is not None
        for one in [one for one in self.kernel.pinned if back(one.address) == address]:
            self.kernel.pinned.remove(one)  # it stays ours, and says another MAC
            self.kernel.pinned.add(replace(one, mac=mac))
            self.kernel.touch()
            return
        self.kernel.settled.add((address, self.kernel.device.index))
        self.kernel.macs[address] = mac

    def unsettle(self, address: IPv4Address) -> None:
        self.kernel.pinned = {one for one in self.kernel.pinned if back(one.address) != address}
        self.kernel.touch()

    def elements(self) -> Elements:
        return {name: frozenset(some) for name, some in self.kernel.sets.items()}

    def has_rule(self, version: int) -> bool:
        return any(
            (rule.version, rule.table) == (version, BEFORE_LOCAL) for rule in self.kernel.rules
        )

    def join(self) -> None:
        self.kernel.indexes["eth1"] = 3
        self.kernel.on_link["eth1"] = (ip_network(self._spoken("198.18.20.0/24")),)

    def rules(self) -> dict[tuple[int, int], int]:
        return {(rule.preference, rule.mark): rule.table for rule in self.kernel.rules if rule.mask}

    def router(self, table: int) -> IPv4Address | None:
        found = {one.via for one in self.kernel.routes if one.table == table}
        return next((back(one) for one in found if one is not None), None)

    def connect(self, one: Flow) -> None:
        self.kernel.connections.add(self._remembered(one))

    def is_connected(self, one: Flow) -> bool:
        return self._remembered(one) in self.kernel.connections

    def _remembered(self, one: Flow) -> Connection:
        """The entry as conntrack has it."""

        def packed(address: IPv4Address) -> bytes:
            return ip_address(self._spoken(address)).packed

        return Connection(
            source=packed(one.source),
            destination=packed(one.destination),
            protocol=socket.IPPROTO_UDP,
            port=one.port,
            answered_by=packed(one.answered_by),
            answered_to=packed(one.answered_to),
            answering_port=one.answered_from,
            listed=b"",
        )

    def flush(self) -> None:
        self.kernel.flush()

    def unplug(self) -> None:
        self.kernel.lose_overlay()

    def plug(self) -> None:
        self.kernel.device = self._device
        self.kernel.touch()


def spoken(dataplane: EdgeDataplane, version: int) -> EdgeDataplane:
    """One that speaks that IP version."""
    return dataplane if version == 4 else cast("EdgeDataplane", TwinDataplane(dataplane))


class Inside:
    """A real dataplane whose calls run in its namespace's thread."""

    def __init__(self, where: Namespace) -> None:
        self._where = where
        self._dataplane = where.call(KernelEdgeDataplane)

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._dataplane, name)
        return lambda *args, **named: self._where.call(lambda: method(*args, **named))


class RealWorld(World):
    def __init__(self, where: Namespace) -> None:
        self._where, self.version = where, where.version
        self._dataplane: EdgeDataplane | None = None
        where.run(
            "ip link add eth0 type veth peer name eth0-far",
            "ip link set eth0-far up",
            "ip link set eth0 up",
            "ip addr add 203.0.113.2/24 dev eth0",
            "ip addr add 203.0.113.20/32 dev eth0",
            "ip route add default via 203.0.113.1",
        )
        self.plug()

    def start(self) -> EdgeDataplane:
        self.stop()
        self._dataplane = spoken(cast("EdgeDataplane", Inside(self._where)), self.version)
        return self._dataplane

    def stop(self) -> None:
        if self._dataplane is not None:
            self._dataplane.close()
            self._dataplane = None

    def translated(self) -> dict[IPv4Address, IPv4Address]:
        name = "inward" if self.version == 4 else "inward6"
        pairs = (one.split(" : ") for one in self.elements()[name])
        return {back(ip_address(one)): back(ip_address(other)) for one, other in pairs}

    def routed(self) -> dict[IPv4Address, IPv4Address | None]:
        routes = json.loads(self._where.run("ip -j route show table all proto 123"))
        return {
            back(ip_address(one["dst"])): back(ip_address(one["gateway"]))
            if "gateway" in one
            else None
            for one in routes
        }

    def answered(self) -> set[IPv4Address]:
        return {
            back(ip_address(line.split()[0]))
            for line in self._where.run("ip neigh show proxy").splitlines()
        }

    def pinned(self) -> dict[IPv4Address, str]:
        listed = self._where.run("ip neigh show nud permanent").splitlines()
        ours = (line.split() for line in listed if "proto 123" in line)
        return {back(ip_address(one[0])): one[one.index("lladdr") + 1] for one in ours}

    def _said_at(self, address: IPv4Address) -> str:
        found = [one for one in self.pinned().items() if one[0] == address]
        return str(link_local_of(found[0][1])) if self.version == 6 else str(address)

    def settle(self, address: IPv4Address, mac: str) -> None:
        said = self._said_at(address)
        self._where.run(f"ip neigh replace {said} lladdr {mac} dev zt0 nud permanent")

    def unsettle(self, address: IPv4Address) -> None:
        self._where.run(f"ip neigh del {self._said_at(address)} dev zt0")

    def elements(self) -> Elements:
        listed = json.loads(self._where.run("nft -j list table inet zthook"))
        return read_listing(listed["nftables"]).elements

    def has_rule(self, version: int) -> bool:
        # 0: from all lookup TABLE
        listed = self._where.run(f"ip -{version} rule show").splitlines()
        tables = [line.split()[4] for line in listed if line.startswith("0:")]
        return tables == [str(BEFORE_LOCAL), "local"]

    def join(self) -> None:
        self._where.run(
            "ip link add eth1 type veth peer name eth1-far",
            "ip link set eth1-far up",
            "ip link set eth1 up",
            "ip addr add 198.18.20.2/24 dev eth1",
        )
        # The kernel gives it a link-local address, and tells of that, when it comes to it.
        shown = "ip -6 addr show dev eth1 scope link -tentative"
        assert eventually(lambda: "fe80" in self._where.run(shown))

    def rules(self) -> dict[tuple[int, int], int]:
        rows = json.loads(self._where.run("ip -N -j rule show"))
        return {
            (row["priority"], int(row["fwmark"], 16)): int(row["table"])
            for row in rows
            if "fwmark" in row
        }

    def router(self, table: int) -> IPv4Address | None:
        rows = json.loads(self._where.run(f"ip -j route show default table {table}"))
        return next((back(ip_address(row["gateway"])) for row in rows), None)

    def connect(self, one: Flow) -> None:
        port = 5000 + one.destination.packed[-1] + one.source.packed[-1]
        self._where.run(
            f"conntrack -I -p udp -t 600 -s {one.source} -d {one.destination}"
            f" --sport {port} --dport {one.port} -r {one.answered_by} -q {one.answered_to}"
            f" --reply-port-src {one.answered_from} --reply-port-dst {port}",
            check=False,  # it may be there
        )
        assert self.is_connected(one)

    def is_connected(self, one: Flow) -> bool:
        listed = self._where.run(
            f"conntrack -L -s {one.source} -d {one.destination} -r {one.answered_by}"
            f" -p udp --dport {one.port}"
        )
        return f"dport={one.port}" in listed

    def flush(self) -> None:
        self._where.run("nft flush ruleset")

    def unplug(self) -> None:
        self._where.run("ip link del zt0")

    def plug(self) -> None:
        self._where.run(
            "ip link add zt0 type veth peer name zt0-far",
            "ip link set zt0-far up",
            "ip link set zt0 up",
            f"ip addr add {OVERLAY_ADDRESS}/24 dev zt0",
            "ip neigh add 192.168.193.2 lladdr 02:00:00:00:00:02 dev zt0 nud stale",
        )


class TestFake(EdgeContract):
    examples = 100

    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestFakeOfIPv6(EdgeContract):
    examples = 50
    test_what_the_edge_needs_itself_is_told = None  # type: ignore[assignment]  # of both at once
    test_whose_address_two_have_is_asked = None  # type: ignore[assignment]  # it goes by MACs
    test_what_others_say_for_good_stays = None  # type: ignore[assignment]  # the same
    pinned_anyway = True

    @pytest.fixture
    def world(self) -> World:
        return FakeWorld(6)


@pytest.mark.netns
class TestReal(EdgeContract):
    examples = 10

    @pytest.fixture
    def world(self) -> Iterator[World]:
        where = Namespace("contract")
        try:
            made = RealWorld(where)
            yield made
            made.stop()
        finally:
            where.close()


@pytest.mark.netns
class TestRealOfIPv6(EdgeContract):
    examples = 5
    test_what_the_edge_needs_itself_is_told = None  # type: ignore[assignment]  # of both at once
    test_whose_address_two_have_is_asked = None  # type: ignore[assignment]  # it goes by MACs
    test_what_others_say_for_good_stays = None  # type: ignore[assignment]  # the same
    pinned_anyway = True

    @pytest.fixture
    def world(self) -> Iterator[World]:
        where = Namespace("contract", 6)
        try:
            made = RealWorld(where)
            yield made
            made.stop()
        finally:
            where.close()


E = mapping(str(CONFIGURED), "192.168.122.80", mode=Mode.ROUTED)
F = mapping("203.0.113.34", "192.168.122.50", ports=["tcp/80"], egress=Egress.PUBLIC)
G = mapping("203.0.113.35", "192.168.122.81", mode=Mode.ROUTED, ports=["tcp/80", "udp/5-9"])
STEPS_OF_A_CHANGE = 14


@pytest.mark.parametrize("step", range(1, STEPS_OF_A_CHANGE + 1))
@pytest.mark.parametrize("error", [KernelError("no"), Crash()], ids=["refusal", "crash"])
@pytest.mark.parametrize("way", ["change", "apply"])
@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("version", [4, 6])
def test_every_interruption_is_mended_by_the_next_pass(
    step: int, error: Exception, way: str, back: bool, version: int
) -> None:
    before, after = [A, C, F], [B, D, E, G]
    if back:
        before, after = after, before
    world, whole = FakeWorld(version), FakeWorld(version)
    dataplane = world.start()
    dataplane.apply(plane(*before))
    for one in before:
        world.connect(through(one, 80))
    world.kernel.fail_at(step, error)
    ways: dict[str, Callable[[], object]] = {
        "change": lambda: dataplane.change(withdraw=before, grant=after),
        "apply": lambda: dataplane.apply(plane(*after)),
    }
    with pytest.raises(type(error)):
        ways[way]()
    assert dataplane.drifted()
    with pytest.raises(KernelError):
        dataplane.change(grant=[A])
    world.start().apply(plane(*after))
    whole.start().apply(plane(*after))
    assert world.holds(after)
    assert world.kernel.dump() == whole.kernel.dump()
    assert not any(world.is_connected(through(one, 80)) for one in before if one.mode is Mode.NAT)


@pytest.mark.parametrize("way", ["change", "apply"])
@pytest.mark.parametrize("back", [False, True], ids=["first", "last"])
def test_every_interruption_of_the_first_and_the_last_mapping_of_ipv6(back: bool, way: str) -> None:
    """Forwarding is on for as long as there is one, and then nothing else passes."""
    before, after = ([A], []) if back else ([], [A])
    for step in count(1):
        world, whole = FakeWorld(6), FakeWorld(6)
        dataplane = world.start()
        dataplane.apply(plane(*before))
        world.kernel.fail_at(step, Crash())
        try:
            if way == "change":
                dataplane.change(withdraw=before, grant=after)
            else:
                dataplane.apply(plane(*after))
        except Crash:
            assert not forwards(world) or is_closed(world), f"open after step {step - 1}"
            world.start().apply(plane(*after))
            whole_plane = whole.start()
            whole_plane.apply(plane(*before))
            whole_plane.apply(plane(*after))
            assert world.kernel.dump() == whole.kernel.dump()
            assert forwards(world) == is_closed(world) == bool(after)
            continue
        assert step > 5
        return


def forwards(world: FakeWorld) -> bool:
    return world.kernel.sysctls[ROUTES6_FOR_ALL] == "1"


def is_closed(world: FakeWorld) -> bool:
    return bool(world.kernel.sets.get(CLOSED6))


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
def test_every_interruption_of_other_uplinks_is_mended_too(back: bool) -> None:
    before, after = ([FAR], [A]) if back else ([], [A, FAR])
    for step in count(1):
        world, whole = FakeWorld(), FakeWorld()
        for one in (world, whole):
            one.join()
        dataplane = world.start()
        dataplane.apply(by_two(*before))
        world.kernel.fail_at(step, Crash())
        try:
            dataplane.change(withdraw=before, grant=after)
        except Crash:
            world.start().apply(by_two(*after))
            whole.start().apply(by_two(*after))
            assert world.kernel.dump() == whole.kernel.dump()
            continue
        assert step > 5
        return


def test_the_order_of_steps() -> None:
    world = FakeWorld()
    dataplane = world.start()
    dataplane.apply(plane())
    world.kernel.steps.clear()
    dataplane.change(grant=[A])
    granting = [step.split()[0] for step in world.kernel.steps]
    expected = ["pin", "set", "set", "set", "nft", "open"]
    assert granting == expected, (
        "who the host is, routes and the ARP answer, then elements, then other firewalls"
    )
    world.kernel.steps.clear()
    dataplane.change(withdraw=[A])
    withdrawing = [step.split()[0] for step in world.kernel.steps]
    assert withdrawing == ["nft", "end", "remove", "remove", "no", "remove", "open"]


def test_forwarding_is_turned_on_after_the_rules() -> None:
    world = FakeWorld()
    world.start().apply(plane(A))
    steps = world.kernel.steps
    assert steps.index("nft") < steps.index("set net/ipv4/conf/eth0/forwarding 1")

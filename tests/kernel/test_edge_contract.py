"""The contract, kept by the machine's kernel and by the one in memory."""

import json
import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import cast

import pytest

from tests.kernel.contract_edge import (
    CONFIGURED,
    OVERLAY_ADDRESS,
    A,
    B,
    C,
    EdgeContract,
    World,
    mapping,
    plane,
)
from tests.kernel.topology import Namespace
from zthook.errors import KernelError
from zthook.kernel.conntrack import Through
from zthook.kernel.edge import EdgeDataplane, KernelEdgeDataplane
from zthook.kernel.edge_ground import through
from zthook.kernel.fake_edge import Crash, FakeEdgeDataplane, FakeEdgeKernel

D = mapping("203.0.113.33", "192.168.122.70")


class FakeWorld(World):
    def __init__(self) -> None:
        self.kernel = FakeEdgeKernel()
        self.kernel.own |= {IPv4Address("203.0.113.2"), CONFIGURED, OVERLAY_ADDRESS}
        self.kernel.on_link["eth0"] = (IPv4Network("203.0.113.0/24"),)
        self.kernel.macs[IPv4Address("192.168.193.2")] = "02:00:00:00:00:02"
        self._device = self.kernel.device

    def start(self) -> EdgeDataplane:
        return FakeEdgeDataplane(self.kernel)

    def translated(self) -> dict[IPv4Address, IPv4Address]:
        pairs = (one.split(" : ") for one in self.kernel.sets["inward"])
        return {IPv4Address(public): IPv4Address(private) for public, private in pairs}

    def routed(self) -> dict[IPv4Address, IPv4Address | None]:
        return {
            IPv4Address(one.destination.network_address): IPv4Address(one.via) if one.via else None
            for one in self.kernel.routes
        }

    def answered(self) -> set[IPv4Address]:
        return {one.address for one in self.kernel.proxies}

    def connect(self, one: Through) -> None:
        self.kernel.connections.add(one)

    def is_connected(self, one: Through) -> bool:
        return one in self.kernel.connections

    def flush(self) -> None:
        self.kernel.flush()

    def unplug(self) -> None:
        self.kernel.lose_overlay()

    def plug(self) -> None:
        self.kernel.device = self._device
        self.kernel.touch()


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
        self._where = where
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
        self._dataplane = cast("EdgeDataplane", Inside(self._where))
        return self._dataplane

    def stop(self) -> None:
        if self._dataplane is not None:
            self._dataplane.close()
            self._dataplane = None

    def translated(self) -> dict[IPv4Address, IPv4Address]:
        listed = self._where.run("nft list map inet zthook inward")
        found = re.findall(r"([\d.]+) : ([\d.]+)", listed)
        return {IPv4Address(public): IPv4Address(private) for public, private in found}

    def routed(self) -> dict[IPv4Address, IPv4Address | None]:
        routes = json.loads(self._where.run("ip -j route show proto 123"))
        return {
            IPv4Address(one["dst"]): IPv4Address(one["gateway"]) if "gateway" in one else None
            for one in routes
        }

    def answered(self) -> set[IPv4Address]:
        return {
            IPv4Address(line.split()[0])
            for line in self._where.run("ip neigh show proxy").splitlines()
        }

    def connect(self, one: Through) -> None:
        port = 5000 + one.arrives_as.packed[-1]
        self._where.run(
            f"conntrack -I -p udp -t 600 -s 198.51.100.7 -d {one.arrives_as}"
            f" --sport {port} --dport 53 -r {one.private} -q 198.51.100.7"
            f" --reply-port-src 53 --reply-port-dst {port}"
        )

    def is_connected(self, one: Through) -> bool:
        listed = self._where.run(f"conntrack -L -d {one.arrives_as} -r {one.private}")
        return "dport=53" in listed

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
            "ip neigh add 192.168.193.2 lladdr 02:00:00:00:00:02 dev zt0",
        )


class TestFake(EdgeContract):
    examples = 200

    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


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


STEPS_OF_A_CHANGE = 9


@pytest.mark.parametrize("step", range(1, STEPS_OF_A_CHANGE + 1))
@pytest.mark.parametrize("error", [KernelError("no"), Crash()], ids=["refusal", "crash"])
@pytest.mark.parametrize("way", ["change", "apply"])
def test_every_interruption_is_mended_by_the_next_pass(
    step: int, error: Exception, way: str
) -> None:
    world, whole = FakeWorld(), FakeWorld()
    dataplane = world.start()
    dataplane.apply(plane(A, C))
    for connected in through([A, C]):
        world.connect(connected)
    world.kernel.fail_at(step, error)
    ways: dict[str, Callable[[], object]] = {
        "change": lambda: dataplane.change(withdraw=[A], grant=[B, D]),
        "apply": lambda: dataplane.apply(plane(B, C, D)),
    }
    with pytest.raises(type(error)):
        ways[way]()
    assert dataplane.drifted()
    with pytest.raises(KernelError):
        dataplane.change(grant=[A])
    world.start().apply(plane(B, C, D))
    whole.start().apply(plane(B, C, D))
    assert world.holds([B, C, D])
    assert world.kernel.dump() == whole.kernel.dump()


def test_the_order_of_steps() -> None:
    world = FakeWorld()
    dataplane = world.start()
    dataplane.apply(plane())
    world.kernel.steps.clear()
    dataplane.change(grant=[A])
    granting = [step.split()[0] for step in world.kernel.steps]
    assert granting == ["set", "set", "set", "nft"], "routes and the ARP answer, then elements"
    world.kernel.steps.clear()
    dataplane.change(withdraw=[A])
    withdrawing = [step.split()[0] for step in world.kernel.steps]
    assert withdrawing == ["nft", "end", "remove", "remove", "remove"]


def test_forwarding_is_turned_on_after_the_rules() -> None:
    world = FakeWorld()
    world.start().apply(plane(A))
    steps = world.kernel.steps
    assert steps.index("nft") < steps.index("set net/ipv4/conf/eth0/forwarding 1")

"""One contract, on the kernel and on the fake."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.kernel_host.contract import EDGE, EDGE_MAC, OVERLAY, HostDataplaneContract, World
from tests.kernel_host.inside import Inside, own_name
from tests.lab.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.host.dataplane import HostDataplane, KernelHostDataplane
from zthook.kernel.host.fake import FakeHostDataplane


class FakeWorld:
    def __init__(self) -> None:
        self.dataplane = FakeHostDataplane(OVERLAY)
        self.dataplane.prefixes[OVERLAY] = (IPv4Network("192.168.193.0/24"),)

    def traces(self) -> bool:
        return bool(self.dataplane.objects)

    def flush(self) -> None:
        self.dataplane.objects.discard("table")

    def remove_policy_rule(self) -> None:
        self.dataplane.objects.discard("IPv4 policy rules")

    def pinned(self) -> dict[str, str]:
        found = (one.split() for one in self.dataplane.objects if one.startswith("neighbour "))
        return {words[1]: words[3] for words in found}

    def unpin(self) -> None:
        self.dataplane.objects.remove(f"neighbour {EDGE} at {EDGE_MAC} dev {OVERLAY}")

    def remove_overlay(self) -> None:
        self.dataplane.remove_device(OVERLAY)

    def return_overlay(self) -> None:
        self.dataplane.add_device(OVERLAY)

    def see_edge(self) -> None:
        self.dataplane.known[OVERLAY][EDGE] = EDGE_MAC

    def leave_edge(self) -> None:
        self.dataplane.silent.add(EDGE)

    def have_address(self, address: IPv4Address) -> None:
        self.dataplane.own.add(address)

    def route_by(self, router: IPv4Address) -> None:
        self.dataplane.routers.add(router)

    def another(self) -> HostDataplane:
        self.dataplane.restart()
        return self.dataplane


class _Within:
    """The dataplane, called in its namespace's thread."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._dataplane = inside(KernelHostDataplane)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._dataplane, name)
        return lambda *arguments: self._inside(method, *arguments)


class KernelWorld:
    def __init__(self) -> None:
        self.space = Namespace.create(own_name("contract"))
        self.inside = Inside(self.space)
        self.return_overlay()
        self.dataplane: HostDataplane = _Within(self.inside)
        self._made = [self.dataplane]

    def close(self) -> None:
        for one in self._made:
            one.close()
        self.inside.close()
        self.space.remove()

    def _shown(self, *command: str) -> str:
        return self.space.run(*command).stdout

    def traces(self) -> bool:
        routes = self._shown("ip", "route", "show", "table", "all", "proto", "123")
        rules = self._shown("ip", "rule", "show")
        left = self._shown("nft", "list", "ruleset") or routes or self.pinned()
        return bool(left) or "fwmark" in rules

    def flush(self) -> None:
        self.space.run("nft", "delete", "table", "inet", "zthook_host")

    def remove_policy_rule(self) -> None:
        self.space.ip("rule del preference 12300")

    def pinned(self) -> dict[str, str]:
        listed = self._shown("ip", "neigh", "show", "nud", "permanent").splitlines()
        found = (line.split() for line in listed if "proto 124" in line)
        return {words[0]: words[words.index("lladdr") + 1] for words in found}

    def unpin(self) -> None:
        self.space.ip(f"neigh del {EDGE} dev {OVERLAY}")

    def remove_overlay(self) -> None:
        self.space.ip(f"link del {OVERLAY}")

    def return_overlay(self) -> None:
        self.space.ip(
            f"link add {OVERLAY} type bridge",
            f"link set {OVERLAY} up",
            f"addr add 192.168.193.2/24 dev {OVERLAY}",
        )

    def see_edge(self) -> None:
        self.space.ip(f"neigh replace {EDGE} lladdr {EDGE_MAC} dev {OVERLAY} nud reachable")

    def leave_edge(self) -> None:
        """It is a bridge without ports: nobody answers there anyway."""

    def have_address(self, address: IPv4Address) -> None:
        self.space.ip(f"addr add {address}/32 dev lo")

    def route_by(self, router: IPv4Address) -> None:
        self.space.ip(f"route add default via {router}")

    def another(self) -> HostDataplane:
        one: HostDataplane = _Within(self.inside)
        self._made.append(one)
        return one


class TestFake(HostDataplaneContract):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()

    def test_a_fault_is_raised_by_every_call(self) -> None:
        dataplane = FakeHostDataplane(OVERLAY)
        dataplane.fault = KernelError("no")
        for call in (dataplane.drifted, dataplane.traffic, dataplane.own_addresses):
            with pytest.raises(KernelError):
                call()
        with pytest.raises(KernelError):
            dataplane.apply(None)


@pytest.mark.netns
class TestKernel(HostDataplaneContract):
    @pytest.fixture
    def world(self) -> Iterator[World]:
        world = KernelWorld()
        try:
            yield world
        finally:
            world.close()

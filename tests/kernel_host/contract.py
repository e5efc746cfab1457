"""What every HostDataplane does, whether its kernel is real or not.

A test class that has these methods gives a fixture ``world`` (see World).
"""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Protocol

import pytest

from tests.lab.commands import wait_until
from zthook.kernel.host.dataplane import HostDataplane
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import Egress, Mode, PortRange, Ports

OVERLAY, BRIDGE = "zt0", "virbr0"
EDGE, EDGE_MAC = IPv4Address("192.168.193.222"), "02:00:00:00:02:22"
WEB, DATABASE = IPv4Address("192.168.122.50"), IPv4Address("192.168.122.51")


def plane(*guests: IPv4Address, hide: bool = False, mac: str = EDGE_MAC) -> HostPlane:
    rules = frozenset(GuestRule(one, BRIDGE, hide) for one in guests)
    return HostPlane(OVERLAY, EDGE, mac, rules)


def mapped(private: IPAddress, public: str, **more: Any) -> GuestRule:
    """One that is active, with its public address."""
    return GuestRule(private, BRIDGE, public=ip_address(public), active=True, **more)


def ports(*some: str) -> Ports:
    return tuple(map(PortRange.parse, some))


ROUTED = {"mode": Mode.ROUTED}
VARIATIONS: dict[str, tuple[GuestRule, ...]] = {
    "pending": (GuestRule(WEB, BRIDGE),),
    "active": (mapped(WEB, "203.0.113.10"),),
    "another address": (mapped(WEB, "203.0.113.11"),),
    "ports": (mapped(WEB, "203.0.113.10", ports=ports("tcp/80:8080", "udp/27000-27100")),),
    "other ports": (mapped(WEB, "203.0.113.10", ports=ports("tcp/80:8081", "udp/27050-27200")),),
    "egress": (mapped(WEB, "203.0.113.10", egress=Egress.PUBLIC),),
    "allow": (mapped(WEB, "203.0.113.10", allow=(ip_network("198.51.100.0/24"),)),),
    "routed": (mapped(WEB, "203.0.113.10", **ROUTED),),
    "routed, arriving otherwise": (
        mapped(WEB, "203.0.113.10", arrives_as=ip_address("10.9.0.10"), **ROUTED),
    ),
    "routed ports": (mapped(WEB, "203.0.113.10", ports=ports("tcp/80-90:8080"), **ROUTED),),
    "routed egress": (mapped(WEB, "203.0.113.10", egress=Egress.PUBLIC, **ROUTED),),
    "sharing": (
        mapped(WEB, "203.0.113.10", ports=ports("tcp/80"), **ROUTED),
        mapped(DATABASE, "203.0.113.10", ports=ports("tcp/81-90"), **ROUTED),
    ),
    "two addresses": (
        mapped(WEB, "203.0.113.10", ports=ports("tcp/80")),
        mapped(WEB, "203.0.113.11", ports=ports("tcp/75-85"), egress=Egress.PUBLIC),
    ),
    "in each other's way": (
        mapped(WEB, "203.0.113.10", ports=ports("tcp/75-85"), **ROUTED),
        mapped(DATABASE, "203.0.113.10", ports=ports("tcp/80-90"), **ROUTED),
        mapped(DATABASE, "203.0.113.10", **ROUTED),
    ),
}
EVERY_VARIATION = pytest.mark.parametrize("name", VARIATIONS)


class World(Protocol):
    """A dataplane, and what others do to its kernel."""

    dataplane: HostDataplane

    def traces(self) -> bool:
        """Whether anything of ours is in the kernel."""

    def flush(self) -> None:
        """Somebody deletes the table of ours."""

    def remove_policy_rule(self) -> None:
        """Somebody deletes the policy rule of ours."""

    def pinned(self) -> dict[str, str]:
        """Address → MAC of the permanent neighbours that are ours."""

    def unpin(self) -> None:
        """Somebody has it asked again who the edge is."""

    def remove_overlay(self) -> None: ...

    def return_overlay(self) -> None: ...

    def see_edge(self) -> None:
        """The edge becomes a neighbour on the overlay."""

    def leave_edge(self) -> None:
        """The edge answers nobody any more."""

    def have_address(self, address: IPv4Address) -> None:
        """The machine gets an address."""

    def route_by(self, router: IPv4Address) -> None:
        """The machine's default route is by this router, on the overlay."""

    def another(self) -> HostDataplane:
        """The dataplane of a process that starts now on the same kernel."""


class HostDataplaneContract:
    """Inherited by one test class for each kind of kernel."""

    def test_the_same_again_changes_nothing(self, world: World) -> None:
        assert world.dataplane.apply(plane(WEB))
        assert world.dataplane.apply(plane(WEB)) == []

    def test_without_guests_there_is_nothing_of_ours(self, world: World) -> None:
        assert world.dataplane.apply(None) == []
        assert not world.traces()
        world.dataplane.apply(plane(WEB, DATABASE, hide=True))
        assert world.traces()
        assert world.dataplane.apply(plane())
        assert not world.traces()
        assert world.dataplane.apply(None) == []

    def test_drift_is_said_until_it_was_applied(self, world: World) -> None:
        assert world.dataplane.drifted()
        world.dataplane.apply(plane(WEB))
        assert not world.dataplane.drifted()
        assert not world.dataplane.drifted()

    def test_what_others_took_is_put_back(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        for take in (world.flush, world.remove_policy_rule):
            take()
            assert world.dataplane.drifted()
            assert world.dataplane.apply(plane(WEB))
            assert not world.dataplane.drifted()
            assert world.dataplane.apply(plane(WEB)) == []

    def test_guests_come_and_go_one_by_one(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        assert list(world.dataplane.traffic()) == [WEB]
        lines = world.dataplane.apply(plane(WEB, DATABASE))
        assert any(str(DATABASE) in line for line in lines)
        assert not any(str(WEB) in line for line in lines)
        assert set(world.dataplane.traffic()) == {WEB, DATABASE}
        world.dataplane.apply(plane(DATABASE))
        assert list(world.dataplane.traffic()) == [DATABASE]

    def test_hiding_can_be_turned_on_and_off(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        assert world.dataplane.apply(plane(WEB, hide=True))
        assert world.dataplane.apply(plane(WEB, hide=True)) == []
        assert world.dataplane.apply(plane(WEB))

    @EVERY_VARIATION
    def test_whatever_is_mapped_comes_and_goes(self, world: World, name: str) -> None:
        desired = replace(plane(), rules=frozenset(VARIATIONS[name]))
        assert world.dataplane.apply(desired)
        assert world.dataplane.apply(desired) == []
        assert not world.dataplane.drifted()
        assert world.another().apply(desired) == []
        assert world.dataplane.apply(None)
        assert not world.traces()

    @pytest.mark.parametrize("step", [1, 5])
    def test_each_changes_into_others_in_place(self, world: World, step: int) -> None:
        some = list(VARIATIONS.values())
        for place in range(len(some)):
            desired = replace(plane(), rules=frozenset(some[place * step % len(some)]))
            assert world.dataplane.apply(desired)
            assert world.dataplane.apply(desired) == []

    @pytest.mark.parametrize("others", [(), (WEB,)], ids=["alone", "beside a guest"])
    def test_newcomers_come_and_go(self, world: World, others: tuple[IPv4Address, ...]) -> None:
        before = plane(*others)
        world.dataplane.apply(before)
        desired = replace(before, newcomers=frozenset({(BRIDGE, "52:54:00:AA:00:01")}))
        assert world.dataplane.apply(desired)
        assert world.dataplane.apply(desired) == []
        assert not world.dataplane.drifted()
        assert world.another().apply(desired) == []
        assert world.dataplane.apply(before)
        assert world.traces() == bool(others)

    def test_pools_are_followed(self, world: World) -> None:
        for pools in (["203.0.113.0/28"], ["203.0.113.8-203.0.113.20", "203.0.113.21"], []):
            ranges = tuple(map(AddressRange.parse, pools))
            desired = replace(plane(WEB), pools=ranges)
            assert world.dataplane.apply(desired)
            assert world.dataplane.apply(desired) == []

    def test_another_edge_is_followed(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        assert world.dataplane.apply(plane(WEB, mac="02:00:00:00:03:33"))
        assert world.dataplane.apply(plane(WEB, mac="02:00:00:00:03:33".upper())) == []

    def test_who_the_edge_is_nobody_else_says(self, world: World) -> None:
        there = {str(EDGE): EDGE_MAC}
        asked = replace(plane(WEB), pinned=False)
        world.dataplane.apply(plane(WEB))
        assert world.pinned() == there
        world.unpin()
        assert world.dataplane.drifted()
        (line,) = world.dataplane.apply(plane(WEB))
        assert line.startswith(f"neighbour {EDGE} at {EDGE_MAC}")
        assert line.endswith("was missing: added")
        assert world.pinned() == there
        assert world.dataplane.apply(asked)
        assert world.pinned() == {}
        assert world.dataplane.apply(asked) == []
        world.dataplane.apply(plane(WEB))
        assert world.another().apply(plane(WEB)) == []
        assert world.pinned() == there
        elsewhere = replace(plane(WEB, mac="02:00:00:00:03:33"), edge=EDGE + 1)
        assert world.dataplane.apply(elsewhere)
        assert world.pinned() == {str(EDGE + 1): "02:00:00:00:03:33"}
        world.dataplane.apply(None)
        assert world.pinned() == {}

    def test_who_answers_nobody_is_not_there(self, world: World) -> None:
        world.see_edge()
        world.leave_edge()
        assert not world.dataplane.answers(EDGE, EDGE_MAC, OVERLAY)
        assert not world.dataplane.answers(EDGE, EDGE_MAC, "zt9")

    def test_an_absent_overlay_is_told_once_and_followed_when_it_returns(
        self, world: World
    ) -> None:
        world.dataplane.apply(plane(WEB))
        world.remove_overlay()
        assert world.dataplane.drifted()
        assert any("overlay" in line for line in world.dataplane.apply(plane(WEB)))
        assert world.dataplane.apply(plane(WEB)) == []
        assert not world.dataplane.drifted()
        world.return_overlay()
        assert world.dataplane.drifted()
        assert world.dataplane.apply(plane(WEB))
        assert not world.dataplane.drifted()

    def test_without_an_overlay_everything_still_goes(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        world.remove_overlay()
        world.dataplane.apply(None)
        assert not world.traces()

    def test_a_new_process_adopts_what_is_there(self, world: World) -> None:
        world.dataplane.apply(plane(WEB, hide=True))
        successor = world.another()
        assert successor.drifted()
        assert successor.apply(plane(WEB, hide=True)) == []
        assert not successor.drifted()

    def test_neighbours_and_own_addresses(self, world: World) -> None:
        assert world.dataplane.neighbours(OVERLAY) == {}
        world.see_edge()
        assert world.dataplane.neighbours(OVERLAY) == {EDGE: EDGE_MAC}
        assert world.dataplane.neighbours("zt9") == {}
        router = IPv4Address("192.168.193.99")
        assert router not in world.dataplane.gateways()
        world.route_by(router)
        assert router in world.dataplane.gateways()
        mine = IPv4Address("192.0.2.77")
        assert mine not in world.dataplane.own_addresses()
        world.have_address(mine)
        assert mine in world.dataplane.own_addresses()

    def test_what_is_on_link_and_by_which_router_the_rest_is_reached(self, world: World) -> None:
        near = world.dataplane.on_link()[OVERLAY]
        assert any(EDGE in prefix for prefix in near)
        router, far = IPv4Address("192.168.193.99"), IPv4Address("198.51.100.7")
        assert world.dataplane.next_hop(far) is None
        world.route_by(router)
        assert world.dataplane.next_hop(far) == router
        assert world.dataplane.next_hop(EDGE) is None

    def test_a_neighbour_that_answers_no_probe_is_known_no_more(self, world: World) -> None:
        world.see_edge()
        world.leave_edge()
        assert world.dataplane.neighbours(OVERLAY) == {EDGE: EDGE_MAC}

        def forgotten() -> bool:
            world.dataplane.probe(EDGE, OVERLAY)  # again and again, as passes do
            return not world.dataplane.neighbours(OVERLAY)

        wait_until(forgotten, 20, f"{EDGE} is known no more")
        world.dataplane.probe(EDGE, OVERLAY)
        world.dataplane.probe(EDGE, "zt9")

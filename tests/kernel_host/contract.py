"""What every HostDataplane does, whether its kernel is real or not.

A test class that has these methods gives a fixture ``world`` (see World).
"""

from ipaddress import IPv4Address
from typing import Protocol

from tests.lab.commands import wait_until
from zthook.kernel.host import HostDataplane
from zthook.model.mappings import GuestRule, HostPlane

OVERLAY, BRIDGE = "zt0", "virbr0"
EDGE, EDGE_MAC = IPv4Address("192.168.193.222"), "02:00:00:00:02:22"
WEB, DATABASE = IPv4Address("192.168.122.50"), IPv4Address("192.168.122.51")


def plane(*guests: IPv4Address, hide: bool = False, mac: str = EDGE_MAC) -> HostPlane:
    rules = frozenset(GuestRule(one, BRIDGE, hide) for one in guests)
    return HostPlane(OVERLAY, EDGE, mac, rules)


class World(Protocol):
    """A dataplane, and what others do to its kernel."""

    dataplane: HostDataplane

    def traces(self) -> bool:
        """Whether anything of ours is in the kernel."""

    def flush(self) -> None:
        """Somebody deletes the table of ours."""

    def remove_policy_rule(self) -> None:
        """Somebody deletes the policy rule of ours."""

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

    def test_another_edge_is_followed(self, world: World) -> None:
        world.dataplane.apply(plane(WEB))
        assert world.dataplane.apply(plane(WEB, mac="02:00:00:00:03:33"))
        assert world.dataplane.apply(plane(WEB, mac="02:00:00:00:03:33".upper())) == []

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
        assert world.dataplane.mac_of(EDGE, OVERLAY) is None
        world.see_edge()
        assert world.dataplane.mac_of(EDGE, OVERLAY) == EDGE_MAC
        assert world.dataplane.neighbours(OVERLAY) == {EDGE: EDGE_MAC}
        assert world.dataplane.neighbours("zt9") == {}
        assert world.dataplane.mac_of(EDGE, "zt9") is None
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
        assert world.dataplane.mac_of(EDGE, OVERLAY) == EDGE_MAC

        def forgotten() -> bool:
            world.dataplane.probe(EDGE, OVERLAY)  # again and again, as passes do
            return world.dataplane.mac_of(EDGE, OVERLAY) is None

        wait_until(forgotten, 20, f"{EDGE} is known no more")
        world.dataplane.probe(EDGE, OVERLAY)
        world.dataplane.probe(EDGE, "zt9")

"""The control commands that let members into the overlay, and how arguments are read."""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.cli_edge.test_screens import a_host
from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.admin import Admin, RunningEdge
from zthook.edge.admin_views import Approved, HostRemoved, Knock
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.views import HostView, Invitation
from zthook.errors import NotFound, OverlayDown, Refused, UsageError
from zthook.model.mappings import OverlayDevice
from zthook.model.paths import OverlayPath
from zthook.overlay import FakeOverlay, no_paths, open_overlay
from zthook.overlay.knocks import Knocking
from zthook.overlay.member_mac import member_mac
from zthook.wire.token import read_token

NETWORK = "b87d70f46bc5c578"
MAC = member_mac(NETWORK, "0123456789")


class Noting:
    """The part of the edge's service that is told who was let in, and the thread it is told in."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.known: list[HostView] = []

    def approved(self, member: str, host: str) -> None:
        self.noted.append(f"{member} {host}".strip())

    def name_member(self, name: str, member: str) -> None:
        if name != "home1":
            raise NotFound(f"this edge has no host {name!r}")
        self.noted.append(f"{name} is {member}")

    def shut_out(self, member: str) -> None:
        self.noted.append(f"not {member}")

    def hosts(self) -> list[HostView]:
        return self.known

    def remove_host(self, name: str) -> None:
        self.noted.append(f"removed {name}")

    def add_host(self, name: str, **_: object) -> Invitation:
        return Invitation(host=name, secret="s3cret", expires=0.0, member=None)

    rotate_host = add_host

    async def run(self, act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return act(*arguments, **named)


class Network:
    """An overlay that lets ``0123456789`` in, and nobody else."""

    def __init__(self) -> None:
        self.members: list[str] = []

    def observe(self) -> OverlayDevice:
        raise OverlayDown("not joined", hint="zerotier-cli join")

    def authorise(self, member: str) -> None:
        if member != "0123456789":
            raise Refused("this node is not the controller", hint="do it there")
        self.members.append(member)

    def shut_out(self, member: str) -> None:
        if member not in self.members:
            raise Refused(f"{member} is no member")
        self.members.remove(member)

    def knocking(self) -> list[Knocking]:
        known = [Knocking("0123456789", 5.0, "192.0.2.7/9993"), Knocking("1111111111")]
        return [one for one in known if one.member not in self.members]

    def moon(self) -> str:
        return "b87d70f46b"


def admin_of(overlay: Any, noting: Noting | None = None) -> Admin:
    seen, service = SeenOverlay(overlay, lambda: None), noting or Noting()
    edge = SimpleNamespace(
        seen=seen,
        overlay_address=lambda: IPv4Address("192.168.193.222"),
        worker=service,
        service=service,
        keys=SimpleNamespace(edge_id="e1", ca_sha256="ab" * 32),
        settings=EdgeSettings(OverlaySettings("zerotier", network=NETWORK)),
    )
    return Admin(cast("RunningEdge", edge))


async def test_a_member_is_let_in() -> None:
    network, noting = Network(), Noting()
    commands = admin_of(network, noting).commands()
    knock, _ = await commands["knocking"]({})
    assert knock == Knock("0123456789", 5.0, "192.0.2.7/9993")
    approved = await commands["approve"]({"member": knock.member})
    assert approved == Approved("0123456789", knocked=True, others=["1111111111"])
    assert network.members == noting.noted == ["0123456789"]


async def test_a_member_is_let_in_as_a_host() -> None:
    network, noting = Network(), Noting()
    commands = admin_of(network, noting).commands()
    with pytest.raises(NotFound):
        await commands["approve"]({"member": "0123456789", "host": "home7"})
    assert network.members == []
    await commands["approve"]({"member": "0123456789", "host": "home1"})
    assert noting.noted == ["home1 is 0123456789", "0123456789 home1"]
    with pytest.raises(UsageError, match="is not a ZeroTier node's id"):
        await commands["approve"]({"member": "home1", "host": "home1"})


async def test_with_a_host_its_node_is_shut_out() -> None:
    """By the member that its owner named, or the one whose MAC it came from."""
    for known in ({"member": "0123456789"}, {"member": None, "mac": MAC}):
        network, noting = Network(), Noting()
        network.members, noting.known = ["0123456789"], [a_host(name="home1", **known)]
        removed = await admin_of(network, noting).commands()["host_remove"]({"name": "home1"})
        assert removed == HostRemoved("home1", "0123456789", shut_out=True)
        assert (network.members, noting.noted) == ([], ["removed home1", "not 0123456789"])


async def test_a_node_by_which_another_host_comes_stays() -> None:
    """Two hosts behind one LAN gateway, which is the member."""
    network, noting = Network(), Noting()
    network.members = ["0123456789"]
    both = {"mac": MAC, "member": None}
    noting.known = [a_host(name="home1", **both), a_host(name="home2", **both)]
    removed = await admin_of(network, noting).commands()["host_remove"]({"name": "home1"})
    assert removed == HostRemoved("home1", "0123456789", why="home2 comes by it")
    assert network.members == ["0123456789"]


async def test_a_host_that_was_never_heard_has_a_node_that_nobody_knows() -> None:
    noting = Noting()
    noting.known = [a_host(name="home1", member=None, mac=None)]
    removed = await admin_of(Network(), noting).commands()["host_remove"]({"name": "home1"})
    assert removed.member is None
    assert "was never seen here" in removed.why
    overlay = open_overlay(OverlaySettings("interface", interface="br-overlay"))
    removed = await admin_of(overlay, noting).commands()["host_remove"]({"name": "home1"})
    assert removed == HostRemoved("home1", None)


async def test_why_the_node_of_a_removed_host_is_in_still() -> None:
    noting = Noting()
    noting.known = [a_host(name="home1", member="9876543210")]
    removed = await admin_of(Network(), noting).commands()["host_remove"]({"name": "home1"})
    assert (removed.member, removed.shut_out) == ("9876543210", False)
    assert "9876543210 is no member" in removed.why
    assert noting.noted == ["removed home1"]


async def test_an_approval_is_taken_back() -> None:
    network, noting = Network(), Noting()
    commands = admin_of(network, noting).commands()
    await commands["approve"]({"member": "0123456789"})
    await commands["shut_out"]({"member": "0123456789"})
    assert (network.members, noting.noted[1:]) == ([], ["not 0123456789"])
    with pytest.raises(Refused, match="was not shut out of the overlay: 0123456789 is no member"):
        await commands["shut_out"]({"member": "0123456789"})


async def test_an_invitation_takes_the_host_into_the_network_a_rotation_need_not() -> None:
    commands = admin_of(Network()).commands()
    token = read_token((await commands["host_add"]({"name": "home1"})).token)
    assert (token.network, token.moon, token.host) == (NETWORK, "b87d70f46b", "home1")
    token = read_token((await commands["host_rotate"]({"name": "home1"})).token)
    assert (token.network, token.moon, token.host) == ("", "", "")


async def test_a_mistyped_node_invites_nobody() -> None:
    with pytest.raises(UsageError, match="'home1' is not a ZeroTier node's id"):
        await admin_of(Network()).commands()["host_add"]({"name": "x", "member": "home1"})


async def test_why_one_was_not_let_in() -> None:
    noting = Noting()
    with pytest.raises(Refused, match=r"9876543210 was not let .* do it there"):
        await admin_of(Network(), noting).commands()["approve"]({"member": "9876543210"})
    assert noting.noted == []


@pytest.mark.parametrize(
    ("command", "asked"), [("knocking", {}), ("approve", {"member": "0123456789"})]
)
async def test_an_overlay_without_a_controller_lets_nobody_in(
    command: str, asked: dict[str, str]
) -> None:
    overlay = open_overlay(OverlaySettings("interface", interface="br-overlay"))
    with pytest.raises(Refused, match="not of driver zerotier"):
        await admin_of(overlay).commands()[command](asked)


def test_zerotier_is_an_overlay_that_lets_members_in(tmp_path: Path) -> None:
    overlay = open_overlay(OverlaySettings("zerotier", network="b87d70f46bc5c578", home=tmp_path))
    assert SeenOverlay(overlay, lambda: None).controller is not None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("approve", {}), ("host_add", {"name": 3}), ("release", {"public": "x", "more": 1})],
)
async def test_arguments_that_are_not_the_commands(command: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        await admin_of(Network()).commands()[command](arguments)


async def test_changes_of_the_overlay_are_told_once() -> None:
    told: list[str] = []
    seen = SeenOverlay(Network(), lambda: told.append("changed"))
    await seen.look()
    await seen.look()
    assert told == ["changed"]
    assert (seen.device, seen.why) == (None, "not joined. zerotier-cli join")


async def test_hosts_are_told_with_the_way_to_them_where_the_overlay_says_it() -> None:
    way = OverlayPath(direct=True, latency=0.012)
    overlay = FakeOverlay(OverlayDevice("zt0", 7, "0e:00:00:00:00:02", 2800, ()))
    seen = SeenOverlay(overlay, lambda: None, lambda device, macs: {(device, *macs)[1]: way})
    hosts = [a_host(mac="0e:00:00:00:00:03", path=None), a_host(mac=None, path=None)]
    assert [one.path for one in await seen.with_paths(hosts)] == [None, None], "not looked at yet"
    await seen.look()
    assert [one.path for one in await seen.with_paths(hosts)] == [way, None]
    seen.find_paths = no_paths
    assert [one.path for one in await seen.with_paths(hosts)] == [None, None]

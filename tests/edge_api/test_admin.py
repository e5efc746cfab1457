"""The control commands that let members into the overlay, and how arguments are read."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.cli_edge.test_screens import a_host
from zthook.config.settings import OverlaySettings
from zthook.edge.admin import Admin, RunningEdge
from zthook.edge.seen_overlay import SeenOverlay
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.model.mappings import OverlayDevice
from zthook.model.paths import OverlayPath
from zthook.overlay import FakeOverlay, no_paths, open_overlay


class Noting:
    """The part of the edge's service that is told who was let in, and the thread it is told in."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def approved(self, member: str) -> None:
        self.noted.append(member)

    async def run(self, act: Callable[[str], None], member: str) -> None:
        act(member)


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

    def knocking(self) -> list[str]:
        return ["0123456789"]


def admin_of(overlay: Any, noting: Noting | None = None) -> Admin:
    seen, service = SeenOverlay(overlay, lambda: None), noting or Noting()
    edge = SimpleNamespace(seen=seen, overlay_address=lambda: None, worker=service, service=service)
    return Admin(cast("RunningEdge", edge))


async def test_a_member_is_let_in() -> None:
    network, noting = Network(), Noting()
    commands = admin_of(network, noting).commands()
    (knock,) = await commands["knocking"]({})
    await commands["approve"]({"member": knock.member})
    assert network.members == noting.noted == ["0123456789"]


async def test_why_one_was_not_let_in() -> None:
    noting = Noting()
    with pytest.raises(Refused, match=r"9876543210 was not let .* do it there"):
        await admin_of(Network(), noting).commands()["approve"]({"member": "9876543210"})
    assert noting.noted == []


@pytest.mark.parametrize(("command", "asked"), [("knocking", {}), ("approve", {"member": "0"})])
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

"""Which hosts the edge's ZeroTier is set up for, and when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.cli_edge.test_screens import a_host
from tests.overlay.fake_zerotier import NETWORK, FakeZeroTier, running
from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.fast_redial import FastRedial, RunningEdge, enrolled
from zthook.edge.worker import Worker
from zthook.errors import StoreError
from zthook.model.mappings import OverlayDevice
from zthook.model.redial import Redial
from zthook.overlay.fast_redial import HostRedial
from zthook.overlay.member_mac import member_mac
from zthook.overlay.redial import Enrolled

MEMBER = "25d65e9f35"
BY_MAC = a_host(name="home2", member=None, mac=member_mac(NETWORK, MEMBER))


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([a_host(member=MEMBER)], [Enrolled("home1", MEMBER, live=True)]),
        ([BY_MAC], [Enrolled("home2", MEMBER, live=True)]),
        ([a_host(member=MEMBER, lease="ended")], [Enrolled("home1", MEMBER, live=False)]),
        ([a_host(member=MEMBER, enrolled=False)], []),
        ([a_host(member=None, mac=None)], []),
        ([a_host(member=None, mac="02:00:00:00:00:07")], []),
        (
            [a_host(member=MEMBER, lease="ended"), BY_MAC],
            [Enrolled("home1, home2", MEMBER, live=True)],
        ),
    ],
    ids=["member", "by MAC", "silent", "invited", "unknown", "bridged", "two behind one gateway"],
)
def test_hosts_that_are_members(hosts: list[Any], expected: list[Enrolled]) -> None:
    assert enrolled(hosts, NETWORK) == expected


class Edge:
    """What of the daemon it is about, at this zerotier-one."""

    def __init__(self, zerotier: FakeZeroTier, device: str = "ztjqllkmit") -> None:
        self.settings = EdgeSettings(OverlaySettings("zerotier", NETWORK, zerotier.home))
        self.seen = SimpleNamespace(device=OverlayDevice(device, 7, "7a:98:80:23:20:f2", 2800, ()))
        self.service = SimpleNamespace(hosts=lambda: [a_host(member=MEMBER)])
        self.worker = Worker()
        self.redial = FastRedial(zerotier.home.parent / "journal", cast("RunningEdge", self))

    async def look(self) -> Redial | None:
        await self.redial.look()
        return self.redial.seen

    def switch_off(self) -> None:
        overlay = OverlaySettings(
            "zerotier", NETWORK, self.settings.overlay.home, fast_redial=False
        )
        self.settings = EdgeSettings(overlay)


async def test_it_is_looked_at_and_switched_off(tmp_path: Path) -> None:
    with running(tmp_path / "zerotier-one") as zerotier:
        edge = Edge(zerotier)
        assert await edge.look() == Redial(wanted=True, hosts={"home1": ""})
        HostRedial(zerotier.home, tmp_path / "journal").look()
        edge.switch_off()
        assert await edge.look() == Redial(wanted=False)
    assert zerotier.bonding.conf == {"settings": {"allowSecondaryPort": None}}


async def test_a_daemon_that_is_away_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "zerotier-one") as zerotier:
        edge = Edge(zerotier)
    found = await edge.look()
    assert found is not None
    assert "zerotier-one does not run" in found.fault


async def test_a_store_that_fails_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise StoreError("the disk is full")

    with running(tmp_path / "zerotier-one") as zerotier:
        edge = Edge(zerotier)
        edge.service.hosts = fail
        assert await edge.look() == Redial(wanted=True, fault="the disk is full")


async def test_of_another_overlay_nothing_is_asked(tmp_path: Path) -> None:
    with running(tmp_path / "zerotier-one") as zerotier:
        assert await Edge(zerotier, "br-overlay").look() is None
        assert zerotier.served == []

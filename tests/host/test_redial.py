"""The agent's packet a second, and its part at zerotier-one."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.overlay.fake_zerotier import NETWORK, FakeZeroTier, running
from zthook.config.settings import OverlaySettings
from zthook.host import redial as module
from zthook.host.redial import FastRedial
from zthook.model.redial import Redial

DEVICE = "ztjqllkmit"
EDGE = IPv4Address("127.0.0.77")


@pytest.fixture
def zerotier(tmp_path: Path) -> Iterator[FakeZeroTier]:
    with running(tmp_path / "zerotier-one") as fake:
        yield fake


def of(
    zerotier: FakeZeroTier, *, fast: bool = True, device: Callable[[], str] = lambda: DEVICE
) -> FastRedial:
    overlay = OverlaySettings("zerotier", NETWORK, zerotier.home, fast_redial=fast)
    journal = zerotier.home.parent / "journal"
    return FastRedial(overlay, EDGE, device, journal)


async def looked(redial: FastRedial) -> Redial | None:
    """What its first look finds."""
    keeping = asyncio.create_task(redial.keep())
    async with asyncio.timeout(10):
        while redial.seen is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    keeping.cancel()
    return redial.seen


async def test_one_port_is_set_up_and_taken_back(zerotier: FakeZeroTier) -> None:
    assert await looked(of(zerotier)) == Redial(wanted=True, restart=True)
    assert zerotier.bonding.conf == {"settings": {"allowSecondaryPort": False}}
    assert await looked(of(zerotier, fast=False)) == Redial(wanted=False)
    assert zerotier.bonding.conf == {"settings": {"allowSecondaryPort": None}}


async def test_a_zerotier_that_does_not_answer_is_told(zerotier: FakeZeroTier) -> None:
    zerotier.stop()
    found = await looked(of(zerotier))
    assert found is not None
    assert "zerotier-one does not run" in found.fault


async def test_of_another_overlay_nothing_is_asked(
    zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    asked: list[str] = []

    def device() -> str:
        asked.append("br-overlay")
        return asked[-1]

    other = of(zerotier, device=device)
    keeping = asyncio.create_task(other.keep())
    async with asyncio.timeout(10):
        while len(asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert (other.seen, zerotier.served) == (None, [])


@pytest.mark.netns
async def test_the_edge_hears_it_all_the_time(
    zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPEAK_SECONDS", 0.01)
    redial = of(zerotier)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as edge:
        edge.settimeout(0)
        edge.bind((str(EDGE), 0))
        speaking = asyncio.create_task(redial.speak())
        redial.seen = Redial(wanted=True)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            heard = [await loop.sock_recv(edge, 1024) for _ in range(3)]
        speaking.cancel()
    assert all(one[16:20] == EDGE.packed for one in heard)

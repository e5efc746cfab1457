"""What a status tells beside the mappings: rates, and the way the overlay takes."""

import threading
from collections.abc import Collection
from dataclasses import replace

import pytest

from tests.host.making import PRIVATE, PUBLIC, guest
from tests.host.standins import EDGE_MAC, Home, until
from zthook.host.agent import Agent
from zthook.host.opening import Parts
from zthook.kernel import traffic
from zthook.kernel.traffic import Traffic
from zthook.model.paths import OverlayPath
from zthook.model.publication import AddressRequest

WAY = OverlayPath(direct=True, latency=0.012)


class Sighted(Home):
    """A home whose overlay says which ways it takes, once ``answers`` is set."""

    answers = threading.Event()

    @property
    def parts(self) -> Parts:
        return replace(super().parts, paths=lambda _: self._find)

    def _find(self, device: str, macs: Collection[str]) -> dict[str, OverlayPath]:
        self.answers.wait(30)
        return {mac: WAY for mac in macs if (device, mac) == ("zt0", EDGE_MAC)}


async def active(home: Home, agent: Agent) -> None:
    home.start(guest(1, AddressRequest(PUBLIC)))
    await until(lambda: home.kernel.rules, "a rule")
    await until(lambda: agent.passes.said.answers, "the edge's answer")


async def test_traffic_has_rates_from_the_second_look_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "SHORTEST_SECONDS", 0.0)
    async with home.running() as agent:
        await active(home, agent)
        [row] = (await agent.status()).mappings
        assert row.traffic is not None
        assert (row.traffic.bytes_in, row.traffic.rate_in) == (100, None)
        monkeypatch.setattr(home.kernel, "traffic", lambda: {PRIVATE: Traffic(900, 9, 200, 2)})
        [row] = (await agent.status()).mappings
        assert row.traffic is not None
        assert row.traffic.rate_in is not None
        assert row.traffic.rate_in > 0
        assert row.traffic.rate_out == 0.0


async def test_an_overlay_that_hangs_holds_no_status_up_and_is_told_once_it_answers() -> None:
    home = Sighted()
    async with home.running() as agent:
        await active(home, agent)
        assert (await agent.status()).overlay_path is None
        home.answers.set()
        found = None
        while found is None:
            found = (await agent.status()).overlay_path
        assert found == WAY

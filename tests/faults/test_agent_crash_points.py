"""The agent ends at each of its requests, each change of its kernel, each write of its memory.

The next one, on the same host, brings about what should be; and what no one touched stays
mapped at edge and host from beginning to end, at every single step.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.agents import MortalHome, lives_until
from tests.faults.deaths import Fate
from tests.host.making import guest, mac
from tests.host.real_edge import RealEdge
from zthook.host.agent import Agent
from zthook.model.guests import Guest, GuestState
from zthook.model.publication import AddressRequest, PortRange

if TYPE_CHECKING:
    import asyncio

P, Q, R = (IPv4Address(f"203.0.113.{number}") for number in (10, 11, 12))
A, B, C = (IPv4Address(f"192.168.122.{number}") for number in (50, 51, 52))
STEADY = guest(3, AddressRequest(R))
WEB, DATABASE = guest(1, AddressRequest(P)), guest(2, AddressRequest(Q))
ONLY_HTTP = guest(1, AddressRequest(P, ports=(PortRange.parse("tcp/80"),)))
BOTH = guest(1, AddressRequest(P), AddressRequest(Q))
COMING = guest(1, AddressRequest(P), state=GuestState.INCOMING)
MANY = 200
AT_LEAST = 4
"""A session, a list, a change of the kernel have two moments each, a file has three."""


Reached = dict[IPv4Address, IPv4Address]


@dataclass(frozen=True)
class Scene:
    """Guests, and what is reached, before and after; ``leases`` are those that change."""

    name: str
    before: tuple[Guest, ...]
    reached_before: Reached
    after: tuple[Guest, ...]
    reached: Reached
    leases: tuple[tuple[str, IPv4Address], ...] = ()


SCENES = (
    Scene("starts", (), {}, (WEB,), {P: A}),
    Scene("stops", (WEB,), {P: A}, (), {}),
    Scene("two start", (), {}, (WEB, DATABASE), {P: A, Q: B}),
    Scene("another address", (WEB,), {P: A}, (guest(1, AddressRequest(Q)),), {Q: A}),
    Scene("one more address", (WEB,), {P: A}, (BOTH,), {P: A, Q: A}),
    Scene("other ports", (WEB,), {P: A}, (ONLY_HTTP,), {P: A}),
    Scene("no annotation", (WEB,), {P: A}, (guest(1),), {}),
    Scene("a new lease", (WEB,), {P: A}, (WEB,), {P: B}, ((mac(1), B),)),
    Scene(
        "two swap",
        (WEB, DATABASE),
        {P: A, Q: B},
        (WEB, DATABASE),
        {P: B, Q: A},
        ((mac(1), B), (mac(2), A)),
    ),
    Scene("arrives", (COMING,), {}, (WEB,), {P: A}),
)


class Play:
    """One scene on one host."""

    def __init__(self, scene: Scene, edge: RealEdge, folder: Path) -> None:
        self.scene = scene
        self.edge = edge
        self.fate = Fate()
        self.home = MortalHome(edge, self.fate, folder)
        self.home.leases = {mac(1): A, mac(2): B, mac(3): C}

    def begin(self) -> None:
        """What was before."""
        self.home.start(*self.scene.before, STEADY)

    def change(self) -> None:
        """It happens."""
        self.home.leases.update(dict(self.scene.leases))
        self.home.start(*self.scene.after, STEADY)

    def settled(self, agent: Agent, wanted: Reached) -> bool:
        """Whether host and edge are as they should be, and the agent knows it."""
        reached = {R: C} | wanted
        answers = agent.passes.said.answers.values()
        believed = {one.public: one.private for one in answers if one.state == "active"}
        return (
            agent.client.ready
            and not agent.client.list_due
            and self.edge.reached() == believed == _text(reached)
            and self._rules_are_right(set(reached.values()), wanted)
            and self._ports_are_right()
        )

    def _rules_are_right(self, reached: set[IPv4Address], wanted: Reached) -> bool:
        """What is made ready for a guest that is still to come may be there already."""
        there = {one.private for one in self.home.kernel.rules}
        return there == reached if wanted is self.scene.reached else there >= reached

    def _ports_are_right(self) -> bool:
        said = (some.domain.publication for some in self.home.libvirt.running)
        asked = (one for some in said if some for one in some.requests)
        here = {str(port) for one in asked for port in one.ports}
        return here == {port for view in self.edge.service.mappings() for port in view.ports}

    async def lives(self, agent: Agent, life: "asyncio.Task[None]", wanted: Reached) -> bool:
        """Whether the agent lives until all is so, and through another pass."""
        if not await lives_until(life, lambda: self.settled(agent, wanted)):
            return False
        ended = agent.passes.ended
        agent.hint()
        return await lives_until(life, lambda: agent.passes.ended > ended)

    def assert_steady(self) -> None:
        """Who has nothing to do with it is reached."""
        assert self.edge.reached().get(str(R)) == str(C)
        assert C in {one.private for one in self.home.kernel.rules}


def _text(reached: Reached) -> dict[str, str]:
    return {str(public): str(private) for public, private in reached.items()}


async def dies_at(moment: int, scene: Scene, folder: Path, *, away: bool) -> bool:
    """Whether there was such a moment; ``away``: it happens while no agent runs."""
    async with RealEdge().serving() as edge:
        play = Play(scene, edge, folder)
        play.begin()
        async with play.home.living() as (agent, life):
            assert await play.lives(agent, life, scene.reached_before)
            if not away:
                play.fate.end_at(moment)
                play.fate.watch = play.assert_steady
                play.change()
                lived = await play.lives(agent, life, scene.reached)
        if away:
            play.fate.end_at(moment)
            play.fate.watch = play.assert_steady
            play.change()
            async with play.home.living() as (agent, life):
                lived = await play.lives(agent, life, scene.reached)
        play.fate.end_at(None)
        async with play.home.living() as (agent, life):
            assert await play.lives(agent, life, scene.reached)
        return not lived


@pytest.mark.parametrize("away", [False, True], ids=["in its sight", "while it was away"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_whatever_step_was_the_last_the_next_agent_makes_good(
    scene: Scene, away: bool, tmp_path: Path
) -> None:
    deaths = 0
    while await dies_at(deaths, scene, _folder(tmp_path, deaths), away=away):
        deaths += 1
        assert deaths < MANY
    print(f"\n  a guest {scene.name}: {deaths} deaths")
    assert deaths >= AT_LEAST


def _folder(place: Path, number: int) -> Path:
    folder = place / str(number)
    folder.mkdir()
    return folder

"""An edge whose daemon may end at any step, and what its hosts and its admin do to it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from msgspec.structs import replace as change

from tests.edge.world import OVERLAY, SETTINGS, Agent, Edge, FakeInside, uuid
from tests.faults.deaths import Fate, MortalKernel, MortalLedger
from tests.faults.soundness import assert_sound, client_connections
from zthook.errors import NotFound, StaleSession
from zthook.kernel.edge.fake import Crash
from zthook.model.addresses import Pool
from zthook.store.ledger import Ledger
from zthook.store.memory import MemoryLedger
from zthook.store.sqlite import SqliteLedger
from zthook.wire.messages import ClaimMessage, ClaimsReply

GROUPS = {"home1": "rack", "home2": "rack", "home3": None}
CONFIGURED = ip_address("203.0.113.14")
"""An address of a pool that the edge has itself: in mode routed that takes a policy rule."""


class Play:
    """``store`` None keeps the ledger in memory, else it is a file that each daemon opens anew."""

    def __init__(self, fate: Fate, store: Path | None = None) -> None:
        self.fate = fate
        self.kernel = MortalKernel(fate, OVERLAY)
        self._store = store
        inside = FakeInside(self.kernel)
        self.kernel.own.add(CONFIGURED)
        self.edge = Edge(MortalLedger(self._open(), fate).as_ledger, inside, SETTINGS)
        self.agents: dict[str, Agent] = {}
        self.generations: dict[str, int] = {}
        for name, group in GROUPS.items():
            self.agents[name] = self.edge.host(name, group=group)
            self.agents[name].heartbeat()

    def _open(self) -> Ledger:
        return SqliteLedger(self._store) if self._store else MemoryLedger()

    @property
    def ledger(self) -> MortalLedger:
        """As the daemon that runs now has it."""
        assert isinstance(self.edge.ledger, MortalLedger)
        return self.edge.ledger

    def close(self) -> None:
        """Close the store."""
        self.ledger.inner.close()

    def start_anew(self) -> None:
        """The daemon's process is another one, over the store and the kernel as they are."""
        if self._store is not None:
            self.ledger.inner.close()
            self.edge.ledger = MortalLedger(self._open(), self.fate).as_ledger
        self.edge.boot()

    def assert_sound(self) -> None:
        """All is well, and who has news to hear is told to look."""
        assert_sound(self.edge, *self.kernel.connections)
        for name, agent in self.agents.items():
            self.assert_will_hear(name, agent)

    def assert_will_hear(self, name: str, agent: Agent) -> None:
        """What the host heard last is what is so, or a later generation makes it look."""
        host = self.ledger.inner.host(name)
        if host is None or host.session != agent.session:
            return  # its next message is answered with that
        now = {
            (view.uuid, view.asked): view.state
            for view in self.edge.service.mappings()
            if view.host == name and view.state != "reserved"
        }
        heard = {(one.guest, one.asked): one.state for one in agent.last_heard}
        if now != heard:
            generation = self.edge.service.generation(name, agent.session)
            assert generation > self.generations.get(name, 0), f"{name} hears nothing of {now}"

    def heard(self, name: str, reply: ClaimsReply) -> None:
        """What is said to be active is in the kernel when the host reads it."""
        self.generations[name] = reply.generation
        reached = self.edge.reached()
        for one in reply.mappings:
            view = self.edge.mappings()[one.public, name]
            assert view.state == one.state
            if one.state == "active" and not view.ports and view.mode == "nat":
                assert (reached.get(one.public or "") or "").startswith(f"{one.private} via")

    def connect(self) -> None:
        """A client of the internet has a connection through each mapping."""
        self.kernel.connections |= client_connections(self.edge)

    def outcome(self) -> tuple[object, ...]:
        """All that is durable, without what is numbered or dated."""
        ledger = self.ledger.inner
        numbered = {"place": 0, "since": 0.0, "epoch": 0, "session": 0, "sequence": 0}
        return (
            [change(row, **numbered) for row in sorted(ledger.claims(), key=lambda row: row.key)],
            sorted((row.key, row.public) for row in ledger.reservations()),
            [(host.name, host.address, host.mac, host.leaving) for host in ledger.hosts()],
            self.kernel.dump(),
            sorted(self.kernel.connections),
        )


Act = Callable[[Play], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What was before, and what is done; each act may be done again after a death in it."""

    name: str
    before: tuple[Act, ...]
    acts: tuple[Act, ...]


def lists(host: str) -> Act:
    """The host sends its whole list, as it is."""

    def act(play: Play) -> None:
        agent = play.agents[host]
        try:
            reply = agent.list()
        except StaleSession:  # opened, and the daemon died before anything was said in it
            agent.open()
            reply = agent.list()
        play.heard(host, reply)

    return act


def claims(host: str, guest: int, public: str, private: str | None, **more: object) -> Act:
    """A guest runs there, and its host says so; or what it says of it changes."""

    def act(play: Play) -> None:
        message = ClaimMessage(
            guest=uuid(guest),
            name=f"web{guest}",
            public=public,
            private=private,
            **more,  # type: ignore[arg-type]
        )
        play.agents[host].claims[message.guest, public] = message
        lists(host)(play)

    return act


def unclaims(host: str, guest: int, public: str) -> Act:
    """It does not any more."""

    def act(play: Play) -> None:
        play.agents[host].claims.pop((uuid(guest), public), None)
        lists(host)(play)

    return act


def together(*acts: Act) -> Act:
    """What counts only as a whole: all of it is done again."""

    def act(play: Play) -> None:
        for one in acts:
            one(play)

    return act


def claims_all(host: str, *some: tuple[int, str, str]) -> Act:
    """Guests, with their public and private addresses, all in one list."""

    def act(play: Play) -> None:
        for guest, public, private in some:
            message = ClaimMessage(
                guest=uuid(guest), name=f"web{guest}", public=public, private=private
            )
            play.agents[host].claims[message.guest, public] = message
        lists(host)(play)

    return act


def reserves(host: str, guest: int, public: str) -> Act:
    """A guest that must have its address is about to start."""

    def act(play: Play) -> None:
        message = ClaimMessage(guest=uuid(guest), name=f"web{guest}", public=public)
        agent = play.agents[host]
        agent.claims.setdefault((message.guest, public), message)
        play.heard(host, agent.reserve(message))

    return act


def opens(host: str, instance: str) -> Act:
    """Its agent is a new process, and sends its list again."""

    def act(play: Play) -> None:
        agent = play.agents[host]
        agent.instance = instance
        play.generations[host] = agent.open().generation
        lists(host)(play)

    return act


def moves(host: str, number: int) -> Act:
    """The host is reached by another address of the overlay."""

    def act(play: Play) -> None:
        agent = play.agents[host]
        agent.source = ip_address(f"10.147.0.{number}")  # type: ignore[assignment]
        agent.heartbeat()

    return act


def silent(seconds: float, *hosts: str) -> Act:
    """Time passes in which these hosts say nothing, and the others are there."""

    def act(play: Play) -> None:
        left = seconds
        while left > 0:
            play.edge.clock.advance(min(left, 25.0))
            left -= 25.0
            for name in GROUPS.keys() - set(hosts):
                play.agents[name].heartbeat()
        play.edge.service.tick()

    return act


def ticks(play: Play) -> None:
    """The edge's pass is due."""
    play.edge.clock.advance(2.5)
    play.edge.service.tick()


def removes(host: str) -> Act:
    """`zthook edge host remove`"""

    def act(play: Play) -> None:
        play.agents.pop(host, None)
        with suppress(NotFound):  # the try before this one did it
            play.edge.service.remove_host(host)

    return act


def leaves(host: str) -> Act:
    """`zthook leave`"""

    def act(play: Play) -> None:
        play.agents.pop(host, None)
        if play.ledger.inner.host(host) is not None:
            play.edge.service.leave(host)

    return act


def releases(public: str) -> Act:
    """`zthook edge release`"""

    def act(play: Play) -> None:
        with suppress(NotFound):
            play.edge.service.release(public)

    return act


def permits(host: str, **more: object) -> Act:
    """`zthook edge host add` of a host that is there."""

    def act(play: Play) -> None:
        play.edge.service.add_host(host, **more)  # type: ignore[arg-type]

    return act


def pools(*some: Pool) -> Act:
    """edge.toml has other pools; a daemon that starts goes by it as well."""

    def act(play: Play) -> None:
        play.edge.settings = replace(SETTINGS, pools=some)
        play.edge.service.reload(play.edge.settings)

    return act


def flushes(play: Play) -> None:
    """Others flush the rules, and the edge's next pass is due."""
    play.kernel.flush()
    ticks(play)


def loses_routes(play: Play) -> None:
    """The overlay's device is away and back, without its routes."""
    play.kernel.indexes.pop(OVERLAY.name, None)
    play.kernel.device = play.kernel.lose_overlay() or OVERLAY
    ticks(play)


def reboots(play: Play) -> None:
    """The edge's machine starts anew: its kernel is empty."""
    play.kernel.reboot()
    play.start_anew()


def perform(play: Play, act: Act) -> None:
    """The act, to its answer."""
    act(play)
    play.fate.moment("before the answer is read")


def survives(play: Play, act: Act) -> bool:
    """Whether the daemon lived to answer."""
    try:
        perform(play, act)
    except Crash:
        return False
    return True

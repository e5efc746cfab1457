"""How the machine speaks to an edge, and what it must be answered."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from tests.edge.oracle import Oracle, Rows
from tests.edge.trouble import TroubledLedger
from tests.edge.world import SETTINGS as USUAL
from tests.edge.world import Agent, Edge, FakeInside, Inside, overlay_mac
from zthook.errors import KernelError, Stale, StoreError, ZthookError
from zthook.kernel.edge.fake import Crash
from zthook.model.addresses import AddressRange, Pool
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.memory import MemoryLedger
from zthook.store.rows import ClaimRow, Standing
from zthook.wire.messages import HeartbeatRequest, ListRequest, ReserveRequest

T = TypeVar("T")
Message = ListRequest | ReserveRequest | HeartbeatRequest
Stamp = tuple[int, int]

GROUPS: dict[str, str | None] = {"home1": "rack", "home2": "rack", "home3": None}
HOSTS = sorted(GROUPS)
NEVER: Stamp = (0, 0)
MANY = 10_000
"""More than a session has messages here."""
SMALL = Pool("small", (AddressRange.parse("198.51.100.8-198.51.100.9"),), "up1")
SETTINGS = replace(USUAL, pools=(*USUAL.pools, SMALL))
"""With a pool that guests soon use up."""


class Conversation(RuleBasedStateMachine):
    """One edge and its hosts; it knows which messages the edge must have taken."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = TroubledLedger(self.make_ledger())
        self.inside = self.make_kernel()
        self.edge = Edge(self.ledger.as_ledger, self.inside, SETTINGS)
        self.kernel = self.edge.kernel
        self.oracle = Oracle(self.edge, self.ledger, GROUPS)
        self.agents: dict[str, Agent] = {}
        self.in_flight: list[tuple[str, Message, IPv4Address]] = []
        # What the edge must have taken from each host.
        self.last_list: dict[str, Stamp] = {}
        self.last_beat: dict[str, Stamp] = {}
        self.reserved: dict[ClaimKey, Stamp] = {}
        # Heartbeats that were heard while the edge looked, and are more than a brief turn's.
        self.half_heard: list[tuple[str, HeartbeatRequest, IPv4Address]] = []
        # Sessions that nobody has spoken in; they end with the daemon.
        self.opened: set[tuple[str, int]] = set()

    def make_ledger(self) -> Ledger:
        return MemoryLedger()

    def make_kernel(self) -> Inside:
        return FakeInside()

    def attempt(self, act: Callable[[], T], *expected: type[ZthookError]) -> T | ZthookError | None:
        """A value, an expected error, or None where the daemon died and was started again."""
        done: T | ZthookError
        self.oracle.begin()
        try:
            done = act()
        except Crash:
            self.start_the_daemon()
            return None
        except ZthookError as error:
            if not isinstance(error, (StoreError, *expected)):
                raise
            done = error
        self.oracle.check()
        return done

    def start_the_daemon(self) -> None:
        """It may die while it starts, too. While it starts it listens to nobody."""
        self.edge.turns.nothing_comes()
        for _ in range(10):
            try:
                self.edge.boot()
            except (Crash, StoreError):
                continue
            self.last_beat.clear()
            self.half_heard.clear()
            self.opened.clear()
            for name in self.agents:
                self.follow_session(name)
            self.oracle.renew(*HOSTS)
            self.oracle.check()
            return
        raise AssertionError("never came up")

    def send(self, name: str, message: Message, source: IPv4Address) -> None:
        """Deliver a message, now or late, and see that it is taken or refused as it must be."""
        rows, stale = self.oracle.rows(), self.is_stale(name, message)
        renewed = dict(self.oracle.renewed)
        if not stale:
            self.oracle.renew(name)
        outcome = self.attempt(lambda: self.deliver(name, message, source), Stale, KernelError)
        if stale:
            assert isinstance(outcome, Stale | KernelError), outcome
            assert self.oracle.rows() == rows, "a late message changed something"
        elif outcome is None or isinstance(outcome, StoreError):
            self.learn(name, message, rows, died=outcome is None)
        else:
            assert not isinstance(outcome, Stale), outcome
            if isinstance(outcome, KernelError):
                self.oracle.renewed = renewed  # the edge could not look: it took nothing of it
            else:
                self.taken(name, message, rows)

    def deliver(self, name: str, message: Message, source: IPv4Address) -> object:
        service = self.edge.service
        if isinstance(message, ListRequest):
            return self.agents[name].heard(service.list_claims(name, message, source))
        if isinstance(message, ReserveRequest):
            return self.agents[name].heard(service.reserve(name, message, source))
        return self.agents[name].beat(message, source)

    def beat_in_between(self, name: str, message: HeartbeatRequest, source: IPv4Address) -> None:
        """Deliver it in the middle of a pass: nothing is stored for it."""
        rows, hosts = self.oracle.rows(), self.ledger.inner.hosts()
        stale, alive = self.is_stale(name, message), self.oracle.live(name)
        alive &= not self.begins(name, message)
        try:
            heard = self.edge.service.beat(name, message, source)
        except Stale:
            assert stale
        else:
            assert not stale
            self.last_beat[name] = message.session, message.sequence
            if alive:
                self.oracle.renew(name)
            if heard is None:
                assert not alive or not self.is_at(name, source), "there was nothing to store"
                self.half_heard.append((name, message, source))
            else:
                assert alive, "its lease began without a word in the store"
        assert (self.oracle.rows(), self.ledger.inner.hosts()) == (rows, hosts)

    def is_at(self, name: str, source: IPv4Address) -> bool:
        """Whether the edge knows, and sees, the host where it speaks from."""
        host = self.ledger.inner.host(name)
        assert host is not None
        there = str(source), overlay_mac(source)
        return (host.address, host.mac) == there and not self.kernel.refuse

    def hear_the_rest(self, name: str, message: HeartbeatRequest, source: IPv4Address) -> None:
        """Of one that came in the middle of a pass, whatever was heard since."""
        rows, hosts = self.oracle.rows(), self.ledger.inner.hosts()
        host = self.ledger.inner.host(name)
        assert host is not None
        stale = message.session != host.session and not self.begins(name, message)
        session, sequence = self.last_beat.get(name, NEVER)
        stale |= message.session == session and message.sequence < sequence
        renewed = dict(self.oracle.renewed)
        if not stale:
            self.oracle.renew(name)
        service = self.edge.service
        outcome = self.attempt(lambda: service.welcome(name, message, source), Stale, KernelError)
        if stale or isinstance(outcome, KernelError):
            assert isinstance(outcome, Stale | KernelError), outcome
            assert (self.oracle.rows(), self.ledger.inner.hosts()) == (rows, hosts)
            self.oracle.renewed = renewed
        else:
            assert not isinstance(outcome, Stale), outcome

    def follow_session(self, name: str) -> None:
        """Let the agent go on in the valid session, where its own counts no more or never did."""
        host, agent = self.ledger.inner.host(name), self.agents[name]
        if host is None:
            return  # it is being removed
        if agent.session != host.session and (name, agent.session) not in self.opened:
            agent.session, agent.sequence = host.session, agent.sequence + MANY

    def forget_messages(self, name: str) -> None:
        """Whoever has this name now has said nothing yet."""
        self.last_list.pop(name, None)
        self.last_beat.pop(name, None)
        self.opened = {(host, session) for host, session in self.opened if host != name}
        self.reserved = {key: stamp for key, stamp in self.reserved.items() if key[0] != name}

    def is_stale(self, name: str, message: Message) -> bool:
        stamp, host = (message.session, message.sequence), self.ledger.inner.host(name)
        assert host is not None
        if message.session != host.session and not self.begins(name, message):
            return True
        if isinstance(message, HeartbeatRequest):
            session, sequence = self.last_beat.get(name, NEVER)
            return message.session == session and message.sequence <= sequence
        if stamp <= self.last_list.get(name, NEVER):
            return True
        rows = self.oracle.rows()
        return isinstance(message, ReserveRequest) and any(
            key in rows and stamp <= self.reserved.get(key, NEVER) for key in _keys(name, message)
        )

    def begins(self, name: str, message: Message) -> bool:
        """Whether it is the first in a session that was opened for its host."""
        host = self.ledger.inner.host(name)
        assert host is not None
        return message.session > host.session and (name, message.session) in self.opened

    def taken(self, name: str, message: Message, before: Rows) -> None:
        stamp = message.session, message.sequence
        if isinstance(message, HeartbeatRequest):
            self.last_beat[name] = stamp
        elif isinstance(message, ReserveRequest):
            self.reserved |= dict.fromkeys(_keys(name, message), stamp)
        else:
            self.last_list[name] = stamp
            there = {key: row for key, row in self.oracle.rows().items() if key[0] == name}
            mine = {key for key in before if key[0] == name}
            later = {key for key in mine if self.reserved.get(key, NEVER) > stamp}
            going = {
                key
                for key, row in there.items()
                if row.standing is Standing.LEAVING and row.after is None
            }
            assert there.keys() - going == {*_keys(name, message)} | later

    def learn(self, name: str, message: Message, before: Rows, *, died: bool) -> None:
        """Nobody was told whether it was taken: it was, whole, or not at all.

        Heartbeats are known to the daemon that heard them, and to no later one.
        """
        stamp = message.session, message.sequence
        host, rows = self.ledger.inner.host(name), self.oracle.rows()
        assert host is not None
        if isinstance(message, HeartbeatRequest):
            if not died:
                self.last_beat[name] = stamp
        elif isinstance(message, ReserveRequest):
            keys = _keys(name, message)
            hits = [key for key in keys if key in rows and _stamp(rows[key]) == stamp]
            assert hits in ([], keys), "half a reservation"
            self.reserved |= dict.fromkeys(hits, stamp)
        elif (host.session, host.sequence) == stamp:
            self.taken(name, message, before)


def _keys(name: str, message: ListRequest | ReserveRequest) -> list[ClaimKey]:
    return [(name, claim.guest, claim.public) for claim in message.claims]


def _stamp(row: ClaimRow) -> Stamp:
    return row.session, row.sequence

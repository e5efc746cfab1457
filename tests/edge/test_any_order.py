"""Any order of anything: claims, late messages, lease ends, crashes, a kernel that refuses.

After every step, whatever happened, the invariants of this file hold. The same machine
runs over the ledger in memory and the one on disk, over a fake kernel and the real one.
"""

import tempfile
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.edge.trouble import TroubledLedger
from tests.edge.world import (
    SETTINGS,
    Agent,
    Edge,
    FakeInside,
    Inside,
    address_of,
    overlay_mac,
    uuid,
)
from zthook.errors import (
    KernelError,
    NotAuthenticated,
    NotFound,
    Refused,
    Stale,
    StoreError,
    TwoAgents,
    ZthookError,
)
from zthook.kernel.edge_plan import Steps
from zthook.kernel.fake_edge import Crash
from zthook.model.addresses import pool_of
from zthook.model.mappings import Forwarding
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.memory import MemoryLedger
from zthook.store.rows import OCCUPYING, ClaimRow, Standing
from zthook.store.sqlite import SqliteLedger
from zthook.wire.messages import ClaimMessage, HeartbeatRequest, ListRequest, ReserveRequest

T = TypeVar("T")
Message = ListRequest | ReserveRequest | HeartbeatRequest

HOSTS = ("home1", "home2", "home3")
GROUPS = {"home1": "rack", "home2": "rack", "home3": None}
GUESTS = (1, 2, 3)
PUBLICS = ("203.0.113.10", "203.0.113.11", "192.0.2.1")
"""The last one is of no pool."""
PRIVATES = (None, "192.168.122.51", "192.168.122.52")
"""None: not known yet. The others are those that guests 1 and 2 usually have."""
STRANGE = ("10.147.0.9",)
"""On the overlay, where no guest may be."""

hosts = st.sampled_from(HOSTS)


def usual(guest: int) -> str:
    return f"192.168.122.{50 + guest}"


def make_claim(guest: int, public: str, private: str | None, client: str) -> ClaimMessage:
    own = usual(guest) if private == "own" else private
    return ClaimMessage(
        guest=uuid(guest),
        name=f"web{guest}",
        public=public,
        private=own,
        client=client,  # type: ignore[arg-type]
    )


claims = st.builds(
    make_claim,
    st.sampled_from(GUESTS),
    st.sampled_from(PUBLICS[:2] * 5 + PUBLICS),
    st.sampled_from(("own",) * 8 + PRIVATES * 2 + STRANGE),
    st.sampled_from(["keep", "keep", "hide"]),
)


class AnyOrder(RuleBasedStateMachine):
    """Agents that do as the real ones, in a world that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = TroubledLedger(self.make_ledger())
        self.inside = self.make_kernel()
        self.edge = Edge(self.ledger.as_ledger, self.inside)
        self.kernel = self.edge.kernel
        self.agents: dict[str, Agent] = {}
        self.in_flight: list[tuple[str, Message, IPv4Address]] = []
        self.flushed = False
        self.highest_epoch = 0
        # What the edge must have taken from each host: the last list, later reservations.
        self.list_taken: dict[str, tuple[int, int]] = {}
        self.reserved: dict[ClaimKey, tuple[int, int]] = {}
        self.beat: dict[str, tuple[int, int]] = {}
        self.before = self.rows()

    def make_ledger(self) -> Ledger:
        return MemoryLedger()

    def make_kernel(self) -> Inside:
        return FakeInside()

    def teardown(self) -> None:
        self.ledger.inner.close()
        self.kernel.close()

    @initialize()
    def enrol(self) -> None:
        for name in HOSTS:
            self.agents[name] = self.edge.host(name, group=GROUPS[name])

    # What happens.

    def rows(self) -> dict[ClaimKey, ClaimRow]:
        return {row.key: row for row in self.ledger.inner.claims()}

    def attempt(self, act: Callable[[], T], *expected: type[ZthookError]) -> T | ZthookError | None:
        """What came of it: a value, an expected error, None where the daemon died and came back."""
        try:
            return act()
        except expected as error:
            return error
        except StoreError as error:
            return error
        except Crash:
            self.reboot()
            return None

    def reboot(self) -> None:
        """The daemon may die while it starts, too."""
        for _ in range(10):
            try:
                self.edge.boot()
            except Crash:
                continue
            except StoreError:
                continue
            self.beat.clear()
            return
        raise AssertionError("never came up")

    def send(self, name: str, message: Message, source: IPv4Address) -> None:
        """Deliver a message, now or late, and see that it is taken or refused as it must be."""
        service, snapshot = self.edge.service, self.rows()
        deliver: Callable[[], object]
        if isinstance(message, ListRequest):
            deliver = lambda: service.list_claims(name, message, source)  # noqa: E731
        elif isinstance(message, ReserveRequest):
            deliver = lambda: service.reserve(name, message, source)  # noqa: E731
        else:
            deliver = lambda: service.heartbeat(name, message, source)  # noqa: E731
        stale = self.is_stale(name, message)
        outcome = self.attempt(deliver, Stale, KernelError, NotAuthenticated)
        if isinstance(outcome, Stale):
            assert stale, f"{message} was current, and is told {outcome.message}"
        if stale:
            assert isinstance(outcome, Stale | KernelError | NotAuthenticated), outcome
            assert self.rows() == snapshot, "a late message changed something"
        elif outcome is None or isinstance(outcome, StoreError):
            self.learn(name, message)
        elif not isinstance(outcome, ZthookError):
            self.taken(name, message)

    def is_stale(self, name: str, message: Message) -> bool:
        agent, stamp = self.agents[name], (message.session, message.sequence)
        if message.session != agent.session:
            return True
        if isinstance(message, HeartbeatRequest):
            return stamp <= self.beat.get(name, (0, 0))
        if stamp <= self.list_taken.get(name, (0, 0)):
            return True
        if isinstance(message, ListRequest):
            return False
        rows = self.rows()
        keys = [(name, claim.guest, claim.public) for claim in message.claims]
        return any(key in rows and stamp <= self.reserved.get(key, (0, 0)) for key in keys)

    def taken(self, name: str, message: Message) -> None:
        stamp = message.session, message.sequence
        if isinstance(message, HeartbeatRequest):
            self.beat[name] = stamp
            return
        keys = {(name, claim.guest, claim.public) for claim in message.claims}
        if isinstance(message, ReserveRequest):
            self.reserved |= dict.fromkeys(keys, stamp)
        else:
            self.list_taken[name] = stamp
            there = {key for key in self.rows() if key[0] == name}
            later = {key for key in there if self.reserved.get(key, (0, 0)) > stamp}
            gone = {
                key
                for key, row in self.rows().items()
                if row.standing is Standing.LEAVING and row.after is None
            }
            assert there - gone == keys | later, "a list took too much, or too little"

    def learn(self, name: str, message: Message) -> None:
        """Nobody was told whether it was taken: whole, or not at all."""
        host = self.ledger.inner.host(name)
        rows = self.rows()
        stamp = message.session, message.sequence
        if isinstance(message, ListRequest) and host is not None:
            if (host.session, host.sequence) == stamp:
                self.taken(name, message)
        elif isinstance(message, ReserveRequest):
            keys = [(name, claim.guest, claim.public) for claim in message.claims]
            hits = [key for key in keys if key in rows and _stamp(rows[key]) == stamp]
            assert hits in ([], keys), "half a reservation"
            self.reserved |= dict.fromkeys(hits, stamp)
        elif isinstance(message, HeartbeatRequest):
            self.beat[name] = stamp

    # Hosts.

    @rule(name=hosts, claim=claims)
    def guest_starts(self, name: str, claim: ClaimMessage) -> None:
        self.agents[name].claims[claim.guest, claim.public] = claim

    @rule(name=hosts, pick=st.integers(0, 20))
    def guest_stops(self, name: str, pick: int) -> None:
        claims = self.agents[name].claims
        if claims:
            del claims[sorted(claims)[pick % len(claims)]]

    @rule(name=hosts)
    def list_arrives(self, name: str) -> None:
        agent = self.agents[name]
        self.send(name, agent.list_request(), agent.source)

    @rule(name=hosts, claim=claims)
    def start_and_list(self, name: str, claim: ClaimMessage) -> None:
        self.guest_starts(name, claim)
        self.list_arrives(name)

    @rule(name=hosts, guest=st.sampled_from(GUESTS), pick=st.integers(0, 5))
    def wants_what_another_holds(self, name: str, guest: int, pick: int) -> None:
        held = sorted(
            row.public for row in self.rows().values() if row.standing is Standing.HOLDING
        )
        if held:
            public = held[pick % len(held)]
            self.start_and_list(name, make_claim(guest, public, "own", "keep"))

    @rule(here=hosts, there=hosts, pick=st.integers(0, 20), late=st.booleans())
    def guest_migrates(self, here: str, there: str, pick: int, late: bool) -> None:
        """It resumes on the destination, which claims; the source's list comes before or after."""
        claims = self.agents[here].claims
        if not claims or here == there:
            return
        claim = claims[sorted(claims)[pick % len(claims)]]
        if late:
            self.list_arrives(here)
        del claims[claim.guest, claim.public]
        if not late:
            self.list_arrives(here)
        self.start_and_list(there, claim)

    @rule(name=hosts)
    def list_is_asked_twice(self, name: str) -> None:
        """The same once more: at once, and with the same answer."""
        agent = self.agents[name]
        if self.kernel.refuse or self.ledger.fails_in is not None or self.dying():
            return
        first = self.attempt(agent.list, Stale, NotAuthenticated)
        if first is None or isinstance(first, ZthookError):
            return
        self.list_taken[name] = agent.session, agent.sequence
        rows, kernel = self.rows(), list(self.kernel.log)
        again = agent.list()
        self.list_taken[name] = agent.session, agent.sequence
        assert again.mappings == first.mappings
        assert self.rows() == rows
        assert self.kernel.log == kernel

    @rule(name=hosts, claim=claims)
    def reservation_arrives(self, name: str, claim: ClaimMessage) -> None:
        agent = self.agents[name]
        request = ReserveRequest(session=agent.session, sequence=agent.next(), claims=[claim])
        self.send(name, request, agent.source)

    @rule(name=hosts)
    def heartbeat_arrives(self, name: str) -> None:
        agent = self.agents[name]
        self.send(
            name, HeartbeatRequest(session=agent.session, sequence=agent.next()), agent.source
        )

    @rule(name=hosts, claim=claims, kind=st.sampled_from(["list", "reserve", "beat"]))
    def message_is_under_way(self, name: str, claim: ClaimMessage, kind: str) -> None:
        """Composed now, from what the agent knows now; it arrives later, or never."""
        agent = self.agents[name]
        message: Message
        if kind == "list":
            message = agent.list_request()
        elif kind == "reserve":
            message = ReserveRequest(session=agent.session, sequence=agent.next(), claims=[claim])
        else:
            message = HeartbeatRequest(session=agent.session, sequence=agent.next())
        self.in_flight.append((name, message, agent.source))

    @precondition(lambda self: self.in_flight)
    @rule(pick=st.integers(0, 20), again=st.booleans())
    def message_arrives_late(self, pick: int, again: bool) -> None:
        """In any order, and more than once."""
        index = pick % len(self.in_flight)
        name, message, source = self.in_flight[index]
        if not again:
            del self.in_flight[index]
        self.send(name, message, source)

    @rule(name=hosts, instance=st.sampled_from(["first", "second", "third"]))
    def agent_opens_a_session(self, name: str, instance: str) -> None:
        """A restart, or a second agent that comes back: then it must be named, and get nothing."""
        agent = self.agents[name]
        before = agent.session
        agent.instance = instance
        row = self.ledger.inner.host(name)
        snapshot = self.rows()
        outcome = self.attempt(agent.open, TwoAgents, NotAuthenticated)
        if isinstance(outcome, TwoAgents):
            assert row is not None
            assert instance in row.superseded
            assert self.rows() == snapshot
        if outcome is None or isinstance(outcome, ZthookError):
            after = self.ledger.inner.host(name)
            agent.session = after.session if after is not None else before
        assert agent.session >= before

    @rule(name=hosts)
    def host_moves_on_the_overlay(self, name: str) -> None:
        agent = self.agents[name]
        agent.source = address_of(name) + (100 if agent.source == address_of(name) else 0)

    # Time, the daemon, the kernel, the disk.

    @rule(
        seconds=st.sampled_from([0.5, 25.0, 61.0, 90.0, 700.0]),
        silent=st.sets(hosts, max_size=2),
    )
    def time_passes(self, seconds: float, silent: set[str]) -> None:
        """Who is not silent renews its lease as it should."""
        while seconds > 0:
            self.edge.clock.advance(min(seconds, 25.0))
            seconds -= 25.0
            for name in sorted(set(HOSTS) - silent):
                self.heartbeat_arrives(name)
            self.attempt(self.edge.service.tick)

    @rule()
    def daemon_restarts(self) -> None:
        self.reboot()

    @rule()
    def somebody_flushes_the_kernel(self) -> None:
        self.inside.flush()
        self.flushed = True

    @rule(
        kind=st.sampled_from(["kernel dies", "ledger dies", "kernel refuses", "disk full"]),
        steps=st.integers(0, 3),
        before=st.booleans(),
    )
    def trouble_begins(self, kind: str, steps: int, before: bool) -> None:
        """It strikes at a later step of the kernel's or the store's, before it or after."""
        self.kernel.dies_before = self.ledger.dies_before = before
        if kind == "kernel dies":
            self.kernel.dies_in = steps
        elif kind == "ledger dies":
            self.ledger.dies_in = steps
        elif kind == "disk full":
            self.ledger.fails_in = steps
        else:
            self.kernel.refuse = True

    # The admin.

    @rule(name=hosts)
    def host_is_removed_and_comes_back(self, name: str) -> None:
        self.attempt(lambda: self.edge.service.remove_host(name), KernelError, NotFound)
        row = self.ledger.inner.host(name)
        if row is None or row.leaving:
            assert all(
                row.standing is Standing.LEAVING for row in self.ledger.inner.claims_of(name)
            )
        self.come_back(name)

    def come_back(self, name: str) -> None:
        """The admin goes on until the host is enrolled again."""
        self.settle_down()
        row = self.ledger.inner.host(name)
        if row is not None:
            return
        self.agents[name] = self.edge.host(name, group=GROUPS[name])
        self.beat.pop(name, None)

    @precondition(lambda self: self.holder(PUBLICS[0]) is not None)
    @rule()
    def address_is_released(self) -> None:
        public = PUBLICS[0]
        row = self.holder(public)
        there = row is not None and self.edge.service._leases.live(row.host)
        outcome = self.attempt(
            lambda: self.edge.service.release(public), KernelError, NotFound, Refused
        )
        assert isinstance(outcome, Refused) == there or outcome is None

    @rule()
    def pool_can_not_be_taken_away_from_a_holder(self) -> None:
        held = any(row.standing is Standing.HOLDING for row in self.rows().values())
        if held:
            import dataclasses

            with pytest.raises(Refused, match="still in use"):
                self.edge.service.reload(dataclasses.replace(SETTINGS, pools=SETTINGS.pools[1:]))

    @rule()
    def settle_down(self) -> None:
        """All trouble ends; after one tick everything is as it has to be."""
        self.kernel.refuse = False
        self.kernel.dies_in = self.ledger.dies_in = self.ledger.fails_in = None
        self.edge.clock.advance(2.5)
        self.edge.service.tick()
        self.flushed = False
        self.check_settled()

    # What must hold.

    def holder(self, public: str) -> ClaimRow | None:
        found = [row for row in self.rows().values() if row.public == public]
        return next((row for row in found if row.standing is Standing.HOLDING), None)

    def dying(self) -> bool:
        return self.kernel.dies_in is not None or self.ledger.dies_in is not None

    @invariant()
    def an_address_has_one_holder(self) -> None:
        occupied = [row.public for row in self.rows().values() if row.standing in OCCUPYING]
        assert len(occupied) == len(set(occupied))

    @invariant()
    def a_private_address_is_one_guests(self) -> None:
        users: dict[str, tuple[str, str]] = {}
        for row in self.rows().values():
            if row.standing is Standing.HOLDING and row.private is not None:
                user = row.host, row.guest
                assert users.setdefault(row.private, user) == user

    @invariant()
    def epochs_rise_with_every_change_of_holder(self) -> None:
        now = self.rows()
        for key, row in now.items():
            old = self.before.get(key)
            if row.standing is not Standing.HOLDING:
                continue
            if old is not None and old.standing is Standing.HOLDING and old.epoch == row.epoch:
                continue
            assert row.epoch > self.highest_epoch, "granted under an old epoch"
        granted = [row.epoch for row in now.values() if row.standing is Standing.HOLDING]
        assert len(granted) == len(set(granted))
        self.highest_epoch = max([self.highest_epoch, *(row.epoch for row in now.values())])

    @invariant()
    def who_waited_longer_goes_first(self) -> None:
        now, leases = self.rows(), self.edge.service._leases
        for row in now.values():
            old = self.before.get(row.key)
            if row.standing is not Standing.HOLDING or old is None:
                continue
            if old.standing is not Standing.WAITING or old.heir:
                continue
            for key, other in self.before.items():
                still = now.get(key)
                if (
                    key != row.key
                    and still is not None
                    and other.public == row.public
                    and other.standing is still.standing is Standing.WAITING
                    and other.place < old.place
                ):
                    assert not leases.live(other.host) or self.blocked(still), "jumped the queue"

    @invariant()
    def who_waits_keeps_its_place(self) -> None:
        now = self.rows()
        for key, old in self.before.items():
            row = now.get(key)
            if row is not None and old.standing is row.standing is Standing.WAITING:
                assert row.place >= old.place
                lost_and_came_again = row.place > old.place
                assert not lost_and_came_again or row.since >= old.since
        self.before = now

    @invariant()
    def the_kernel_never_has_more_than_the_store(self) -> None:
        """Whatever crashed: each forwarding is of a row that holds, or that is LEAVING."""
        occupied = {row.public for row in self.rows().values() if row.standing in OCCUPYING}
        assert self.edge.inward().keys() <= occupied

    @invariant()
    def active_is_said_of_what_the_kernel_has(self) -> None:
        if self.flushed or self.kernel.refuse:
            return
        have = self.edge.reached()
        for view in self.edge.service.mappings():
            if view.state == "active":
                host = self.ledger.inner.host(view.host)
                assert host is not None
                assert have.get(view.public) == f"{view.private} via {host.address}"

    def check_settled(self) -> None:
        rows, leases = self.rows(), self.edge.service._leases
        assert self.edge.service.status().kernel == ""
        assert self.edge.lacks(self.expected()) == Steps()
        views = {(view.host, view.uuid, view.public): view for view in self.edge.service.mappings()}
        for key, row in rows.items():
            assert row.standing is not Standing.LEAVING
            left = leases.left(row.host)
            assert left is not None
            assert left > -SETTINGS.grace_seconds, "kept beyond its grace"
            if row.standing is Standing.HOLDING and row.private is not None:
                assert views[key].state == "active"
            if row.standing is Standing.WAITING and leases.live(row.host):
                assert not self.could_have(row), "left waiting for a free address"

    def could_have(self, row: ClaimRow) -> bool:
        holder = self.holder(row.public)
        taken = holder is not None and self.edge.service._leases.live(holder.host)
        return not taken and not self.blocked(row)

    def blocked(self, row: ClaimRow) -> bool:
        """Whether the same guest uses the private address from another live host."""
        return any(
            other.standing is Standing.HOLDING
            and other.private == row.private
            and other.host != row.host
            and self.edge.service._leases.live(other.host)
            for other in self.rows().values()
            if row.private is not None
        )

    def expected(self) -> frozenset[Forwarding]:
        """What the kernel has to have, from the rows and from where the agents really are."""
        found = set()
        for row in self.rows().values():
            if row.standing is Standing.HOLDING and row.private is not None:
                public = IPv4Address(row.public)
                host = self.ledger.inner.host(row.host)
                pool = pool_of(public, SETTINGS.pools)
                assert host is not None
                assert host.address is not None
                assert pool is not None
                hop = IPv4Address(host.address)
                assert hop in {address_of(row.host), address_of(row.host) + 100}
                found.add(
                    Forwarding(
                        public=public,
                        arrives_as=public,
                        private=IPv4Address(row.private),
                        next_hop=hop,
                        next_hop_mac=overlay_mac(hop),
                        uplink=pool.uplink,
                        hide=row.client == "hide",
                    )
                )
        return frozenset(found)


class OnDisk(AnyOrder):
    """The same over SQLite."""

    def make_ledger(self) -> Ledger:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteLedger(Path(self.folder.name) / "edge.sqlite")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def _stamp(row: ClaimRow) -> tuple[int, int]:
    return row.session, row.sequence


@pytest.mark.parametrize(
    ("machine", "examples"), [(AnyOrder, 300), (OnDisk, 60)], ids=["memory", "sqlite"]
)
def test_any_order(machine: type[AnyOrder], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Agents that do as the real ones, in a world that does not: what can happen to an edge.

Late, doubled and reordered messages, leases that end, daemons that die between any two
steps, a kernel that refuses or is flushed, a full disk, an admin. ``oracle`` says after
each step whether all is still well.
"""

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from msgspec.structs import replace as change

from tests.edge.conversation import GROUPS, HOSTS, SETTINGS, Conversation, Message
from tests.edge.world import Meanwhile, address_of, uuid
from zthook.errors import (
    KernelError,
    NotAuthenticated,
    NotFound,
    Refused,
    StoreError,
    TwoAgents,
)
from zthook.kernel.edge.fake import Crash
from zthook.store.rows import Standing
from zthook.wire.messages import ClaimMessage, SessionReply

GUESTS = (1, 2, 3)
PUBLICS = ("203.0.113.10", "203.0.113.11")
AUTOS = ("auto/small/0", "auto/small/1", "auto//0")
"""Three guests want six addresses of a pool of two."""
NO_POOL = "192.0.2.1"
ON_THE_OVERLAY = "10.147.0.9"


def usual(guest: int) -> str:
    """The private address that a guest has, unless another one took it."""
    return f"192.168.122.{50 + guest}"


def make_claim(guest: int, public: str, private: str | None, client: str) -> ClaimMessage:
    return ClaimMessage(
        guest=uuid(guest),
        name=f"web{guest}",
        public=public,
        private=usual(guest) if private == "own" else private,
        client=client,  # type: ignore[arg-type]
    )


hosts = st.sampled_from(HOSTS)
guests = st.sampled_from(GUESTS)
picks = st.integers(0, 11)
claims = st.builds(
    make_claim,
    guests,
    st.sampled_from((*PUBLICS * 6, *AUTOS * 3, NO_POOL)),
    st.sampled_from(("own",) * 8 + (None, None, usual(1), usual(2), ON_THE_OVERLAY)),
    st.sampled_from(["keep", "keep", "hide"]),
)

kinds = st.sampled_from(["list", "reserve", "heartbeat"])


class AnyOrder(Conversation):
    """The ledger in memory and the fake kernel, which can also fail between two steps."""

    def teardown(self) -> None:
        if self.agents:
            self.all_trouble_ends()
        self.kernel.close()
        self.ledger.inner.close()

    @initialize()
    def hosts_enrol(self) -> None:
        for name in HOSTS:
            self.agents[name] = self.edge.host(name, group=GROUPS[name])
            self.opened.add((name, self.agents[name].session))
        self.oracle.renew(*HOSTS)

    # Guests.

    @rule(name=hosts, claim=claims)
    def guest_starts(self, name: str, claim: ClaimMessage) -> None:
        self.agents[name].claims[claim.guest, claim.public] = claim
        self.list_arrives(name)

    @rule(name=hosts, guest=guests, pick=picks)
    def guest_wants_what_another_holds(self, name: str, guest: int, pick: int) -> None:
        rows = self.oracle.rows().values()
        held = sorted(row.public for row in rows if row.standing is Standing.HOLDING)
        if held:
            self.guest_starts(name, make_claim(guest, held[pick % len(held)], "own", "keep"))

    @rule(name=hosts, guest=guests, pick=picks)
    def guest_wants_what_is_kept_for_another(self, name: str, guest: int, pick: int) -> None:
        kept = [row.public for row in self.ledger.inner.reservations()]
        if kept:
            self.guest_starts(name, make_claim(guest, kept[pick % len(kept)], "own", "keep"))

    @rule(name=hosts, pick=picks)
    def guest_stops(self, name: str, pick: int) -> None:
        claims = self.agents[name].claims
        if claims:
            del claims[sorted(claims)[pick % len(claims)]]
        self.list_arrives(name)

    @rule(name=hosts, pick=picks, guest=guests)
    def guest_gets_an_address(self, name: str, pick: int, guest: int) -> None:
        """Its own, mostly; it may also take another's."""
        claims = self.agents[name].claims
        if claims:
            key = sorted(claims)[pick % len(claims)]
            claims[key] = make_claim(int(key[0][-1]), key[1], usual(guest), "keep")
            self.list_arrives(name)

    @rule(here=hosts, there=hosts, pick=picks, late=st.booleans())
    def guest_migrates(self, here: str, there: str, pick: int, late: bool) -> None:
        """It resumes on the destination, which claims; the source says so before or after."""
        claims = self.agents[here].claims
        if not claims or here == there:
            return
        key = sorted(claims)[pick % len(claims)]
        claim = claims[key]
        if late:
            self.guest_starts(there, claim)
            self.list_arrives(here)
        claims.pop(key, None)
        self.list_arrives(here)
        self.guest_starts(there, claim)

    @rule(here=hosts, there=hosts, pick=picks, moved=st.booleans(), known=st.booleans())
    def guest_leaves(self, here: str, there: str, pick: int, *, moved: bool, known: bool) -> None:
        """Its host says that it went elsewhere; there it may claim before or after, or not."""
        claims = self.agents[here].claims
        if not claims or here == there:
            return
        key = sorted(claims)[pick % len(claims)]
        claim = claims[key]
        if moved:
            self.guest_starts(there, change(claim, leaving=False))
        private = claim.private if known else None
        claims[key] = change(claim, leaving=True, private=private)
        self.list_arrives(here)
        if not moved:
            self.guest_starts(there, change(claim, leaving=False))

    # Messages.

    @rule(name=hosts)
    def list_arrives(self, name: str) -> None:
        agent = self.agents[name]
        self.send(name, agent.list_request(), agent.source)

    @rule(name=hosts)
    def list_is_sent_twice(self, name: str) -> None:
        """The second time nothing changes, and the answer is the same."""
        agent = self.agents[name]
        self.list_arrives(name)
        if self.oracle.troubled:
            return
        rows, steps = self.oracle.rows(), list(self.kernel.log)
        first = agent.last_heard
        self.list_arrives(name)
        assert agent.last_heard == first
        assert (self.oracle.rows(), self.kernel.log) == (rows, steps)

    @rule(name=hosts, claim=claims)
    def reservation_arrives(self, name: str, claim: ClaimMessage) -> None:
        agent = self.agents[name]
        self.send(name, agent.reserve_request(claim), agent.source)

    @rule(name=hosts, claim=claims)
    def reservation_overtakes_a_list(self, name: str, claim: ClaimMessage) -> None:
        """The list could not know of it, and takes nothing from it."""
        agent = self.agents[name]
        late = agent.list_request()
        self.reservation_arrives(name, claim)
        self.send(name, late, agent.source)

    @rule(name=hosts)
    def heartbeat_arrives(self, name: str) -> None:
        agent = self.agents[name]
        self.send(name, agent.heartbeat_request(), agent.source)

    @rule(
        name=hosts,
        point=st.integers(0, Meanwhile.POINTS - 1),
        seconds=st.sampled_from([2.5, 2.5, 61.0]),
        flushed=st.booleans(),
        moved=st.booleans(),
    )
    def heartbeat_arrives_while_the_edge_looks(
        self, name: str, point: int, seconds: float, *, flushed: bool, moved: bool
    ) -> None:
        agent, home = self.agents[name], address_of(name)
        if moved:
            agent.source = home + 100 if agent.source == home else home
        message, source = agent.heartbeat_request(), agent.source
        self.edge.turns.at(point, lambda: self.beat_in_between(name, message, source))
        if flushed:
            self.somebody_flushes_the_kernel()
        self.edge.clock.advance(seconds)
        self.attempt(self.edge.service.tick)
        self.edge.turns.nothing_comes()

    @precondition(lambda self: self.half_heard)
    @rule(pick=picks)
    def rest_of_a_heartbeat_is_heard(self, pick: int) -> None:
        self.hear_the_rest(*self.half_heard.pop(pick % len(self.half_heard)))

    @rule(name=hosts, claim=claims, kind=kinds)
    def message_is_under_way(self, name: str, claim: ClaimMessage, kind: str) -> None:
        """Composed from what the agent knows now; it arrives later, or never."""
        message = self.composed(name, claim, kind)
        self.in_flight.append((name, message, self.agents[name].source))

    @rule(name=hosts, claim=claims, kind=kinds, between=st.booleans())
    def message_arrives_twice(
        self, name: str, claim: ClaimMessage, kind: str, between: bool
    ) -> None:
        """The second time it is late, also where a new session began in between."""
        message = self.composed(name, claim, kind)
        if between:
            self.agent_opens_a_session(name, self.agents[name].instance, speaks=True)
        else:
            self.send(name, message, self.agents[name].source)
        self.send(name, message, self.agents[name].source)

    def composed(self, name: str, claim: ClaimMessage, kind: str) -> Message:
        agent = self.agents[name]
        if kind == "list":
            return agent.list_request()
        return agent.reserve_request(claim) if kind == "reserve" else agent.heartbeat_request()

    @precondition(lambda self: self.in_flight)
    @rule(pick=picks, again=st.booleans())
    def message_arrives_late(self, pick: int, again: bool) -> None:
        """In any order, and more than once."""
        index = pick % len(self.in_flight)
        name, message, source = self.in_flight[index]
        if not again:
            del self.in_flight[index]
        self.send(name, message, source)

    @rule(name=hosts, instance=st.sampled_from(["first", "second", "third"]), speaks=st.booleans())
    def agent_opens_a_session(self, name: str, instance: str, speaks: bool) -> None:
        """A restart, or a second agent that comes back: then it is named, and gets nothing.

        Until it speaks, what the one before had sent counts.
        """
        agent, rows = self.agents[name], self.oracle.rows()
        host = self.ledger.inner.host(name)
        assert host is not None
        other = instance in host.superseded or (
            host.instance and instance != host.instance and host.address != str(agent.source)
        )
        back = bool(other) and self.oracle.live(name)
        agent.instance = instance
        if not back:
            self.oracle.renew(name)
        outcome = self.attempt(agent.open, TwoAgents)
        if isinstance(outcome, TwoAgents):
            assert self.oracle.rows() == rows
        if outcome is not None and not isinstance(outcome, StoreError):
            assert isinstance(outcome, TwoAgents) == back
        if isinstance(outcome, SessionReply):
            self.opened.add((name, outcome.session))
        else:
            self.follow_session(name)
        if speaks:
            self.heartbeat_arrives(name)

    @rule(name=hosts)
    def host_moves_on_the_overlay(self, name: str) -> None:
        agent, home = self.agents[name], address_of(name)
        agent.source = home + 100 if agent.source == home else home
        self.heartbeat_arrives(name)
        host = self.ledger.inner.host(name)
        assert host is not None
        assert self.oracle.troubled or host.address == str(agent.source)

    # Time, the daemon, the kernel, the disk.

    @rule(
        seconds=st.sampled_from([0.5, 61.0, 61.0, 90.0, 700.0]),
        silent=st.sets(hosts, min_size=1, max_size=2),
    )
    def time_passes(self, seconds: float, silent: set[str]) -> None:
        """Who is not silent renews its lease as it should."""
        while seconds > 0:
            self.edge.clock.advance(min(seconds, 25.0))
            seconds -= 25.0
            self.attempt(self.edge.service.tick)
            for name in sorted(set(HOSTS) - silent):
                self.heartbeat_arrives(name)

    @rule()
    def daemon_restarts(self) -> None:
        self.start_the_daemon()

    @rule()
    def somebody_flushes_the_kernel(self) -> None:
        self.inside.flush()
        self.oracle.troubled = self.oracle.flushed = True

    @rule(
        kind=st.sampled_from(
            ["kernel dies", "ledger dies", "kernel refuses", "disk full", "step dies", "step fails"]
        ),
        steps=st.integers(0, 3),
        before=st.booleans(),
    )
    def trouble_begins(self, kind: str, steps: int, before: bool) -> None:
        """It strikes at a later step of the kernel's or the store's, before it or after."""
        self.oracle.troubled = True
        self.kernel.dies_before = self.ledger.dies_before = before
        if kind == "kernel dies":
            self.kernel.dies_in = steps
        elif kind == "ledger dies":
            self.ledger.dies_in = steps
        elif kind == "disk full":
            self.ledger.fails_in = steps
        elif kind == "kernel refuses":
            self.kernel.refuse = True
        else:
            self.inside.fail_at(steps + 1, Crash() if kind == "step dies" else None)

    @rule()
    def all_trouble_ends(self) -> None:
        """After one tick everything is as it has to be."""
        self.kernel.refuse = False
        self.inside.heal()
        self.kernel.dies_in = self.ledger.dies_in = self.ledger.fails_in = None
        self.edge.clock.advance(2.5)
        self.edge.service.tick()
        self.oracle.troubled = self.oracle.flushed = False
        self.oracle.check()
        self.oracle.settled()

    # The admin.

    @rule(name=hosts)
    def host_is_removed_and_comes_back(self, name: str) -> None:
        self.attempt(lambda: self.edge.service.remove_host(name), KernelError)
        host = self.ledger.inner.host(name)
        if host is not None and not host.leaving:
            return  # the store could not be written: nothing happened
        rows = self.ledger.inner.claims_of(name)
        assert all(row.standing is Standing.LEAVING and row.after is None for row in rows)
        with pytest.raises(NotAuthenticated):
            self.edge.service.generation(name, self.agents[name].session)
        self.all_trouble_ends()
        assert self.ledger.inner.host(name) is None
        self.forget_messages(name)
        self.agents[name] = self.edge.host(name, group=GROUPS[name])
        self.opened.add((name, self.agents[name].session))
        self.oracle.renew(name)
        self.oracle.check()

    @rule(pick=picks)
    def address_is_released(self, pick: int) -> None:
        """Also one that is kept for who holds it: that stays so."""
        kept = {row.public: row for row in self.ledger.inner.reservations()}
        public = [*PUBLICS, *sorted(kept)][pick % (len(PUBLICS) + len(kept))]
        row = self.oracle.holder(public)
        there = row is not None and self.oracle.live(row.host)
        idle = public in kept and (row is None or kept[public].key != (row.guest, row.asked))
        self.oracle.released.add(public)
        outcome = self.attempt(
            lambda: self.edge.service.release(public), KernelError, NotFound, Refused
        )
        self.oracle.released.clear()
        if outcome is not None and not isinstance(outcome, StoreError | KernelError):
            assert isinstance(outcome, Refused) == (there and not idle)
            assert isinstance(outcome, NotFound) == (row is None and not idle)

    @precondition(lambda self: self.oracle.holder(PUBLICS[0]) is not None)
    @rule()
    def pool_in_use_can_not_be_taken_away(self) -> None:
        without = replace(SETTINGS, pools=SETTINGS.pools[1:])
        with pytest.raises(Refused, match=r"still in use: 203\.0\.113\.1"):
            self.edge.service.reload(without)

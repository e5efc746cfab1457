"""Hosts, an edge, and what is on its way between them, as a state that can be copied and compared.

The edge is the real service over the fakes. A host is a model of the agent: it claims what it
sees running, in lists under a session and a sequence, believes what it was answered last, and
says of a guest that migrated away that it is leaving. Every thing that can happen next is an
action; time passes only where a host is silent for a whole lease.
"""

import pickle
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from tests.edge.world import OVERLAY, address_of, overlay_mac, uuid
from tests.edge.world import SETTINGS as USUAL
from zthook.edge.service import EdgeService
from zthook.edge.turns import Alone
from zthook.errors import NotAuthenticated, Stale, ZthookError
from zthook.host.departures import LASTS_SECONDS
from zthook.kernel.edge.fake import FakeEdgeDataplane, FakeEdgeKernel
from zthook.model.clock import ManualClock
from zthook.model.mappings import OverlayDevice
from zthook.store.memory import MemoryLedger
from zthook.store.rows import ClaimRow, Standing
from zthook.wire.messages import (
    ClaimMessage,
    ClaimsReply,
    ListRequest,
    MappingReply,
    SessionReply,
    SessionRequest,
)

PUBLIC = "203.0.113.10"
Action = tuple[str, ...]
Key = tuple[str, str, str]


def private_of(guest: int) -> str:
    """A guest takes its private address along."""
    return f"192.168.122.{50 + guest}"


@dataclass(frozen=True)
class Start:
    """Hosts with their groups, where each guest runs, and how often what may go wrong.

    ``may``: moves, losses, doubles, sleeps (of a whole lease), agents (that are restarted),
    edges (the same), stops.
    """

    groups: dict[str, str | None]
    guests: dict[int, str]
    may: dict[str, int]


@dataclass
class Sent:
    """A message that the edge may get, once or twice, now or later, or not.

    ``looked`` is how often guests had moved when its sender last looked.
    """

    host: str
    number: int
    request: ListRequest | SessionRequest
    looked: int


@dataclass
class Host:
    """What an agent knows. ``waiting`` is the message whose answer it would still read."""

    name: str
    instance: int = 0
    session: int = 0
    sequence: int = 0
    generation: int = 0
    due: bool = True
    seen: set[int] = field(default_factory=set)
    moment: int = 0
    leaving: set[int] = field(default_factory=set)
    said: tuple[tuple[int, bool], ...] | None = None
    answers: dict[int, MappingReply] = field(default_factory=dict)
    waiting: int | None = None
    answer: object = None
    asleep: bool = False

    def content(self) -> tuple[tuple[int, bool], ...]:
        """Guests, and whether they are leaving."""
        here = [(guest, False) for guest in self.seen]
        return tuple(sorted([*here, *((guest, True) for guest in self.leaving - self.seen)]))

    def claims(self) -> list[ClaimMessage]:
        return [
            ClaimMessage(
                guest=uuid(guest),
                name=f"web{guest}",
                public=PUBLIC,
                private=private_of(guest),
                leaving=leaving,
                epoch=self.answers[guest].epoch if guest in self.answers else 0,
            )
            for guest, leaving in self.content()
        ]

    def active(self, guest: int) -> bool:
        """Whether it believes that this guest has the address."""
        return guest in self.answers and self.answers[guest].state == "active"

    def settle(self) -> None:
        """A guest that left is remembered while the edge has its address here."""
        self.leaving = {one for one in self.leaving if self.active(one) and one not in self.seen}


class _Overlay:
    def __call__(self) -> OverlayDevice:
        return OVERLAY


class _Nobody:
    def __call__(self, host: str) -> None:
        """Hosts look at their generation when they like."""


class EdgeSide:
    """The edge; its store and kernel outlive the daemon."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.clock = ManualClock()
        self.kernel = FakeEdgeKernel(OVERLAY)
        self.kernel.on_link = {"zt0": (IPv4Network("10.147.0.0/24"),)}

    def boot(self) -> None:
        """Start the daemon, or start it again."""
        self.service = EdgeService(
            ledger=self.ledger,
            dataplane=FakeEdgeDataplane(self.kernel),
            clock=self.clock,
            settings=USUAL,
            overlay=_Overlay(),
            edge_id="edge-1",
            notify=_Nobody(),
            turns=Alone(),
        )
        self.service.start()


@dataclass(frozen=True, slots=True)
class Frozen:
    """The edge and all else: most of what happens concerns but one of them."""

    edge: bytes
    rest: bytes


class Protocol:
    """The whole state. ``apply`` one of ``actions``; ``copy`` before, to try another."""

    def __init__(self, start: Start) -> None:
        self.groups = start.groups
        self.may = dict(start.may)
        self.moves = start.may["moves"] > 0
        self.where: dict[int, str | None] = dict(start.guests)
        self.numbers = self.moved = 0
        self.latest: dict[int, tuple[int, str]] = {}
        self.flight: list[Sent] = []
        self.edge = EdgeSide()
        self.hosts = {name: Host(name) for name in start.groups}
        for name in self.hosts:
            address = address_of(name)
            self.edge.kernel.macs[address] = overlay_mac(address)
        self.edge.boot()
        for name, group in start.groups.items():
            invitation = self.edge.service.add_host(name, group=group)
            self.edge.service.enrol(invitation.secret, name)
        self._kept: bytes | None = None

    def frozen(self) -> "Frozen":
        """As it is, for ``thawed``."""
        edge, kept = self.edge, self._kept or pickle.dumps(self.edge, pickle.HIGHEST_PROTOCOL)
        del self.edge, self._kept
        rest = pickle.dumps(self, pickle.HIGHEST_PROTOCOL)
        self.edge, self._kept = edge, kept
        return Frozen(kept, rest)

    @staticmethod
    def reaches_the_edge(action: Action) -> bool:
        """Whether anything at the edge is otherwise after it."""
        return action[0].startswith(("arrives", "sleeps", "the edge"))

    # What can happen.

    def actions(self) -> list[Action]:
        """All that can happen next."""
        found = [one for host in self.hosts.values() for one in self._of(host)]
        for place, sent in enumerate(self.flight):
            found.append(("arrives", str(place)))
            if self.may["doubles"]:
                found.append(("arrives, and will again", str(place)))
            if self.may["losses"] and self.hosts[sent.host].waiting == sent.number:
                found.append(("is lost", str(place)))
        found += self._of_guests()
        if self.may["edges"]:
            found.append(("the edge restarts",))
        return found

    def _of(self, host: Host) -> list[Action]:
        if host.asleep:
            return [("wakes", host.name)]
        may = {
            "sleeps past its lease": self.may["sleeps"] > 0,
            "its agent restarts": self.may["agents"] > 0,
            "sends": host.waiting is None and self._to_say(host),
            "hears of news": self._listens(host) and self._news(host),
            "reads": host.answer is not None,
            "gives up waiting": host.waiting is not None and self.may["losses"] > 0,
        }
        return [(what, host.name) for what, can in may.items() if can]

    @staticmethod
    def _listens(host: Host) -> bool:
        return host.waiting is None and host.session > 0 and not host.due

    def _of_guests(self) -> list[Action]:
        found: list[Action] = []
        for guest, here in self.where.items():
            if here is None:
                continue
            if self.may["moves"]:
                others = (name for name in self.hosts if name != here)
                found += [("migrates", str(guest), name) for name in others]
            if self.may["stops"]:
                found.append(("stops", str(guest)))
        return found

    def _physical(self, host: Host) -> set[int]:
        return {guest for guest, here in self.where.items() if here == host.name}

    def _to_say(self, host: Host) -> bool:
        changed = self._physical(host) != host.seen or host.content() != host.said
        return not host.session or host.due or changed

    def _news(self, host: Host) -> bool:
        """Whether the request that the host keeps open at the edge is answered."""
        try:
            return self.edge.service.generation(host.name, host.session) > host.generation
        except (Stale, NotAuthenticated):
            return True

    # What happens then.

    def apply(self, action: Action) -> None:
        """Let it happen."""
        if self.reaches_the_edge(action):
            self._kept = None
            self.edge.kernel.steps.clear()
        what, arguments = action[0], action[1:]
        getattr(self, "_" + what.replace(" ", "_").replace(",", ""))(*arguments)

    def _spend(self, what: str) -> None:
        self.may[what] -= 1

    def _look(self, host: Host) -> None:
        """At once before it sends: how long ago that was makes no difference to a message that
        may take as long as it likes.
        """
        here = self._physical(host)
        gone = {guest for guest in host.seen - here if self.where[guest] is not None}
        host.leaving |= {guest for guest in gone if host.active(guest)}
        host.seen = here
        host.settle()

    def _sends(self, name: str) -> None:
        host = self.hosts[name]
        self.numbers += 1
        request: ListRequest | SessionRequest
        if host.session:
            self._look(host)
            host.sequence += 1
            host.due, host.said = False, host.content()
            request = ListRequest(
                session=host.session,
                sequence=host.sequence,
                claims=host.claims(),
                heard=max(1, host.moment),
            )
        else:
            highest = max([0, *(one.epoch for one in host.answers.values())])
            request = SessionRequest(
                agent="zthook", instance=f"{name}-{host.instance}", highest_epoch=highest
            )
        host.waiting, host.answer = self.numbers, None
        self.flight.append(Sent(name, self.numbers, request, self.moved))

    def _arrives(self, place: str) -> None:
        self._take(self.flight.pop(int(place)))

    def _arrives_and_will_again(self, place: str) -> None:
        self._spend("doubles")
        self._take(self.flight[int(place)])

    def _is_lost(self, place: str) -> None:
        self._spend("losses")
        self._gives_up(self.hosts[self.flight.pop(int(place)).host])

    def _take(self, sent: Sent) -> None:
        host, source = self.hosts[sent.host], address_of(sent.host)
        answer: object
        try:
            answer = self._ask(sent, source)
        except ZthookError as error:
            answer = error
        if host.waiting == sent.number:
            host.answer = answer

    def _ask(self, sent: Sent, source: IPv4Address) -> object:
        if isinstance(sent.request, SessionRequest):
            return self.edge.service.open_session(sent.host, sent.request, source)
        answer = self.edge.service.list_claims(sent.host, sent.request, source)
        self._note_runs(sent)
        return answer

    def _note_runs(self, sent: Sent) -> None:
        """The edge was told where these guests run: the latest look counts."""
        assert isinstance(sent.request, ListRequest)
        for claim in sent.request.claims:
            guest = int(claim.guest[-4:])
            told = sent.looked, sent.host
            if not claim.leaving and told > self.latest.get(guest, (-1, "")):
                self.latest[guest] = told

    def _reads(self, name: str) -> None:
        host = self.hosts[name]
        answer, host.answer, host.waiting = host.answer, None, None
        if isinstance(answer, SessionReply):
            host.session, host.sequence = answer.session, 0
            host.generation, host.due = answer.generation, True
            host.moment = answer.moment
        elif isinstance(answer, ClaimsReply):
            host.generation = max(host.generation, answer.generation)
            host.moment = answer.moment
            host.answers = {int(one.guest[-4:]): one for one in answer.mappings}
            host.settle()
        else:
            host.session, host.due = 0, True

    def _gives_up(self, host: Host) -> None:
        host.waiting, host.answer, host.due = None, None, True

    def _gives_up_waiting(self, name: str) -> None:
        self._spend("losses")
        self._gives_up(self.hosts[name])

    def _hears_of_news(self, name: str) -> None:
        host = self.hosts[name]
        host.due = True
        try:
            self.edge.service.generation(name, host.session)
        except (Stale, NotAuthenticated):
            host.session = 0

    def _sleeps_past_its_lease(self, name: str) -> None:
        self._spend("sleeps")
        self.hosts[name].asleep = True
        self._a_lease_passes()

    def _a_lease_passes(self) -> None:
        self.edge.clock.advance(USUAL.lease_seconds + 1)
        for one in self.hosts.values():
            if not one.asleep and self.counts(one.name, one.session):
                self.edge.service._leases.renew(one.name)
        self.edge.service.tick()

    def counts(self, name: str, session: int) -> bool:
        """Whether what is said in this session counts."""
        try:
            self.edge.service._presence.in_session(name, session)
        except (Stale, NotAuthenticated):
            return False
        return True

    def _departures_of_the_stopped_end(self) -> None:
        """Hosts remember a guest that left for so long, if nobody says that it runs there."""
        self.edge.clock.advance(LASTS_SECONDS)
        for host in self.hosts.values():
            host.leaving = {guest for guest in host.leaving if self.where[guest] is not None}

    def _wakes(self, name: str) -> None:
        self.hosts[name].asleep = False

    def _its_agent_restarts(self, name: str) -> None:
        """What the edge said last is remembered, and nothing else."""
        self._spend("agents")
        host = self.hosts[name]
        self.hosts[name] = Host(name, instance=host.instance + 1, answers=host.answers)

    def _the_edge_restarts(self) -> None:
        self._spend("edges")
        self.edge.boot()

    def _migrates(self, guest: str, to: str) -> None:
        self._spend("moves")
        self.moved += 1
        self.where[int(guest)] = to

    def _stops(self, guest: str) -> None:
        self._spend("stops")
        self.moved += self.moves
        self.where[int(guest)] = None

    # What it is.

    def rows(self) -> list[ClaimRow]:
        return self.edge.ledger.claims()

    def holder(self) -> ClaimRow | None:
        return next((row for row in self.rows() if row.standing is Standing.HOLDING), None)

    def live(self, name: str) -> bool:
        return self.edge.service._leases.live(name)


def thawed(frozen: Frozen, edge: EdgeSide | None = None) -> Protocol:
    """As it was; with an ``edge`` that is the same, and shared."""
    state = pickle.loads(frozen.rest)  # noqa: S301 - our own
    assert isinstance(state, Protocol)
    state.edge = edge or pickle.loads(frozen.edge)  # noqa: S301
    state._kept = frozen.edge
    return state

"""An edge on a kernel that can be told to fail, and agents that talk to it as real ones do."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.plane import edge_plane
from zthook.edge.service import EdgeService
from zthook.edge.views import MappingView
from zthook.errors import KernelError
from zthook.kernel.edge.dataplane import EdgeDataplane
from zthook.kernel.edge.fake import Crash, FakeEdgeDataplane, FakeEdgeKernel
from zthook.kernel.edge.plan import Seen, Steps, plan
from zthook.kernel.edge.sets import CLOSED6
from zthook.kernel.links import DefaultRoute
from zthook.kernel.protected import Served
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork, Pool
from zthook.model.clock import ManualClock
from zthook.model.mappings import EdgePlane, Forwarding, OverlayDevice
from zthook.store.ledger import Ledger
from zthook.store.memory import MemoryLedger
from zthook.wire.messages import (
    ClaimMessage,
    ClaimsReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    MappingReply,
    ReserveRequest,
    SessionReply,
    SessionRequest,
    claims_digest,
)

T = TypeVar("T")

EDGE_ADDRESS = IPv4Address("10.147.0.1")
OVERLAY = OverlayDevice("zt0", 7, "02:00:00:00:00:01", 2800, (EDGE_ADDRESS,))
POOL = Pool("hk", (AddressRange.parse("203.0.113.10-203.0.113.14"),), "up0")
OTHER_POOL = Pool("tw", (AddressRange.parse("198.51.100.0/30"),), "up1")
SETTINGS = EdgeSettings(
    overlay=OverlaySettings("interface", interface="zt0"),
    lease_seconds=60.0,
    grace_seconds=600.0,
    pools=(POOL, OTHER_POOL),
)


def uuid(number: int) -> str:
    return str(UUID(int=number))


def address_of(host: str) -> IPv4Address:
    """home1 → 10.147.0.11"""
    return IPv4Address("10.147.0.10") + int(host.removeprefix("home"))


def overlay_mac(address: IPv4Address) -> str:
    return f"02:00:00:00:01:{address.packed[3]:02x}"


class Inside(Protocol):
    """A kernel that outlives the daemon, as a test sees it."""

    def dataplane(self) -> EdgeDataplane:
        """What a daemon that starts now has."""
        ...

    def look(self, plane: EdgePlane) -> Seen:
        """What is there; the daemon notices nothing of it."""
        ...

    def flush(self) -> None:
        """``nft flush ruleset``, by somebody else."""
        ...

    def fail_at(self, step: int, error: Exception | None) -> None:
        """Let the ``step``-th single change fail with a KernelError, or this error."""
        ...

    def heal(self) -> None:
        """No change fails any more."""
        ...


class FakeInside:
    """The fake kernel, with every neighbour known."""

    def __init__(self, kernel: FakeEdgeKernel | None = None) -> None:
        self.kernel = kernel if kernel is not None else FakeEdgeKernel(OVERLAY)
        self.kernel.indexes |= {"up0": 3, "up1": 4, "zt0": OVERLAY.index}
        self.kernel.own = {EDGE_ADDRESS}
        self.kernel.defaults = [DefaultRoute(4, "up0", IPv4Address("203.0.113.1"))]
        self.kernel.on_link = {
            "zt0": (IPv4Network("10.147.0.0/24"),),
            "up0": (IPv4Network("203.0.113.0/24"),),
        }
        self.kernel.macs = {
            EDGE_ADDRESS + number: overlay_mac(EDGE_ADDRESS + number) for number in range(1, 200)
        }

    def dataplane(self) -> EdgeDataplane:
        return FakeEdgeDataplane(self.kernel)

    def look(self, plane: EdgePlane) -> Seen:
        noticed = self.kernel._changed
        seen = self.kernel.look(plane)
        self.kernel._changed = noticed
        return seen

    def flush(self) -> None:
        self.kernel.flush()

    def fail_at(self, step: int, error: Exception | None) -> None:
        self.kernel.fail_at(step, error)

    def heal(self) -> None:
        self.kernel._failing = None


class Meanwhile:
    """Turns of one thread in which something comes, once, at one of the POINTS of a pass: before
    it looks aside, twice in that, and after it.
    """

    POINTS = 4

    def __init__(self) -> None:
        self.nothing_comes()

    def nothing_comes(self) -> None:
        self.at(0, _nothing)

    def at(self, point: int, comes: Callable[[], object]) -> None:
        self._skips, self._comes = point, comes

    def aside(self, act: Callable[[], T]) -> T:
        self.pause()
        done = act()
        self.pause()
        return done

    def pause(self) -> None:
        if self._skips:
            self._skips -= 1
            return
        comes = self._comes
        self.nothing_comes()
        comes()


def _nothing() -> None:
    pass


class TroubledKernel:
    """A dataplane that does what it is told, until it is told to spoil something.

    ``refuse``: every change, pass and look raises. ``takes``: called before each pass. ``dies_in``:
    a Crash after so many more changes and passes, before the kernel did it (``dies_before``) or
    after.
    """

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.refuse = False
        self.takes: Callable[[], object] = lambda: None
        self.dies_in: int | None = None
        self.dies_before = True
        self.log: list[str] = []
        self.boot()

    def boot(self) -> None:
        self._real = self.inside.dataplane()

    def _refused(self) -> None:
        if self.refuse:
            raise KernelError("no buffer space")

    def _acting(self, name: str, act: Callable[[], T]) -> T:
        self.log.append(name)
        dies = self.dies_in == 0
        if self.dies_in is not None:
            self.dies_in = None if dies else self.dies_in - 1
        if dies and self.dies_before:
            raise Crash
        self._refused()
        done = act()
        if dies:
            raise Crash
        return done

    def apply(self, desired: EdgePlane) -> list[str]:
        self.takes()
        return self._acting("apply", lambda: self._real.apply(desired))

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        words = [f"-{one.public}" for one in withdraw] + [f"+{one.public}" for one in grant]
        self._acting(" ".join(words), lambda: self._real.change(withdraw=withdraw, grant=grant))

    def drifted(self) -> bool:
        return self._real.drifted()

    def protected(self) -> dict[IPAddress, str]:
        self._refused()
        return self._real.protected()

    def served(self) -> frozenset[Served]:
        self._refused()
        return self._real.served()

    def connected(self) -> tuple[IPNetwork, ...]:
        self._refused()
        return self._real.connected()

    def mac_of(self, address: IPv4Address) -> str | None:
        self._refused()
        return self._real.mac_of(address)

    def misled(self) -> tuple[str, ...]:
        return self._real.misled()

    def traffic(self) -> dict[tuple[IPAddress, IPAddress], Traffic]:
        self._refused()
        return self._real.traffic()

    def close(self) -> None:
        self._real.close()


class Edge:
    """One edge: its store and kernel live on while its daemon comes and goes."""

    def __init__(
        self,
        ledger: Ledger | None = None,
        inside: Inside | None = None,
        settings: EdgeSettings = SETTINGS,
    ) -> None:
        self.clock = ManualClock()
        self.ledger: Ledger = ledger if ledger is not None else MemoryLedger()
        self.inside = inside if inside is not None else FakeInside()
        self.kernel = TroubledKernel(self.inside)
        self.overlay: OverlayDevice | None = OVERLAY
        self.settings = settings
        self.woken: list[str] = []
        self.turns = Meanwhile()
        self.boot()

    def boot(self) -> None:
        """Start the daemon, or start it again."""
        self.kernel.close()
        self.kernel.boot()
        self.service = EdgeService(
            ledger=self.ledger,
            dataplane=self.kernel,
            clock=self.clock,
            settings=self.settings,
            overlay=lambda: self.overlay,
            edge_id="edge-1",
            notify=self.woken.append,
            turns=self.turns,
        )
        self.service.start()
        self.service.tick()

    def host(self, name: str, own_mac: str = "", **more: object) -> "Agent":
        """Invite and enrol a host, and start its agent, which says that it has that MAC."""
        invitation = self.service.add_host(name, **more)  # type: ignore[arg-type]
        self.service.enrol(invitation.secret, f"{name}.lan")
        agent = Agent(self, name, address_of(name), own_mac=own_mac)
        agent.open()
        return agent

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.service.tick()

    def mappings(self) -> dict[tuple[str | None, str], MappingView]:
        """By public address and host."""
        return {(view.public, view.host): view for view in self.service.mappings()}

    def state(self, public: str, host: str) -> str:
        return self.mappings()[public, host].state

    def plane(self, forwardings: Iterable[Forwarding] = ()) -> EdgePlane:
        """What the kernel has to have with these forwardings."""
        return edge_plane(self.settings, OVERLAY, forwardings)

    def look(self, forwardings: Iterable[Forwarding] = ()) -> "Sighting":
        """The kernel as it is now, beside what it would have with these forwardings."""
        plane = self.plane(forwardings)
        return Sighting(plane, self.inside.look(plane))

    def inward(self) -> dict[str, str]:
        return self.look().inward()

    def reached(self) -> dict[str, str]:
        return self.look().reached()


@dataclass(frozen=True)
class Sighting:
    """One look at the kernel."""

    plane: EdgePlane
    seen: Seen

    def inward(self) -> dict[str, str]:
        """What it translates: public → private."""
        elements = self.seen.elements.get("inward", frozenset())
        return dict(one.split(" : ") for one in elements)

    def reached(self) -> dict[str, str]:
        """Where it sends a packet: public → "private via next hop"."""
        routes = self.seen.routes
        hops = {str(route.destination.network_address): route.via for route in routes}
        return {
            public: f"{private} via {hops[private]}"
            for public, private in sorted(self.inward().items())
            if private in hops
        }

    def lacks(self) -> Steps:
        """What is between the kernel and the plane.

        Whether IPv6 was forwarded before there were mappings, only the table remembers.
        """
        closed6 = bool(self.seen.elements.get(CLOSED6))
        around = dataclasses.replace(self.seen.around, closed6=closed6)
        return plan(self.plane, dataclasses.replace(self.seen, around=around))


@dataclass
class Agent:
    """A host's agent: sessions, rising sequences, the whole list each time.

    One that never calls ``look`` is of an older version: it does not say what it had heard.
    """

    edge: Edge
    name: str
    source: IPv4Address
    instance: str = "first"
    session: int = 0
    sequence: int = 0
    digest: str = ""
    moment: int = 0
    looked: int = 0
    claims: dict[tuple[str, str], ClaimMessage] = field(default_factory=dict)
    epochs: dict[tuple[str, str], int] = field(default_factory=dict)
    last_heard: list[MappingReply] = field(default_factory=list)
    own_mac: str = ""
    """What it says that it has on the overlay."""

    def open(self, highest_epoch: int = 0) -> SessionReply:
        request = SessionRequest(
            agent="zthook 0.1.0",
            instance=self.instance,
            highest_epoch=highest_epoch,
            overlay_mac=self.own_mac,
        )
        reply = self.edge.service.open_session(self.name, request, self.source)
        self.session, self.sequence = reply.session, 0
        self.moment = reply.moment
        return reply

    def look(self) -> None:
        """From now on its lists are of what it sees now."""
        self.looked = self.moment

    def next(self) -> int:
        self.sequence += 1
        return self.sequence

    def claim(
        self, guest: int, public: str, private: str | None = None, **more: object
    ) -> MappingReply:
        """Add a claim to the list, send it whole, and return what is said of this one."""
        message = ClaimMessage(
            guest=uuid(guest),
            name=f"web{guest}",
            public=public,
            private=private,
            **more,  # type: ignore[arg-type]
        )
        self.claims[message.guest, public] = message
        return self.said(self.list(), message)

    def unclaim(self, guest: int, public: str) -> ClaimsReply:
        del self.claims[uuid(guest), public]
        return self.list()

    def list_request(self) -> ListRequest:
        """All that runs here; an epoch is forgotten with its guest."""
        self.epochs = {key: self.epochs.get(key, 0) for key in self.claims}
        claims = [replace(one, epoch=self.epochs[key]) for key, one in self.claims.items()]
        self.digest = claims_digest(claims)
        return ListRequest(
            session=self.session, sequence=self.next(), claims=claims, heard=self.looked
        )

    def reserve_request(self, *claims: ClaimMessage) -> ReserveRequest:
        return ReserveRequest(session=self.session, sequence=self.next(), claims=list(claims))

    def heartbeat_request(self) -> HeartbeatRequest:
        return HeartbeatRequest(
            session=self.session,
            sequence=self.next(),
            digest=self.digest,
            overlay_mac=self.own_mac,
        )

    def heard(self, reply: ClaimsReply) -> ClaimsReply:
        for one in reply.mappings:
            key = one.guest, one.asked
            self.epochs[key] = max(one.epoch, self.epochs.get(key, 0))
        self.last_heard = reply.mappings
        self.moment = reply.moment
        return reply

    def list(self) -> ClaimsReply:
        request = self.list_request()
        return self.heard(self.edge.service.list_claims(self.name, request, self.source))

    def reserve(self, *claims: ClaimMessage) -> ClaimsReply:
        request = self.reserve_request(*claims)
        return self.heard(self.edge.service.reserve(self.name, request, self.source))

    def heartbeat(self) -> HeartbeatReply:
        return self.beat(self.heartbeat_request())

    def beat(self, request: HeartbeatRequest, source: IPv4Address | None = None) -> HeartbeatReply:
        """Both halves of a heartbeat, as the API asks for them."""
        service, source = self.edge.service, source or self.source
        first = service.beat(self.name, request, source)
        return first or service.welcome(self.name, request, source)

    def restart(self, instance: str) -> None:
        """The agent's process is a new one; its guests are the same."""
        self.instance = instance
        self.open()

    @staticmethod
    def said(reply: ClaimsReply, message: ClaimMessage) -> MappingReply:
        found = [
            one
            for one in reply.mappings
            if (one.guest, one.asked) == (message.guest, message.public)
        ]
        assert len(found) == 1
        return found[0]

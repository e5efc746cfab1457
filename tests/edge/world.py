"""An edge on a kernel that can be told to fail, and agents that talk to it as real ones do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol
from uuid import UUID

from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.service import EdgeService
from zthook.edge.views import MappingView
from zthook.errors import KernelError
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


class PowerCut(BaseException):
    """The process dies here."""


class InnerKernel(Protocol):
    """What a test can look at beside the dataplane itself."""

    def forwardings(self) -> frozenset[Forwarding]: ...
    def flush(self) -> None: ...


class FakeKernel:
    """A dataplane in memory, strict about what may be asked of it."""

    def __init__(self) -> None:
        self.there: dict[IPv4Address, Forwarding] = {}
        self.own: dict[IPAddress, str] = {EDGE_ADDRESS: "the overlay's own address"}
        self.on_link: tuple[IPNetwork, ...] = (IPv4Network("10.147.0.0/24"),)
        self.changed_by_others = False

    def forwardings(self) -> frozenset[Forwarding]:
        return frozenset(self.there.values())

    def flush(self) -> None:
        self.there.clear()
        self.changed_by_others = True

    def apply(self, desired: EdgePlane) -> list[str]:
        wanted = {one.public: one for one in desired.forwardings}
        assert len(wanted) == len(desired.forwardings), "two forwardings of one public address"
        keys = sorted(wanted.keys() | self.there.keys())
        repairs = [f"{key} put right" for key in keys if wanted.get(key) != self.there.get(key)]
        self.there = wanted
        self.changed_by_others = False
        self._check()
        return repairs

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        for one in withdraw:
            assert self.there.get(one.public) in (one, None), "withdraws what is not there"
            self.there.pop(one.public, None)
        for one in grant:
            assert one.public not in self.there, "granted over another one"
            self.there[one.public] = one
        self._check()

    def _check(self) -> None:
        hops: dict[IPv4Address, IPv4Address] = {}
        for one in self.there.values():
            assert hops.setdefault(one.private, one.next_hop) == one.next_hop, "two next hops"

    def drifted(self) -> bool:
        return self.changed_by_others

    def protected(self) -> dict[IPAddress, str]:
        return dict(self.own)

    def connected(self) -> tuple[IPNetwork, ...]:
        return self.on_link

    def mac_of(self, address: IPv4Address) -> str | None:
        return overlay_mac(address)

    def traffic(self) -> dict[IPv4Address, Traffic]:
        return {public: Traffic(bytes_in=1) for public in self.there}

    def close(self) -> None:
        pass


class TroubledKernel:
    """Hands everything on to a dataplane, but for what it is told to spoil.

    ``refuse``: every change, pass and look raises. ``dies_in``: PowerCut after so many more
    changes and passes, before the kernel did it (``dies_before``) or after.
    """

    def __init__(self, inner: FakeKernel) -> None:
        self.inner = inner
        self.refuse = False
        self.unknown: set[IPv4Address] = set()
        self.dies_in: int | None = None
        self.dies_before = True
        self.log: list[str] = []

    def _refused(self) -> None:
        if self.refuse:
            raise KernelError("no buffer space")

    def _acting(self, name: str, act: Callable[[], list[str] | None]) -> list[str] | None:
        self.log.append(name)
        dies = self.dies_in == 0
        if self.dies_in is not None:
            self.dies_in = None if dies else self.dies_in - 1
        if dies and self.dies_before:
            raise PowerCut
        self._refused()
        done = act()
        if dies:
            raise PowerCut
        return done

    def apply(self, desired: EdgePlane) -> list[str]:
        return self._acting("apply", lambda: self.inner.apply(desired)) or []

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        words = [f"-{one.public}" for one in withdraw] + [f"+{one.public}" for one in grant]
        self._acting(" ".join(words), lambda: self.inner.change(withdraw=withdraw, grant=grant))

    def drifted(self) -> bool:
        return self.inner.drifted()

    def protected(self) -> dict[IPAddress, str]:
        self._refused()
        return self.inner.protected()

    def connected(self) -> tuple[IPNetwork, ...]:
        self._refused()
        return self.inner.connected()

    def mac_of(self, address: IPv4Address) -> str | None:
        self._refused()
        return None if address in self.unknown else self.inner.mac_of(address)

    def traffic(self) -> dict[IPv4Address, Traffic]:
        self._refused()
        return self.inner.traffic()

    def close(self) -> None:
        self.inner.close()


class Edge:
    """One edge: its store and kernel live on while its daemon comes and goes."""

    def __init__(self, ledger: Ledger | None = None, kernel: TroubledKernel | None = None) -> None:
        self.clock = ManualClock()
        self.ledger: Ledger = ledger if ledger is not None else MemoryLedger()
        self.kernel = kernel if kernel is not None else TroubledKernel(FakeKernel())
        self.overlay: OverlayDevice | None = OVERLAY
        self.settings = SETTINGS
        self.woken: list[str] = []
        self.boot()

    def boot(self) -> None:
        """Start the daemon, or start it again."""
        self.service = EdgeService(
            ledger=self.ledger,
            dataplane=self.kernel,
            clock=self.clock,
            settings=self.settings,
            overlay=lambda: self.overlay,
            edge_id="edge-1",
            notify=self.woken.append,
        )
        self.service.start()

    def host(self, name: str, **more: object) -> "Agent":
        """Invite and enrol a host, and start its agent."""
        invitation = self.service.add_host(name, **more)  # type: ignore[arg-type]
        self.service.enrol(invitation.secret, f"{name}.lan")
        agent = Agent(self, name, address_of(name))
        agent.open()
        return agent

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.service.tick()

    def mappings(self) -> dict[tuple[str, str], MappingView]:
        """By public address and host."""
        return {(view.public, view.host): view for view in self.service.mappings()}

    def state(self, public: str, host: str) -> str:
        return self.mappings()[public, host].state

    def reached(self) -> dict[str, str]:
        """What the kernel really has: public address → "private via next hop"."""
        return {
            str(one.public): f"{one.private} via {one.next_hop}"
            for one in self.kernel.inner.forwardings()
        }


@dataclass
class Agent:
    """A host's agent: sessions, rising sequences, the whole list each time."""

    edge: Edge
    name: str
    source: IPv4Address
    instance: str = "first"
    session: int = 0
    sequence: int = 0
    claims: dict[tuple[str, str], ClaimMessage] = field(default_factory=dict)

    def open(self, highest_epoch: int = 0) -> SessionReply:
        request = SessionRequest(
            agent="zthook 0.1.0", instance=self.instance, highest_epoch=highest_epoch
        )
        reply = self.edge.service.open_session(self.name, request, self.source)
        self.session, self.sequence = reply.session, 0
        return reply

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
        return ListRequest(
            session=self.session, sequence=self.next(), claims=list(self.claims.values())
        )

    def list(self) -> ClaimsReply:
        return self.edge.service.list_claims(self.name, self.list_request(), self.source)

    def reserve(self, *claims: ClaimMessage) -> ClaimsReply:
        request = ReserveRequest(session=self.session, sequence=self.next(), claims=list(claims))
        return self.edge.service.reserve(self.name, request, self.source)

    def heartbeat(self) -> HeartbeatReply:
        request = HeartbeatRequest(
            session=self.session,
            sequence=self.next(),
            digest=claims_digest(list(self.claims.values())),
        )
        return self.edge.service.heartbeat(self.name, request, self.source)

    def restart(self, instance: str) -> None:
        """The agent's process is a new one; its guests are the same."""
        self.instance = instance
        self.open()

    @staticmethod
    def said(reply: ClaimsReply, message: ClaimMessage) -> MappingReply:
        found = [
            one
            for one in reply.mappings
            if (one.guest, one.public) == (message.guest, message.public)
        ]
        assert len(found) == 1
        return found[0]

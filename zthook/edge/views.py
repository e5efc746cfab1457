"""What the edge shows to its admin: plain JSON-able answers of the control socket."""

from typing import Literal

import msgspec

from zthook.model.paths import OverlayPath
from zthook.wire.hushed import Hushed

State = Literal["active", "pending", "conflict", "refused", "withdrawn", "reserved"]
Lease = Literal["live", "ended", "none"]
HostState = Literal["up", "silent", "enrolled", "invited"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an answer; times are Unix seconds, addresses and prefixes text."""


class TrafficView(View, frozen=True):
    """Since the mapping entered the kernel; ``in`` is toward the guest.

    ``rate_in`` and ``rate_out`` are bytes a second since the daemon was asked before, None
    where that was never, or too long ago.
    """

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int
    rate_in: float | None = None
    rate_out: float | None = None


class MappingView(View, frozen=True, kw_only=True):
    """One claim and what became of it. ``guest`` is the name, ``uuid`` the identity.

    ``asked`` is an address or ``auto/POOL/NUMBER``; ``public`` None while an ``auto`` has
    none. No ``ports``: the whole address; no ``allow``: from everywhere. ``holder`` is
    "GUEST on HOST" where another one has the address, else empty. ``traffic`` is None where
    the kernel has no mapping, or can not be asked.

    In state ``reserved`` it is an address that is kept for a guest's ``auto`` which nobody
    claims now; ``host`` is where that guest was last.
    """

    asked: str
    public: str | None
    guest: str
    uuid: str
    host: str
    private: str | None
    mode: str
    client: str
    egress: str = "home"
    ports: list[str] = []
    allow: list[str] = []
    state: State
    reason: str
    holder: str
    epoch: int
    since: float
    traffic: TrafficView | None = None


class EventView(View, frozen=True):
    """One line of the audit trail; see ``zthook.store.events.EventRow``."""

    at: float
    event: str
    host: str
    public: str
    guest: str
    uuid: str
    private: str | None
    mode: str
    ports: list[str]
    epoch: int
    source: str
    why: str
    times: int


class HostView(View, frozen=True):
    """One enrolled or invited host.

    ``pools`` empty means every pool. ``lease`` is "none" before the first contact;
    ``lease_seconds`` counts down, and is negative once it ended. ``mac`` None where the
    overlay neighbour is not known, ``path`` where the overlay does not tell. ``fault``
    names two agents with one credential.
    """

    name: str
    enrolled: bool
    invited_until: float | None
    member: str | None
    prefixes: list[str]
    pools: list[str]
    group: str | None
    hostname: str
    agent: str
    address: str | None
    mac: str | None
    last_seen: float | None
    lease: Lease
    lease_seconds: float | None
    held: int
    path: OverlayPath | None = None
    fault: str = ""

    @property
    def state(self) -> HostState:
        """``up``, ``silent`` (its lease ended), ``enrolled`` (never spoke), ``invited``."""
        if not self.enrolled:
            return "invited"
        states: dict[Lease, HostState] = {"live": "up", "ended": "silent", "none": "enrolled"}
        return states[self.lease]


class PoolUse(View, frozen=True, kw_only=True):
    """A pool's addresses: ``size`` = ``used`` (held now) + ``reserved`` (kept) + ``free``."""

    name: str
    addresses: list[str]
    uplink: str
    size: int
    used: int
    reserved: int = 0
    free: int


class OverlayView(View, frozen=True):
    """The overlay as the kernel has it now."""

    device: str
    mac: str
    mtu: int
    addresses: list[str]


class DriftView(View, frozen=True):
    """What the passes had to put right since the daemon started."""

    repaired: int = 0
    last: list[str] = []
    last_at: float | None = None


class EdgeStatus(View, frozen=True):
    """The answer to ``zthook edge status``.

    ``overlay`` None: its device or address is not there. ``mappings`` counts every state.
    ``kernel`` says why the kernel is not as it should be, ``store`` why the last decision
    could not be kept; empty where all is well. ``twice`` names guests that run on several
    hosts, ``misled`` uplinks whose addresses others answer for.
    """

    edge: str
    version: str
    started: float
    overlay: OverlayView | None
    hosts: list[HostView]
    mappings: dict[State, int]
    drift: DriftView
    kernel: str = ""
    store: str = ""
    twice: list[str] = []
    misled: list[str] = []


class Invitation(Hushed, View, frozen=True):
    """What ``add_host`` gives: the one-time secret is shown here and nowhere else."""

    host: str
    secret: str
    expires: float
    member: str | None = None


class Released(View, frozen=True):
    """What ``release`` ended."""

    public: str
    guest: str
    host: str

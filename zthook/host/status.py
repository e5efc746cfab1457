"""What ``zthook status`` is told: every mapping this host wants, and how the agent is."""

import msgspec

from zthook.host.health import Health
from zthook.model.mappings import MappingState
from zthook.model.paths import OverlayPath
from zthook.model.redial import Redial


class TrafficView(msgspec.Struct, frozen=True):
    """Bytes and packets toward the guest and from it.

    ``rate_in`` and ``rate_out`` are bytes a second since the agent was asked before, None
    where that was never, or too long ago.
    """

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int
    rate_in: float | None = None
    rate_out: float | None = None


class MappingView(msgspec.Struct, frozen=True):
    """One address of one guest.

    ``asked`` is what the annotation asks for: an address, or ``auto/POOL/NUMBER``; None where
    it is wrong. ``public`` is the address, None while the edge has chosen none; ``source``
    who named ``private``. ``ports`` and ``allow`` are as in the annotation, empty for all.
    ``since`` is Unix time of the state's last change as the edge tells it, None where it
    does not. ``differs``: from its next start on the guest asks for something else here
    (``zthook apply`` makes it count now).
    """

    guest: str
    uuid: str
    guest_state: str
    asked: str | None
    public: str | None
    private: str | None
    source: str | None
    mode: str | None
    client: str | None
    state: MappingState
    reason: str = ""
    since: float | None = None
    required: bool = False
    differs: bool = False
    egress: str | None = None
    ports: list[str] = []
    allow: list[str] = []
    traffic: TrafficView | None = None


class AgentStatus(msgspec.Struct, frozen=True):
    """``host`` and ``edge`` are None where this host belongs to no edge.

    ``lease_age`` is seconds since the edge renewed our lease. ``overlay_path`` is how the
    overlay reaches the edge, None where it does not tell; ``redial`` None where the overlay is
    not ZeroTier's, or was not looked at yet. ``faults`` are what somebody should look at, worst
    first.
    """

    version: str
    host: str | None
    edge: str | None
    edge_health: Health | None = None
    libvirt_health: Health | None = None
    overlay_health: Health | None = None
    overlay_path: OverlayPath | None = None
    redial: Redial | None = None
    kernel_health: Health | None = None
    lease_age: float | None = None
    lease_seconds: float | None = None
    faults: list[str] = []
    mappings: list[MappingView] = []

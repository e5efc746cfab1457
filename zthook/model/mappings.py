"""Claims, what the edge answers to them, and what the kernels must have for them."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.publication import Client, Egress, Mode, Ports


class MappingState(StrEnum):
    """The states a user sees (design: "Mapping states")."""

    ACTIVE = "active"
    PENDING = "pending"
    CONFLICT = "conflict"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Rewriter(StrEnum):
    """Who rewrites the client's address where ``client="hide"``."""

    EDGE = "edge"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Auto:
    """An address that the edge chooses: the ``nth`` (from 0) that a guest asks of ``pool``.

    An empty ``pool`` is any that the host may use. The same guest is given the same address
    again for the same pool and number, until it is released.
    """

    pool: str = ""
    nth: int = 0

    def __str__(self) -> str:
        return f"auto/{self.pool}/{self.nth}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a host asks of the edge for one guest and one public address.

    ``public`` is an address, or left to the edge (Auto). ``private`` None reserves the
    address while the guest's own is not known yet. ``rewriter`` counts only with ``client``
    HIDE. No ``ports``: the whole address. ``allow`` empty: from everywhere. ``leaving``: the
    guest went to another host, which may have the address as soon as it asks. ``epoch`` is
    the highest that the host was shown for this claim, 0 for none.
    """

    guest: UUID
    name: str
    public: IPAddress | Auto
    private: IPAddress | None
    mode: Mode = Mode.NAT
    client: Client = Client.KEEP
    rewriter: Rewriter = Rewriter.EDGE
    egress: Egress = Egress.HOME
    ports: Ports = ()
    allow: tuple[IPNetwork, ...] = ()
    leaving: bool = False
    epoch: int = 0

    @property
    def asked(self) -> str:
        """What was asked for, as text: an address, or ``auto/POOL/NUMBER``."""
        return str(self.public)

    @property
    def key(self) -> tuple[UUID, str]:
        """What makes it this claim among a host's."""
        return self.guest, self.asked


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What the edge's kernel must have for one active mapping; all addresses of one family.

    ``arrives_as`` is the destination of packets on the uplink (``public`` but for a
    provider's 1:1 translation). ``next_hop_mac`` is the host's on the overlay, the only MAC
    its packets may have, and ``next_hop`` its IPv4 overlay address, both taken from its
    authenticated connection; IPv6 goes to the MAC. ``pinned``: so does what goes to
    ``next_hop``, and nobody is asked who has it. ``hide`` is true where the edge rewrites
    the client's address, ``host_hides`` where the host does.

    In mode ROUTED the edge translates nothing: the host gets what arrives, and ``private``
    tells only whose it is. No ``ports``: the whole address. ``allow`` empty: everybody.
    """

    public: IPAddress
    arrives_as: IPAddress
    private: IPAddress
    next_hop: IPv4Address
    next_hop_mac: str
    uplink: str
    pinned: bool = True
    hide: bool = False
    host_hides: bool = False
    mode: Mode = Mode.NAT
    egress: Egress = Egress.HOME
    ports: Ports = ()
    allow: tuple[IPNetwork, ...] = ()

    @property
    def key(self) -> tuple[IPAddress, IPAddress]:
        """What makes it this mapping: several guests may share one address by ports."""
        return self.arrives_as, self.private

    def __hash__(self) -> int:
        # Of tens of thousands; that of all parts takes seven times as long.
        return hash((int(self.arrives_as), int(self.private)))


@dataclass(frozen=True, slots=True)
class OverlayDevice:
    """The overlay as the kernel has it now."""

    name: str
    index: int
    mac: str
    mtu: int
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class EdgePlane:
    """Everything the edge's kernel should have; with no ``overlay`` only the drop rules.

    ``pool_ranges`` are the addresses as they arrive, mapped or not. ``overlay_address6`` is
    the edge's own IPv6 address there that is not link-local, None where it has none.
    ``gateways`` are the routers that uplinks were given in edge.toml; of other uplinks the
    kernel's default routes tell.
    """

    overlay: str
    overlay_address: IPv4Address | None
    uplinks: frozenset[str]
    api_port: int
    pool_ranges: tuple[AddressRange, ...]
    forwardings: frozenset[Forwarding] = frozenset()
    overlay_address6: IPv6Address | None = None
    gateways: frozenset[tuple[str, IPAddress]] = frozenset()


@dataclass(frozen=True, slots=True)
class GuestRule:
    """What the host's kernel must have for one mapping of a guest here; of one family.

    ``device`` is the bridge toward the guest; ``hide`` true where this host rewrites the
    client's address to its own on that bridge. ``public`` is what clients know, None while
    the edge has not said it; ``arrives_as`` the destination that a routed mapping's packets
    have when the edge sends them here (``public`` where it is None). In mode NAT packets come
    with the private address, and ports translated.

    ``active``: the edge says that this mapping is; before that nothing is translated for
    this host's own guests, and the guest's own connections go home whatever ``egress`` says.
    """

    private: IPAddress
    device: str
    hide: bool = False
    public: IPAddress | None = None
    arrives_as: IPAddress | None = None
    mode: Mode = Mode.NAT
    egress: Egress = Egress.HOME
    ports: Ports = ()
    allow: tuple[IPNetwork, ...] = ()
    active: bool = False


@dataclass(frozen=True, slots=True)
class HostPlane:
    """Everything the host's kernel should have for its mapped guests.

    With no ``rules`` nothing of ours stays in the kernel. ``edge_mac`` is what all packets
    of the edge come from, and IPv6 for it goes to. ``pinned``: so does what goes to ``edge``,
    and nobody is asked who has it. ``pools`` are the public addresses that
    are reached through the edge, whoever of this host asks for them.

    ``newcomers``, by bridge and MAC, came from another host in the middle of their connections,
    and their addresses are not known yet: what they go on with does not leave this host.
    """

    overlay: str
    edge: IPv4Address
    edge_mac: str
    rules: frozenset[GuestRule] = frozenset()
    pools: tuple[AddressRange, ...] = ()
    newcomers: frozenset[tuple[str, str]] = frozenset()
    pinned: bool = True

    def __bool__(self) -> bool:
        """Whether there is anything to have."""
        return bool(self.rules or self.newcomers)

"""Claims, what the edge answers to them, and what the kernels must have for them."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from uuid import UUID

from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.publication import Client, Mode


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
class Claim:
    """What a host asks of the edge for one guest and one public address.

    ``private`` None reserves the address while the guest's own is not known yet.
    ``rewriter`` counts only with ``client`` HIDE. ``epoch`` is the highest the host
    was shown for this claim, 0 for none.
    """

    guest: UUID
    name: str
    public: IPAddress
    private: IPAddress | None
    mode: Mode = Mode.NAT
    client: Client = Client.KEEP
    rewriter: Rewriter = Rewriter.EDGE
    epoch: int = 0

    @property
    def key(self) -> tuple[UUID, IPAddress]:
        """What makes it this claim among a host's."""
        return self.guest, self.public


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What the edge's kernel must have for one active nat mapping (IPv4).

    ``arrives_as`` is the destination of packets on the uplink (``public`` but for a
    provider's 1:1 translation). ``next_hop`` is the host's overlay address, taken from
    its authenticated connection, and ``next_hop_mac`` the only MAC its answers may have.
    ``hide`` is true where the edge rewrites the client's address.
    """

    public: IPv4Address
    arrives_as: IPv4Address
    private: IPv4Address
    next_hop: IPv4Address
    next_hop_mac: str
    uplink: str
    hide: bool = False


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

    ``pool_ranges`` are the addresses as they arrive, mapped or not.
    """

    overlay: str
    overlay_address: IPv4Address | None
    uplinks: frozenset[str]
    api_port: int
    pool_ranges: tuple[AddressRange, ...]
    forwardings: frozenset[Forwarding] = frozenset()


@dataclass(frozen=True, slots=True)
class GuestRule:
    """What the host's kernel must have for one mapped guest address (IPv4).

    ``device`` is the bridge toward the guest; ``hide`` true where this host rewrites the
    client's address to its own on that bridge.
    """

    private: IPv4Address
    device: str
    hide: bool = False


@dataclass(frozen=True, slots=True)
class HostPlane:
    """Everything the host's kernel should have for its mapped guests.

    With no ``rules`` nothing of ours stays in the kernel.
    """

    overlay: str
    edge: IPv4Address
    edge_mac: str
    rules: frozenset[GuestRule] = frozenset()

"""Guests and the networks they are on, as libvirt's XML tells them."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.publication import Problem, Publication


class NetworkKind(StrEnum):
    """What a guest's interface hangs on; decides who its default router is."""

    NAT = "nat"
    ROUTE = "route"
    OPEN = "open"
    ISOLATED = "isolated"
    BRIDGE = "bridge"
    MACVTAP = "macvtap"
    OTHER = "other"

    @property
    def routed_by_host(self) -> bool:
        """Whether the guest's default route goes through this host."""
        return self in {NetworkKind.NAT, NetworkKind.ROUTE, NetworkKind.OPEN}


class GuestState(StrEnum):
    """What matters of libvirt's states.

    STARTING and INCOMING have not begun to run here: a guest that is being started or
    restored, and one that migrates here. LEFT runs at the host that it migrated to already.
    """

    STARTING = "starting"
    INCOMING = "incoming"
    RUNNING = "running"
    PAUSED = "paused"
    LEFT = "left"

    @property
    def begun(self) -> bool:
        """Whether it has begun to run here."""
        return self not in {GuestState.STARTING, GuestState.INCOMING}


@dataclass(frozen=True, slots=True)
class Interface:
    """A guest's network interface.

    ``network`` is the libvirt network's name, ``bridge`` the host's device the interface
    hangs on, each None where there is none (the stop XML can lack the bridge).
    """

    mac: str
    kind: NetworkKind
    network: str | None = None
    bridge: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A guest as its libvirt XML describes it.

    ``publication`` is None where there is no annotation or it has ``problems``;
    ``wrong_but_required`` is whether such a wrong one says ``required="yes"`` anywhere.
    """

    uuid: UUID
    name: str
    interfaces: tuple[Interface, ...]
    publication: Publication | None = None
    problems: tuple[Problem, ...] = ()
    wrong_but_required: bool = False

    @property
    def required(self) -> bool:
        """Whether the guest may not start without its addresses."""
        return self.wrong_but_required or bool(self.publication and self.publication.required)

    @property
    def annotated(self) -> bool:
        """Whether the XML holds an element of our namespace, right or wrong."""
        return self.publication is not None or bool(self.problems)


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest that runs now."""

    domain: Domain
    state: GuestState


@dataclass(frozen=True, slots=True)
class Network:
    """A libvirt network: its bridge, its own addresses, its static DHCP entries (MAC → address)."""

    name: str
    kind: NetworkKind
    bridge: str | None
    gateways: tuple[IPAddress, ...]
    prefixes: tuple[IPNetwork, ...]
    static: tuple[tuple[str, IPAddress], ...] = ()

"""What more of zerotier-one's local API (1.14.1) sets a node up: its own networks, its moons."""

from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

import msgspec

from zthook.overlay.zerotier_api import PeerView, ZeroTierApi

CARRIED = (0x0800, 0x0806, 0x86DD)
"""What our networks carry, by EtherType: IPv4, ARP, IPv6. By their addresses nothing is dropped,
as the packets of mapped guests bear addresses that are no member's."""
ID_BITS = 10
"""Hexadecimal digits of a node's id; a moon's has six zeros before them."""


class _NodeSettings(msgspec.Struct, frozen=True, rename="camel"):
    primary_port: int = 9993


class _NodeConfig(msgspec.Struct, frozen=True):
    settings: _NodeSettings = _NodeSettings()


class NodeStatus(msgspec.Struct, frozen=True):
    """What GET /status says. ``online`` stays true for minutes after the last root is gone."""

    address: str
    online: bool = False
    config: _NodeConfig = _NodeConfig()

    @property
    def port(self) -> int:
        """The UDP port that others reach it at."""
        return self.config.settings.primary_port


class Route(msgspec.Struct, frozen=True):
    """A managed route; without ``via`` the members' own range."""

    target: str
    via: str | None = None


class ControlledNetwork(msgspec.Struct, frozen=True):
    """A network of this node's, as its controller says it."""

    id: str
    routes: tuple[Route, ...] = ()

    @property
    def range(self) -> IPv4Network | None:
        """Where its members' addresses lie; None where it has no range of IPv4."""
        for route in self.routes:
            with suppress(ValueError):
                if not route.via:
                    return IPv4Network(route.target, strict=False)
        return None


class MoonRoot(msgspec.Struct, frozen=True, rename="camel"):
    """A node that is a root of a moon, and where it is said to be (``192.0.2.20/9993``)."""

    identity: str
    stable_endpoints: tuple[str, ...] = ()


class MoonView(msgspec.Struct, frozen=True):
    """A moon that this node goes by; ``waiting`` until it was received."""

    id: str
    roots: tuple[MoonRoot, ...] = ()
    waiting: bool = False

    @property
    def node(self) -> str:
        """The id as people say it, that of its first root."""
        return self.id[-ID_BITS:]


class _Anything(msgspec.Struct, frozen=True):
    pass


class NodeApi(ZeroTierApi):
    """As ZeroTierApi: everything raises OverlayDown, and None is what the daemon has not."""

    def status(self) -> NodeStatus:
        """How this node is."""
        status = self._ask("GET", "/status", NodeStatus)
        if status is None:
            raise self._unexpected("/status", "404")
        return status

    def leave(self, network: str) -> None:
        """Leave a network, joined or not."""
        self._ask("DELETE", f"/network/{network}", _Anything)

    def controlled(self, network: str) -> ControlledNetwork | None:
        """A network of this node's own; None where there is none of that id."""
        return self._ask("GET", f"/controller/network/{network}", ControlledNetwork)

    def create(self, network: str, body: dict[str, Any]) -> ControlledNetwork | None:
        """Make one, or change what ``body`` names of it; None: no controller was built in.

        The daemon takes any id, and members come to those only that begin with its own.
        """
        return self._ask("POST", f"/controller/network/{network}", ControlledNetwork, body)

    def set_member(self, network: str, member: str, body: dict[str, Any]) -> bool:
        """Change what ``body`` names of a member, known or not; false: not ours to control."""
        path = f"/controller/network/{network}/member/{member}"
        return self._ask("POST", path, _Anything, body) is not None

    def moons(self) -> list[MoonView]:
        """Every moon that this node goes by or waits for."""
        return self._ask("GET", "/moon", list[MoonView]) or []

    def orbit(self, moon: str) -> None:
        """Go by a moon; its first root, of the same id, is asked what it is."""
        self._ask("POST", f"/moon/{moon}", _Anything, {"seed": moon})

    def deorbit(self, moon: str) -> None:
        """Go by it no more."""
        self._ask("DELETE", f"/moon/{moon}", _Anything)


def network_body(prefix: IPv4Network) -> dict[str, Any]:
    """A network for edge and hosts: private, addresses out of ``prefix``, the edge's the first."""
    other = [
        {"type": "MATCH_ETHERTYPE", "not": True, "or": False, "etherType": kind} for kind in CARRIED
    ]
    return {
        "name": "zthook",
        "private": True,
        "v4AssignMode": {"zt": True},
        "routes": [{"target": str(prefix), "via": None}],
        "ipAssignmentPools": [{"ipRangeStart": str(prefix[2]), "ipRangeEnd": str(prefix[-2])}],
        "rules": [*other, {"type": "ACTION_DROP"}, {"type": "ACTION_ACCEPT"}],
    }


def heard_at(peer: PeerView | None) -> str | None:
    """The physical address that a node was heard from last; None where it is relayed or gone."""
    live = [] if peer is None else [path for path in peer.paths if not path.expired]
    last = max(live, key=lambda path: (path.preferred, path.last_receive), default=None)
    return last.address if last else None

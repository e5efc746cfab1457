"""A ZeroTier network that this machine's own node controls: nobody needs an account for it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from zthook.errors import OverlayDown, Refused
from zthook.overlay.node_api import NodeApi, network_body

NAME_DIGITS = "7a7468"
"""The end of the network's id (``zth`` in ASCII): the same each time, so that who makes it again
finds the one that is there."""
USUAL_RANGE = IPv4Network("10.147.20.0/24")


@dataclass(frozen=True, slots=True)
class Made:
    """``new``: it was not there before."""

    range: IPv4Network
    new: bool


class OwnNetwork:
    """The network of the daemon at ``home``. Everything raises OverlayDown where it is away."""

    def __init__(self, home: Path) -> None:
        self._api = NodeApi(home)
        self.node = self._api.node_id()
        self.id = self.node + NAME_DIGITS

    def online(self) -> bool:
        """Whether the node reached a root of ZeroTier since it started."""
        return self._api.status().online

    def range(self) -> IPv4Network | None:
        """Where its members' addresses lie; None where the network is not there yet."""
        found = self._api.controlled(self.id)
        if found is None:
            return None
        if found.range is None:
            raise Refused(
                f"network {self.id} of this node has no range of addresses",
                hint=f"give it a route and a pool, or remove it: rm {self.id}.json in"
                " controller.d/network of zerotier-one's home, and restart that",
            )
        return found.range

    def make(self, wanted: IPv4Network | None) -> Made:
        """Make it, unless it is there; what is there stays as its owner has it.

        Raises Refused where it is there with another range than ``wanted``.
        """
        there = self.range()
        if there is not None and wanted not in {None, there}:
            raise Refused(
                f"network {self.id} is there already, with the range {there}",
                hint="leave --range out: another range would take every host's address away",
            )
        if there is not None:
            return Made(there, new=False)
        prefix = wanted or USUAL_RANGE
        if self._api.create(self.id, network_body(prefix)) is None:
            raise OverlayDown(
                f"zerotier-one did not make network {self.id}",
                hint="it may be built without a controller: make a network elsewhere, and say it"
                " with --zerotier NETWORK",
            )
        return Made(prefix, new=True)

    def let_itself_in(self, address: IPv4Address) -> None:
        """Authorise this node, at an address that it keeps; one that is in stays as it is."""
        known = self._api.member(self.id, self.node)
        if known is not None and known.authorized:
            return
        body = {"authorized": True, "ipAssignments": [str(address)]}
        self._api.set_member(self.id, self.node, body)

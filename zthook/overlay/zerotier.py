"""Driver ``zerotier``: the daemon says which device and why not, the kernel what it has."""

import re
from pathlib import Path

from zthook.errors import OverlayDown, Refused, UsageError
from zthook.model.mappings import OverlayDevice
from zthook.overlay.device import FindDevice, kernel_device, usable_device
from zthook.overlay.knocks import Knocking
from zthook.overlay.node_api import NodeApi, heard_at
from zthook.overlay.zerotier_api import MemberView, NetworkView, PeerView

NO_DEVICE = "is /dev/net/tun there? (`modprobe tun`; in a container the device must be let in)"

DOWN = {
    "REQUESTING_CONFIGURATION": (
        "the controller of network {network}, node {controller}, has not answered yet",
        "does this machine reach the internet (UDP), and does that node run?",
    ),
    "ACCESS_DENIED": (
        "node {node} is not authorised in network {network}",
        "authorise it: `zthook edge host approve {node}` on the edge where that is the"
        " controller, else at the controller, node {controller} (or my.zerotier.com)",
    ),
    "NOT_FOUND": (
        "the controller, node {controller}, knows no network {network}",
        "is overlay.network the right id?",
    ),
    "PORT_ERROR": ("zerotier-one could not make a device for network {network}", NO_DEVICE),
    "CLIENT_TOO_OLD": (
        "this zerotier-one is too old for network {network}",
        "upgrade zerotier-one",
    ),
    "AUTHENTICATION_REQUIRED": (
        "network {network} wants somebody to log in",
        "`zerotier-cli listnetworks` shows where; or exempt node {node} at the controller",
    ),
}
"""ZeroTier's states of a network that is joined and not OK: what happened, what to do."""
UNKNOWN = ("zerotier-one says {status!r} of network {network}", "zerotier-cli listnetworks")


class ZeroTierOverlay:
    """An ``Overlay`` that is the ZeroTier network ``network`` of the daemon at ``home``.

    ``status: OK`` is cached by the daemon and no sign of health; here it only means that
    the device is looked at.
    """

    def __init__(self, network: str, home: Path, find_device: FindDevice = kernel_device) -> None:
        self._network = network
        self._api = NodeApi(home)
        self._find_device = find_device

    def observe(self) -> OverlayDevice:
        """See ``Overlay.observe``."""
        view = self._api.network(self._network)
        if view is None:
            raise OverlayDown(
                f"this node has not joined network {self._network}",
                hint=f"zerotier-cli join {self._network}; if that changes nothing: {NO_DEVICE}",
            )
        if view.status != "OK":
            raise self._down(view.status)
        return usable_device(
            view.port_device_name,
            self._find_device,
            absent="it returns with the daemon: systemctl restart zerotier-one",
            bare=self._no_address(view),
        )

    def node_id(self) -> str:
        """This node's id. Raises OverlayDown."""
        return self._api.node_id()

    def join(self) -> None:
        """Join the network; authorised or not is seen later. Raises OverlayDown."""
        view = self._api.join(self._network)
        if view is None or not view.status:
            # The daemon answers 200 {} then.
            what = f"zerotier-one could not join network {self._network}: it made no device"
            raise OverlayDown(what, hint=NO_DEVICE)

    def authorise(self, member: str) -> None:
        """Let the node ``member`` into the network, before it ever knocked too.

        Raises UsageError (not a node's id), Refused (this node is not the controller),
        OverlayDown.
        """
        check_node_id(member)
        view = self._api.authorise(self._network, member)
        if view is None:
            raise self._not_the_controller(f"authorise {member}")
        if not view.authorized:
            raise Refused(f"the controller did not authorise {member}")

    def shut_out(self, member: str) -> None:
        """Let the node into the network no more. Raises as ``authorise``, of this node Refused."""
        check_node_id(member)
        if member == self._api.node_id():
            raise Refused(f"{member} is this machine's own node")
        if self._api.members(self._network) is None:
            raise self._not_the_controller(f"shut {member} out")
        if self._api.member(self._network, member) is None:
            raise Refused(f"{member} is no member of network {self._network}")
        self._api.set_member(self._network, member, {"authorized": False})

    def knocking(self) -> list[Knocking]:
        """Nodes that asked to join and are not authorised. Raises Refused, OverlayDown."""
        members = self._api.members(self._network)
        if members is None:
            raise self._not_the_controller("see who knocks")
        views = [self._api.member(self._network, member) for member in members]
        peers = {peer.address: peer for peer in self._api.peers()}
        return [
            _knocking(view, peers.get(view.id))
            for view in views
            if view is not None and not view.authorized and view.identity
        ]

    def moon(self) -> str:
        """This node's id where it is a moon that others can go by, else empty."""
        node = self._api.node_id()
        return node if any(moon.node == node for moon in self._api.moons()) else ""

    def _down(self, status: str) -> OverlayDown:
        what, hint = DOWN.get(status, UNKNOWN)
        names = {
            "status": status,
            "network": self._network,
            "controller": self._network[:10],
            "node": self._api.node_id(),
        }
        return OverlayDown(what.format(**names), hint=hint.format(**names))

    def _no_address(self, view: NetworkView) -> str:
        if not view.assigned_addresses:
            return "assign this node an address at the controller, or an IPv4 range to the network"
        if not view.allow_managed:
            return f"zerotier-cli set {self._network} allowManaged=1"
        return "the controller assigned one; systemctl restart zerotier-one sets it again"

    def _not_the_controller(self, action: str) -> Refused:
        controller = self._network[:10]
        return Refused(
            f"this node is not the controller of network {self._network}",
            hint=f"{action} at the controller, node {controller} (or my.zerotier.com)",
        )


def check_node_id(text: str) -> None:
    """Raises UsageError where it is none."""
    if not re.fullmatch(r"[0-9a-f]{10}", text):
        raise UsageError(
            f"{text!r} is not a ZeroTier node's id",
            hint="`zerotier-cli info` on that machine shows it: 10 hexadecimal digits, lower case",
        )


def _knocking(view: MemberView, peer: PeerView | None) -> Knocking:
    return Knocking(
        view.id,
        since=view.creation_time / 1000 or None,
        address=heard_at(peer),
        shut_out=view.last_deauthorized_time / 1000 or None,
    )

"""Who is let into the overlay, where this machine's node is the controller of its network."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zthook.edge.admin_views import Approved, HostRemoved, Knock
from zthook.edge.macs import node_of
from zthook.edge.seen_overlay import Controller
from zthook.edge.views import HostView
from zthook.errors import Refused, ZthookError
from zthook.overlay.zerotier import check_node_id

if TYPE_CHECKING:
    from zthook.edge.admin import RunningEdge

log = logging.getLogger("zthook.edge.overlay")

NO_CONTROLLER = "this edge's overlay is not of driver zerotier, so nobody is let in from here"
UNKNOWN = "which node it came by was never seen here: is it let in?"


class Doorkeeper:
    """Nobody is let in but by an admin's word, which names exactly one node."""

    def __init__(self, edge: "RunningEdge") -> None:
        self._edge = edge

    async def knocking(self) -> list[Knock]:
        """Who asked to join and was not let in. Raises Refused, OverlayDown."""
        found = await asyncio.to_thread(self._controller().knocking)
        return [Knock(one.member, one.since, one.address, one.shut_out) for one in found]

    async def approve(self, member: str, host: str) -> Approved:
        """Let a member in, before it knocks too, as that host where one is named.

        Raises Refused where this machine can not, UsageError (no node's id), NotFound (no host).
        """
        check_node_id(member)
        knocking = [one.member for one in await self.knocking()]
        if host:
            await self._edge.worker.run(self._edge.service.name_member, host, member)
        why = await self.let_in(member, host)
        if why:
            raise Refused(f"{member} was not let into the overlay: {why}")
        others = [one for one in knocking if one != member]
        return Approved(member, member in knocking, others)

    async def let_in(self, member: str, host: str) -> str:
        """Why the member was not let in; empty where it was."""
        why = await self._try(lambda: self._controller().authorise(member))
        if not why:
            await self._edge.worker.run(self._edge.service.approved, member, host)
        return why

    async def shut_out(self, member: str) -> str:
        """Why the member was not shut out; empty where it was."""
        why = await self._try(lambda: self._controller().shut_out(member))
        if not why:
            await self._edge.worker.run(self._edge.service.shut_out, member)
        return why

    async def shut_out_with(self, host: str, hosts: Sequence[HostView]) -> HostRemoved:
        """Shut out the node of a removed host; ``hosts`` are as they were before that."""
        nodes = {one.name: self._node(one) for one in hosts}
        node = nodes.pop(host, None)
        if node is None:
            return HostRemoved(host, None, why=UNKNOWN if await self._is_controller() else "")
        sharing = [name for name, other in nodes.items() if other == node]
        why = f"{', '.join(sharing)} comes by it" if sharing else await self.shut_out(node)
        return HostRemoved(host, node, shut_out=not why, why=why)

    async def _is_controller(self) -> bool:
        try:
            await self.knocking()
        except ZthookError:
            return False
        return True

    async def moon(self) -> str:
        """This node's id where it is a moon that others can go by, else empty."""
        controller = self._edge.seen.controller
        try:
            return "" if controller is None else await asyncio.to_thread(controller.moon)
        except ZthookError as error:
            log.warning("the token says nothing of a moon: %s", error.message)
            return ""

    def _node(self, host: HostView) -> str | None:
        network = self._edge.settings.overlay.network
        return host.member if network is None else node_of(host, network)

    def _controller(self) -> Controller:
        controller = self._edge.seen.controller
        if controller is None:
            raise Refused(NO_CONTROLLER)
        return controller

    async def _try(self, act: Callable[[], None]) -> str:
        try:
            await asyncio.to_thread(act)
        except ZthookError as error:
            return error.told
        return ""

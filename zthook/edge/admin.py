"""The admin's commands, as the control socket takes them (``zthook edge …`` asks here)."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from zthook.config.settings import EdgeSettings
from zthook.edge.admin_views import EdgeReport, HostAdded, Knock, WebView
from zthook.edge.keys import EdgeKeys
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.server import Listener
from zthook.edge.service import INVITATION_SECONDS, EdgeService
from zthook.edge.views import HostView, Invitation
from zthook.edge.web.site import Site
from zthook.edge.worker import Worker
from zthook.errors import OverlayDown, Refused, UsageError, ZthookError
from zthook.metrics.exposition import Exposition
from zthook.store.events import Wanted
from zthook.wire.control_server import Handler
from zthook.wire.token import Token, write_token

T = TypeVar("T")

NO_CONTROLLER = "this edge's overlay is not of driver zerotier, so nobody is let in from here"


class RunningEdge(Protocol):
    """What of the daemon the commands are about; see ``zthook.edge.daemon``."""

    worker: Worker
    service: EdgeService
    listener: Listener
    seen: SeenOverlay
    exposition: Exposition
    web: Site
    keys: EdgeKeys
    settings: EdgeSettings

    @property
    def problems(self) -> list[str]: ...

    def overlay_address(self) -> IPv4Address | None: ...

    async def reload(self) -> None: ...


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Public(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public: str


class _Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    member: str


class _NewHost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    member: str | None = None
    prefixes: list[str] | None = None
    pools: list[str] | None = None
    group: str | None = None
    expires_seconds: float = INVITATION_SECONDS


class _Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    now: bool = False
    expires_seconds: float = INVITATION_SECONDS


class _Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    new_token: bool = False


class Admin:
    """Each public method is a command; its argument says what it takes."""

    def __init__(self, edge: RunningEdge) -> None:
        self._edge = edge

    def commands(self) -> dict[str, Handler]:
        """Command name → what answers it."""
        return {
            "status": _taking(_Nothing, self.status),
            "mappings": _taking(_Nothing, self.mappings),
            "hosts": _taking(_Nothing, self.hosts),
            "pools": _taking(_Nothing, self.pools),
            "events": _taking(Wanted, self.events),
            "host_add": _taking(_NewHost, self.host_add),
            "host_rotate": _taking(_Rotation, self.host_rotate),
            "host_remove": _taking(_Name, self.host_remove),
            "knocking": _taking(_Nothing, self.knocking),
            "approve": _taking(_Member, self.approve),
            "release": _taking(_Public, self.release),
            "reload": _taking(_Nothing, self.reload),
            "web": _taking(_Web, self.web),
        }

    async def status(self, _: _Nothing) -> EdgeReport:
        return await self.report()

    async def report(self) -> EdgeReport:
        """How the edge is."""
        edge = self._edge
        status, pools = await edge.worker.run(lambda: (edge.service.status(), edge.service.pools()))
        status = replace(status, hosts=await edge.seen.with_paths(status.hosts))
        place = edge.listener.place
        down = f"the overlay is down: {edge.seen.why}" if edge.seen.why else ""
        kernel = f"the kernel is not as it should be: {status.kernel}" if status.kernel else ""
        metrics, web = edge.exposition.fault, edge.web.fault
        broken = (down, *edge.problems, kernel, status.store)
        found = (*broken, *status.twice, *status.misled, metrics, web)
        return EdgeReport(
            status=status,
            pools=pools,
            listening=f"{place[0]}:{place[1]}" if place else None,
            problems=[problem for problem in dict.fromkeys(found) if problem],
            metrics=metrics,
            web=web,
        )

    async def web(self, asked: _Web) -> WebView:
        """Where the page is; with ``new_token`` another one to log in with."""
        site = self._edge.web
        return site.renew() if asked.new_token else site.view()

    async def mappings(self, _: _Nothing) -> Any:
        return await self._edge.worker.run(self._edge.service.mappings)

    async def hosts(self, _: _Nothing) -> list[HostView]:
        hosts = await self._edge.worker.run(self._edge.service.hosts)
        return await self._edge.seen.with_paths(hosts)

    async def pools(self, _: _Nothing) -> Any:
        return await self._edge.worker.run(self._edge.service.pools)

    async def events(self, asked: Wanted) -> Any:
        return await self._edge.worker.run(self._edge.service.events, asked)

    async def release(self, asked: _Public) -> Any:
        return await self._edge.worker.run(self._edge.service.release, asked.public)

    async def host_remove(self, asked: _Name) -> None:
        """Withdraw the host's mappings; its agent hears it by the request it keeps open."""
        await self._edge.worker.run(self._edge.service.remove_host, asked.name)

    async def reload(self, _: _Nothing) -> None:
        await self._edge.reload()

    async def host_add(self, asked: _NewHost) -> HostAdded:
        """Invite a host, and let its member into the overlay where we can.

        Raises OverlayDown before anything is done.
        """
        address = self._address()
        invited = await self._edge.worker.run(
            self._edge.service.add_host,
            asked.name,
            member=asked.member,
            prefixes=asked.prefixes,
            pools=asked.pools,
            group=asked.group,
            expires_seconds=asked.expires_seconds,
        )
        why = await self._authorise(invited.member) if invited.member else ""
        return self._added(invited, address, why)

    async def host_rotate(self, asked: _Rotation) -> HostAdded:
        """Invite a host to take a new credential. Raises OverlayDown before anything is done."""
        address = self._address()
        invited = await self._edge.worker.run(
            self._edge.service.rotate_host,
            asked.name,
            now=asked.now,
            expires_seconds=asked.expires_seconds,
        )
        return replace(self._added(invited, address, ""), authorised=False)

    def _address(self) -> str:
        """Ours on the overlay, which a token has to say. Raises OverlayDown."""
        address = self._edge.overlay_address()
        if address is None:
            raise OverlayDown(
                "the overlay is down, so no token can say where this edge is: "
                f"{self._edge.seen.why}",
                hint="zthook edge status",
            )
        return str(address)

    def _added(self, invited: Invitation, address: str, why: str) -> HostAdded:
        keys = self._edge.keys
        token = Token(
            keys.edge_id, keys.ca_sha256, address, self._edge.settings.api_port, invited.secret
        )
        return HostAdded(
            host=invited.host,
            token=write_token(token),
            expires=invited.expires,
            member=invited.member,
            authorised=invited.member is not None and not why,
            why=why,
        )

    async def approve(self, asked: _Member) -> None:
        """Let a member into the overlay. Raises Refused where this machine can not."""
        why = await self._authorise(asked.member)
        if why:
            raise Refused(f"{asked.member} was not let into the overlay: {why}")

    async def knocking(self, _: _Nothing) -> list[Knock]:
        """Who asked to join the overlay and was not let in. Raises Refused as ``approve``."""
        controller = self._edge.seen.controller
        if controller is None:
            raise Refused(NO_CONTROLLER)
        return [Knock(member=one) for one in await asyncio.to_thread(controller.knocking)]

    async def _authorise(self, member: str) -> str:
        """Why the member was not let in; empty where it was."""
        controller = self._edge.seen.controller
        if controller is None:
            return NO_CONTROLLER
        try:
            await asyncio.to_thread(controller.authorise, member)
        except ZthookError as error:
            return f"{error.message}. {error.hint}".rstrip(". ")
        await self._edge.worker.run(self._edge.service.approved, member)
        return ""


def _taking(kind: type[T], act: Callable[[T], Awaitable[Any]]) -> Handler:
    """A handler that reads its arguments as ``kind`` first."""

    async def handler(arguments: dict[str, Any]) -> Any:
        try:
            asked = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            raise UsageError(str(error)) from error
        return await act(asked)

    return handler

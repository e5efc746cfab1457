"""The admin's commands, as the control socket takes them (``zthook edge …`` asks here)."""

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from zthook.config.settings import EdgeSettings
from zthook.edge.admin_views import (
    Approved,
    EdgeReport,
    HostAdded,
    HostRemoved,
    Knock,
    WebView,
)
from zthook.edge.doorkeeper import Doorkeeper
from zthook.edge.fast_redial import FastRedial
from zthook.edge.keys import EdgeKeys
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.server import Listener
from zthook.edge.service import INVITATION_SECONDS, EdgeService
from zthook.edge.views import HostView, Invitation
from zthook.edge.web.site import Site
from zthook.edge.worker import Worker
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.metrics.exposition import Exposition
from zthook.overlay.zerotier import check_node_id
from zthook.store.events import Wanted
from zthook.wire.control_server import Handler
from zthook.wire.token import Token, write_token

T = TypeVar("T")


class RunningEdge(Protocol):
    """What of the daemon the commands are about; see ``zthook.edge.daemon``."""

    worker: Worker
    service: EdgeService
    listener: Listener
    seen: SeenOverlay
    redial: FastRedial
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


class _Approval(_Member, frozen=True, forbid_unknown_fields=True):
    host: str | None = None


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
        self._door = Doorkeeper(edge)

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
            "approve": _taking(_Approval, self.approve),
            "shut_out": _taking(_Member, self.shut_out),
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
            redial=edge.redial.seen,
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

    async def host_remove(self, asked: _Name) -> HostRemoved:
        """Withdraw the host's mappings, and let its node into the overlay no more where we can.

        Its agent hears it by the request it keeps open.
        """
        hosts = await self._edge.worker.run(self._edge.service.hosts)
        await self._edge.worker.run(self._edge.service.remove_host, asked.name)
        return await self._door.shut_out_with(asked.name, hosts)

    async def reload(self, _: _Nothing) -> None:
        await self._edge.reload()

    async def host_add(self, asked: _NewHost) -> HostAdded:
        """Invite a host, and let its member into the overlay where we can.

        Raises OverlayDown before anything is done.
        """
        address = self._address()
        if asked.member:
            check_node_id(asked.member)
        invited = await self._edge.worker.run(
            self._edge.service.add_host,
            asked.name,
            member=asked.member,
            prefixes=asked.prefixes,
            pools=asked.pools,
            group=asked.group,
            expires_seconds=asked.expires_seconds,
        )
        why = await self._door.let_in(invited.member, invited.host) if invited.member else ""
        network = self._edge.settings.overlay.network or ""
        moon = await self._door.moon() if network else ""
        return self._added(invited, address, why, network=network, moon=moon)

    async def host_rotate(self, asked: _Rotation) -> HostAdded:
        """Invite a host to take a new credential. Raises OverlayDown before anything is done.

        It is in the overlay, so its token names no network.
        """
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

    def _added(
        self, invited: Invitation, address: str, why: str, *, network: str = "", moon: str = ""
    ) -> HostAdded:
        keys, port = self._edge.keys, self._edge.settings.api_port
        host = invited.host if network else ""
        token = Token(
            keys.edge_id, keys.ca_sha256, address, port, invited.secret, network, moon, host
        )
        return HostAdded(
            host=invited.host,
            token=write_token(token),
            expires=invited.expires,
            member=invited.member,
            authorised=invited.member is not None and not why,
            why=why,
            network=network,
            moon=moon,
        )

    async def approve(self, asked: _Approval) -> Approved:
        """Let a member into the overlay, as that host. Raises Refused where this machine can not,
        NotFound.
        """
        return await self._door.approve(asked.member, asked.host or "")

    async def shut_out(self, asked: _Member) -> None:
        """Let a member into the overlay no more. Raises Refused where this machine can not."""
        why = await self._door.shut_out(asked.member)
        if why:
            raise Refused(f"{asked.member} was not shut out of the overlay: {why}")

    async def knocking(self, _: _Nothing) -> list[Knock]:
        """Who asked to join the overlay and was not let in. Raises Refused as ``approve``."""
        return await self._door.knocking()


def _taking(kind: type[T], act: Callable[[T], Awaitable[Any]]) -> Handler:
    """A handler that reads its arguments as ``kind`` first."""

    async def handler(arguments: dict[str, Any]) -> Any:
        try:
            asked = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            raise UsageError(str(error)) from error
        return await act(asked)

    return handler

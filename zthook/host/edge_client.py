"""One agent's side of the edge's API: session, sequence, and what is known of the edge.

Requests that carry a sequence number are composed and sent under one lock, so that a
higher number always says what was known later. The long request for changes has a
connection of its own and waits beside them.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import httpx
from msgspec.structs import replace

from zthook import __version__
from zthook.errors import (
    EdgeUnreachable,
    NotAuthenticated,
    Stale,
    TwoAgents,
    UsageError,
    ZthookError,
)
from zthook.host.credential import Credential
from zthook.host.edge_http import EdgeHttp
from zthook.host.health import Pulse
from zthook.model.clock import Clock
from zthook.wire.messages import (
    LONGEST_CHANGES_SECONDS,
    ChangesReply,
    ClaimMessage,
    ClaimsReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    Message,
    ReserveRequest,
    SessionReply,
    SessionRequest,
    claims_digest,
)

T = TypeVar("T")

CHANGES_SLACK = 10.0
"""How much longer than the edge holds a request for changes we wait for its answer."""
USUAL_LEASE = 60.0
"""While no session has told it yet."""


async def _no_member() -> str:
    return ""


class EdgeClient:
    """One agent process's side of the API. Every request raises ZthookError types only.

    ``list_due``: the edge may not have our last list, or has news for it. ``pulse`` follows
    whether the edge answers. ``lost`` is set when a request failed in a way that makes the
    session doubtful, and cleared by ``greet``; ``fault`` is that failure while it lasts.
    ``renewed``: when the edge last renewed our lease (boottime). ``warning``: what it told
    us then that somebody should look at. ``edge_mac``: its MAC on the overlay as it says
    itself, empty until it has. ``moment``: the last that it told, see ``ListRequest.heard``.
    ``own_mac`` is what we say of ourselves.
    """

    def __init__(
        self,
        credential: Credential,
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
        own_mac: Callable[[], Awaitable[str]] = _no_member,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.credential = credential
        self.pulse = Pulse(f"edge {credential.where}", clock, on_change)
        self.session: SessionReply | None = None
        self.list_due = True
        self.generation = self.moment = 0
        self.renewed: float | None = None
        self.fault: ZthookError | None = None
        self.warning = ""
        self.edge_mac = ""
        self.lost = asyncio.Event()
        self._clock = clock
        self._own_mac = own_mac
        self._tells_mac = True
        self._heard_at: float | None = None
        self._lease = USUAL_LEASE
        self._lock = asyncio.Lock()
        self._sequence = 0
        self._digest = ""
        self._highest_epoch = 0
        self._instance = secrets.token_hex(16)
        self._http = EdgeHttp(credential, transport)
        self._waiting = EdgeHttp(credential, transport)

    @property
    def ready(self) -> bool:
        """Whether there is a session and the edge answered last time."""
        return self.session is not None and self.pulse.up

    @property
    def silent(self) -> bool:
        """Whether the edge has said nothing yet, or nothing for the time of a lease."""
        return self._heard_at is None or self._clock.boottime() - self._heard_at > self._lease

    async def close(self) -> None:
        """Close the connections; nothing is withdrawn."""
        await self._http.close()
        await self._waiting.close()

    async def greet(self) -> None:
        """Open a session, or see that the one we have still holds."""
        self.lost.clear()
        if self.session is None:
            async with self._lock:
                if self.session is None:
                    await self._open()
        else:
            await self.heartbeat()

    async def list_claims(
        self, compose: Callable[[], Sequence[ClaimMessage]], heard: Callable[[], int] = int
    ) -> ClaimsReply:
        """Send everything this host claims. ``compose`` and ``heard`` are called when it is
        our turn; an edge that tells no ``moment`` is told none.
        """

        async def send(session: int, sequence: int) -> ClaimsReply:
            claims = list(compose())
            message = ListRequest(
                session=session,
                sequence=sequence,
                claims=claims,
                # 1 is before all moments: that it looked before it had heard any.
                heard=max(1, heard()) if self.moment else 0,
            )
            self.list_due = False  # news that come while the answer travels set it again
            try:
                reply = await self._send("PUT", "claims", ClaimsReply, message)
            except BaseException:
                self.list_due = True
                raise
            self._digest = claims_digest(claims)
            return self._heard(reply)

        return await self._in_turn(send)

    async def reserve(self, claims: Sequence[ClaimMessage]) -> ClaimsReply:
        """Claims of one guest that is about to start, beside whatever else we claim."""

        async def send(session: int, sequence: int) -> ClaimsReply:
            message = ReserveRequest(session=session, sequence=sequence, claims=list(claims))
            self.list_due = True  # from now on it has more than our last list said
            return self._heard(await self._send("POST", "claims", ClaimsReply, message))

        return await self._in_turn(send)

    async def heartbeat(self) -> None:
        """Renew the lease; sets ``list_due`` where the edge lacks our list or has news."""

        async def send(session: int, sequence: int) -> None:
            message = HeartbeatRequest(
                session=session,
                sequence=sequence,
                digest=self._digest,
                overlay_mac=await self._own_mac() if self._tells_mac else "",
            )
            try:
                reply = await self._send("POST", "heartbeat", HeartbeatReply, message)
            except UsageError:
                self.session = None  # an older edge came in its place: greet that one
                raise
            self.renewed = self._clock.boottime()
            self.warning = reply.fault
            self.edge_mac = reply.overlay_mac or self.edge_mac
            self.moment = reply.moment
            if not reply.current or reply.generation > self.generation:
                self.list_due = True

        await self._in_turn(send)

    async def changes(self, after: int) -> int:
        """Wait until the edge has news past generation ``after``; the generation, in the end
        also without news (an older edge answers earlier than it is asked to).
        """
        session = self.session.session if self.session else 0
        try:
            with self._judged():
                reply = await self._waiting.send(
                    "GET",
                    "changes",
                    ChangesReply,
                    params={
                        "session": session,
                        "after": after,
                        "seconds": int(LONGEST_CHANGES_SECONDS),
                    },
                    seconds=LONGEST_CHANGES_SECONDS + CHANGES_SLACK,
                )
        except Stale:
            self.session = None
            raise
        if reply.generation > self.generation:
            self.list_due = True
        return reply.generation

    async def _in_turn(self, send: Callable[[int, int], Awaitable[T]]) -> T:
        """Send in this session; once more in a new one where it turns out stale."""
        async with self._lock:
            try:
                return await self._numbered(send)
            except Stale:
                self.session = None
                return await self._numbered(send)

    async def _numbered(self, send: Callable[[int, int], Awaitable[T]]) -> T:
        session = self.session or await self._open()
        self._sequence += 1
        return await send(session.session, self._sequence)

    async def _open(self) -> SessionReply:
        reply = await self._begin()
        self.session = reply
        self._lease = reply.lease_seconds
        self.edge_mac = reply.overlay_mac or self.edge_mac
        self.generation = reply.generation
        self.moment = reply.moment
        self.list_due = True
        self.renewed = self._clock.boottime()
        self._sequence = 0
        return reply

    async def _begin(self) -> SessionReply:
        message = SessionRequest(
            agent=f"zthook {__version__}",
            instance=self._instance,
            highest_epoch=self._highest_epoch,
            overlay_mac=await self._own_mac(),
        )
        self._tells_mac = True
        try:
            return await self._send("POST", "session", SessionReply, message)
        except UsageError:
            if not message.overlay_mac:
                raise
            self._tells_mac = False  # an older edge refuses what it does not know
            message = replace(message, overlay_mac="")
            return await self._send("POST", "session", SessionReply, message)

    def _heard(self, reply: ClaimsReply) -> ClaimsReply:
        self.generation = max(self.generation, reply.generation)
        self.moment = reply.moment
        self.renewed = self._clock.boottime()
        shown = [mapping.epoch for mapping in reply.mappings]
        self._highest_epoch = max([self._highest_epoch, *shown])
        return reply

    async def _send(self, method: str, path: str, kind: type[T], message: Message) -> T:
        with self._judged():
            return await self._http.send(method, path, kind, message)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Follow what a request's end says of the edge."""
        try:
            yield
        except (EdgeUnreachable, NotAuthenticated, TwoAgents) as error:
            self.pulse.bad(error)
            self.fault = error
            self.lost.set()
            raise
        except UsageError as error:
            self._answered()
            raise self._with_versions(error) from error
        except ZthookError:
            self._answered()  # if not what we want to hear
            raise
        self._answered()

    def _with_versions(self, error: UsageError) -> UsageError:
        """What an edge of another version does not understand of us, with what to do."""
        theirs = self.session.version if self.session is not None else __version__
        if theirs == __version__:
            return error
        return UsageError(
            f"the edge runs zthook {theirs or 'of an older version'}, this host {__version__}, "
            f"and it does not understand what is asked ({error.message}): upgrade the older one",
            hint=error.hint,
        )

    def _answered(self) -> None:
        self.fault = None
        self._heard_at = self._clock.boottime()
        self.pulse.good()

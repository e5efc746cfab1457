"""A service that answers like the edge's and remembers who asked what, and the API on it."""

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import httpx

from zthook.edge.api import Api, make_app
from zthook.edge.changes import Changes
from zthook.edge.keys import EdgeKeys, load_keys, make_keys
from zthook.edge.refusals import Refusals
from zthook.edge.worker import Worker
from zthook.errors import NotAuthenticated, StaleSession, TokenError
from zthook.wire.messages import (
    ClaimMessage,
    ClaimsReply,
    EnrolReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    MappingReply,
    ReserveRequest,
    SessionReply,
    SessionRequest,
)

HOME1 = {"authorization": "Bearer credential-home1"}
HOME2 = {"authorization": "Bearer credential-home2"}


class Standin:
    """Grants every claim. ``asked`` holds (what, host, source) of each call."""

    def __init__(self) -> None:
        self.hosts = {"credential-home1": "home1", "credential-home2": "home2"}
        self.generations = {"home1": 1, "home2": 1}
        self.sessions: dict[str, int] = {}
        self.newcomers: set[str] = set()
        self.secrets = {"good": "home3"}
        self.asked: list[tuple[str, str, IPv4Address]] = []
        self.threads: set[str] = set()
        self.shown: list[str] = []
        self.looked_up = 0
        self.held = threading.Event()
        self.held.set()
        self.fault: Exception | None = None

    def authenticate(self, credential: str) -> str:
        self.looked_up += 1
        self.threads.add(threading.current_thread().name)
        if credential not in self.hosts:
            raise NotAuthenticated("this credential is not known here")
        return self.hosts[credential]

    def enrol(self, secret: str, hostname: str, source: str, known: str) -> EnrolReply:
        self.shown.append(known)
        if secret not in self.secrets:
            raise TokenError("this token was used already")
        return EnrolReply(host=self.secrets.pop(secret), credential=f"credential of {hostname}")

    def hold(self) -> threading.Event:
        """Every call but of who asks takes until this is set."""
        self.held = threading.Event()
        return self.held

    def _note(self, what: str, host: str, source: IPv4Address) -> None:
        if self.fault is not None:
            raise self.fault
        self.held.wait(10)
        self.asked.append((what, host, source))

    def open_session(self, host: str, request: SessionRequest, source: IPv4Address) -> SessionReply:
        self._note("session", host, source)
        self.sessions[host] = self.sessions.get(host, 0) + 1
        return SessionReply(
            session=self.sessions[host],
            host=host,
            edge="edge1",
            lease_seconds=60.0,
            prefixes=["192.168.0.0/16"],
            pools=[],
            generation=self.generations[host],
        )

    def list_claims(self, host: str, request: ListRequest, source: IPv4Address) -> ClaimsReply:
        self._note("claims", host, source)
        return self._granted(host, request.claims)

    def reserve(self, host: str, request: ReserveRequest, source: IPv4Address) -> ClaimsReply:
        self._note("reserve", host, source)
        return self._granted(host, request.claims)

    def _granted(self, host: str, claims: list[ClaimMessage]) -> ClaimsReply:
        answers = [
            MappingReply(
                guest=one.guest,
                asked=one.public,
                public=one.public,
                private=one.private,
                state="active",
            )
            for one in claims
        ]
        return ClaimsReply(generation=self.generations[host], mappings=answers)

    def beat(
        self, host: str, request: HeartbeatRequest, source: IPv4Address
    ) -> HeartbeatReply | None:
        """None of ``newcomers``."""
        return None if host in self.newcomers else self.welcome(host, request, source)

    def welcome(self, host: str, request: HeartbeatRequest, source: IPv4Address) -> HeartbeatReply:
        self._note("heartbeat", host, source)
        return HeartbeatReply(generation=self.generations[host], current=True)

    def generation(self, host: str, session: int) -> int:
        if session != self.sessions.get(host, 0):
            raise StaleSession("another session is the valid one")
        return self.generations[host]

    def leave(self, host: str) -> None:
        self.hosts = {key: name for key, name in self.hosts.items() if name != host}


class Stage:
    """Everything around one API: what a test reads and turns."""

    def __init__(self, *, changes_seconds: float = 25.0) -> None:
        self.service = Standin()
        self.worker = Worker()
        self.changes = Changes()
        self.time = 0.0
        api = Api(
            self.service,
            self.worker,
            self.changes,
            edge_id="19e1a11125cfd6f7",
            ca_pem="-----BEGIN CERTIFICATE-----\n",
            changes_seconds=changes_seconds,
            clock=lambda: self.time,
        )
        self.strangers = api.strangers
        self.app = make_app(api, Refusals(lambda: self.time))

    @asynccontextmanager
    async def client(self, source: str = "192.168.193.2") -> AsyncIterator[httpx.AsyncClient]:
        """Speaks to the application without a socket, from ``source``."""
        way = httpx.ASGITransport(self.app, client=(source, 50000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=way, base_url="https://edge") as client:
            yield client

    async def waiting(self, host: str) -> None:
        """Until somebody waits for ``host``'s changes."""
        await until(lambda: host in self.changes._waiting)

    def changed(self, host: str) -> None:
        """As the service does it: the generation rises, then it notifies."""
        self.service.generations[host] += 1
        self.changes.wake(host)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until ``condition()`` is true. Raises TimeoutError after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def keys_in(folder: Path) -> EdgeKeys:
    """Keys below ``folder``, made where there are none."""
    now = dt.datetime.now(dt.UTC)
    place = folder / "keys"
    return load_keys(place, now) if place.exists() else make_keys(place, now)

"""A stateful edge for the agent's tests, reached through a transport that can fail.

``FakeEdge`` decides as the edge does, as far as one agent can tell: sessions, sequences,
one holder for each address, waiting claims in order, generations.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx
import msgspec

from zthook import __version__
from zthook.errors import (
    NotAuthenticated,
    StaleMessage,
    StaleSession,
    StoreError,
    TooManyRequests,
    TwoAgents,
    ZthookError,
)
from zthook.host.credential import Credential
from zthook.model.publication import PortRange, in_each_others_way
from zthook.wire.faults import to_reply
from zthook.wire.messages import (
    ChangesReply,
    ClaimMessage,
    ClaimsReply,
    HeartbeatReply,
    HeartbeatRequest,
    Holder,
    ListRequest,
    MappingReply,
    PoolView,
    ReserveRequest,
    SessionReply,
    SessionRequest,
    claims_digest,
)

CREDENTIAL = Credential("e1", "192.168.193.222", 9443, "home1", "", "credential-home1")
OTHER_CREDENTIAL = Credential("e1", "192.168.193.222", 9443, "home2", "", "credential-home2")
OTHER_HOST = "home2"
EDGE_MAC = "0e:00:00:00:00:01"


def mac_of(host: str) -> str:
    """A host's on the overlay."""
    return f"02:00:00:00:01:{int(host.removeprefix('home')) + 1:02x}"


@dataclass
class HostSide:
    """What the edge knows of one host."""

    session: int = 0
    sequence: int = 0
    generation: int = 1
    digest: str = ""
    instances: list[str] = field(default_factory=list)


Key = tuple[str, str, str]
"""Host, guest, what is asked for."""


class FakeEdge:
    """``events`` tells in order what was asked; ``two_agents`` makes it see two of them.

    ``pools`` are what ``auto`` is taken from, ``chosen`` what a guest was given of it, for
    ever. ``translated`` is public address → what its packets arrive as. ``holders`` is who
    holds what: each claim's public address. While ``silent`` it does not say what address a
    guest had elsewhere, while ``full`` it can write down no session. ``own_macs`` is what hosts
    said last of theirs.
    """

    def __init__(self) -> None:
        self.hosts = {"credential-home1": "home1", "credential-home2": OTHER_HOST}
        self.sides = {name: HostSide() for name in self.hosts.values()}
        self.pools = {"hk": ["203.0.113.200", "203.0.113.201"]}
        self.chosen: dict[tuple[str, str], str] = {}
        self.translated: dict[str, str] = {}
        self.claims: dict[Key, tuple[int, ClaimMessage]] = {}
        self.holders: dict[Key, str] = {}
        self.epochs: Counter[str] = Counter()
        self.events: list[str] = []
        self.own_macs: dict[str, str] = {}
        self.two_agents = False
        self.silent = False
        self.full = False
        self.news = asyncio.Event()
        self._place = 0

    def authenticate(self, credential: str) -> str:
        if credential not in self.hosts:
            raise NotAuthenticated("this host was removed from the edge")
        return self.hosts[credential]

    def open_session(self, host: str, request: SessionRequest) -> SessionReply:
        if self.two_agents:
            raise TwoAgents("two agents use the credential of home1", hint="stop one of them")
        if self.full:
            raise StoreError("the store can not be used: disk full")
        side = self.sides[host]
        side.session += 1
        side.sequence = 0
        side.digest = ""
        side.instances.append(request.instance)
        self.own_macs[host] = request.overlay_mac
        return SessionReply(
            session=side.session,
            host=host,
            edge="e1",
            lease_seconds=60,
            prefixes=["192.168.0.0/16"],
            pools=[],
            generation=side.generation,
            overlay_mac=EDGE_MAC,
            version=__version__,
        )

    def forget_session(self, host: str = "home1") -> None:
        """Another session became the valid one."""
        self.sides[host].session += 1
        self.news.set()

    def _fence(self, host: str, session: int, sequence: int) -> None:
        side = self.sides[host]
        if session != side.session:
            raise StaleSession("another session is the valid one")
        if sequence <= side.sequence:
            raise StaleMessage("a later message was taken")
        side.sequence = sequence

    def list_claims(self, host: str, request: ListRequest) -> ClaimsReply:
        self._fence(host, request.session, request.sequence)
        kept = {(host, claim.guest, claim.public) for claim in request.claims}
        for key in [key for key in self.claims if key[0] == host and key not in kept]:
            self._drop(key)
        for claim in request.claims:
            self._ask(host, claim)
        self.sides[host].digest = claims_digest(request.claims)
        return self._answers(host, request.claims)

    def reserve(self, host: str, request: ReserveRequest) -> ClaimsReply:
        self._fence(host, request.session, request.sequence)
        for claim in request.claims:
            self._ask(host, claim)
        return self._answers(host, request.claims)

    def heartbeat(self, host: str, request: HeartbeatRequest) -> HeartbeatReply:
        self._fence(host, request.session, request.sequence)
        side = self.sides[host]
        self.own_macs[host] = request.overlay_mac
        return HeartbeatReply(
            generation=side.generation,
            current=request.digest == side.digest,
            overlay_mac=EDGE_MAC,
        )

    def generation(self, host: str, session: int) -> int:
        if session != self.sides[host].session:
            raise StaleSession("another session is the valid one")
        return self.sides[host].generation

    def hold_elsewhere(self, public: str, guest: str) -> None:
        """The other host's guest claims ``public`` first."""
        self._ask(OTHER_HOST, ClaimMessage(guest=guest, name="db1", public=public))

    def free_elsewhere(self, public: str) -> None:
        """The other host lets go of ``public``."""
        for key in [key for key in self.claims if key[0] == OTHER_HOST and key[2] == public]:
            self._drop(key)

    def state(self, public: str) -> tuple[str, str | None] | None:
        """Who holds ``public``, the first who does: host and private address."""
        return next(
            (
                (key[0], self.claims[key][1].private)
                for key, held in self.holders.items()
                if held == public
            ),
            None,
        )

    def claim(self, public: str, host: str = "home1") -> ClaimMessage | None:
        """What the host asks for under this name."""
        found = (claim for key, (_, claim) in self.claims.items() if key[::2] == (host, public))
        return next(found, None)

    def _ask(self, host: str, claim: ClaimMessage) -> None:
        key = (host, claim.guest, claim.public)
        if key not in self.claims:
            self._place += 1
        self.claims[key] = (self.claims.get(key, (self._place, claim))[0], claim)
        self._promote()

    def _drop(self, key: Key) -> None:
        del self.claims[key]
        self.holders.pop(key, None)
        self._promote()

    def _promote(self) -> None:
        """Give to those who wait, in the order of their coming, what nobody is in the way of."""
        for key, (_, claim) in sorted(self.claims.items(), key=lambda one: one[1][0]):
            public = self._public(key)
            if key in self.holders or public is None or claim.leaving:
                continue
            obstacles = [
                other for other in self.holders if self._is_in_the_way(other, claim, public)
            ]
            if all(other[1] == key[1] and self.claims[other][1].leaving for other in obstacles):
                for other in obstacles:
                    del self.holders[other]
                self.holders[key] = public
                self.epochs[public] += 1
                for host in {key[0], *(other[0] for other in obstacles)}:
                    self.sides[host].generation += 1
                self.news.set()

    def _is_in_the_way(self, other: Key, claim: ClaimMessage, public: str) -> bool:
        one = self.claims[other][1]
        apart = claim.mode == one.mode == "nat" and not in_each_others_way(
            map(PortRange.parse, claim.ports), map(PortRange.parse, one.ports)
        )
        return self.holders[other] == public and not apart

    def _public(self, key: Key) -> str | None:
        """The address of a claim; of ``auto`` the first of the pool that nobody was given."""
        _, guest, asked = key
        if not asked.startswith("auto/"):
            return asked
        if (guest, asked) not in self.chosen:
            pool = self.pools.get(asked.split("/")[1] or "hk", [])
            free = [one for one in pool if one not in self.chosen.values()]
            if not free:
                return None
            self.chosen[guest, asked] = free[0]
        return self.chosen[guest, asked]

    def _answers(self, host: str, claims: list[ClaimMessage]) -> ClaimsReply:
        return ClaimsReply(
            generation=self.sides[host].generation,
            mappings=[self._answer((host, claim.guest, claim.public)) for claim in claims],
            pools=[PoolView(name=name, addresses=some) for name, some in self.pools.items()],
        )

    def _answer(self, key: Key) -> MappingReply:
        claim, public = self.claims[key][1], self._public(key)
        ours = key in self.holders
        others = [one for one in self.holders if public and self._is_in_the_way(one, claim, public)]
        holder = key if ours else next(iter(others), None)
        name = self.claims[holder][1].name if holder else ""
        state, reason = self._sight(key, claim, holder, name)
        return MappingReply(
            guest=claim.guest,
            asked=claim.public,
            public=public,
            private=claim.private if ours else None,
            state=state,  # type: ignore[arg-type]
            reason=reason,
            holder=Holder(guest=name, uuid=holder[1], host=holder[0]) if holder else None,
            arrives_as=self.translated.get(public or ""),
            was=self._was(key),
            epoch=self.epochs[public or ""] if ours else 0,
            since=1.0,
        )

    def _was(self, key: Key) -> str | None:
        elsewhere = (claim for other, (_, claim) in self.claims.items() if other[1:] == key[1:])
        found = (one.private for one in elsewhere if one is not self.claims[key][1])
        return None if self.silent else next(found, None)

    def _sight(
        self, key: Key, claim: ClaimMessage, holder: Key | None, name: str
    ) -> tuple[str, str]:
        if claim.leaving and holder != key:
            return "pending", "waits for another host: the guest went there"
        if holder is None:
            return "refused", f"pool {claim.public.split('/')[1]} has no address left"
        if holder == key:
            return ("active", "") if claim.private else ("pending", "waits for the guest's address")
        if holder[1] == key[1]:
            return "pending", f"waits for {holder[0]} to let go"
        return "conflict", f"held by {name} on {holder[0]}"


MESSAGES = {
    ("POST", "/v1/session"): SessionRequest,
    ("PUT", "/v1/claims"): ListRequest,
    ("POST", "/v1/claims"): ReserveRequest,
    ("POST", "/v1/heartbeat"): HeartbeatRequest,
}


class EdgeTransport(httpx.AsyncBaseTransport):
    """The way to a FakeEdge. ``down``: nobody answers; ``lost_answers``: so many requests are
    carried out and their answers lost; ``hung``: requests wait for ever; ``busy``: so many
    are told to come again in a second.
    """

    def __init__(self, edge: FakeEdge) -> None:
        self.edge = edge
        self.down = False
        self.hung = False
        self.lost_answers = 0
        self.busy = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        what = (request.method, request.url.path)
        self.edge.events.append(f"{what[0]} {what[1]}")
        if self.hung:
            await asyncio.Event().wait()
        if self.down:
            raise httpx.ConnectError("connection refused")
        if self.busy:
            self.busy -= 1
            status, body = to_reply(TooManyRequests("too many requests"))
            content, wait = msgspec.json.encode(body), {"retry-after": "1"}
            return httpx.Response(status, content=content, headers=wait)
        try:
            reply = await self._answer(what, request)
        except ZthookError as error:
            status, body = to_reply(error)
            return httpx.Response(status, content=msgspec.json.encode(body))
        if self.lost_answers and what[1] != "/v1/changes":
            self.lost_answers -= 1
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(200, content=msgspec.json.encode(reply))

    async def _answer(self, what: tuple[str, str], request: httpx.Request) -> object:
        host = self.edge.authenticate(request.headers["authorization"].removeprefix("Bearer "))
        if what == ("GET", "/v1/changes"):
            return await self._changes(host, request.url.params)
        message = msgspec.json.decode(request.content, type=MESSAGES[what])
        act = {
            "/v1/session": self.edge.open_session,
            "/v1/heartbeat": self.edge.heartbeat,
            "/v1/claims": self.edge.list_claims if what[0] == "PUT" else self.edge.reserve,
        }[what[1]]
        return act(host, message)  # type: ignore[operator]

    async def _changes(self, host: str, params: httpx.QueryParams) -> ChangesReply:
        session, after = int(params["session"]), int(params["after"])
        while (generation := self.edge.generation(host, session)) <= after:
            self.edge.news.clear()
            await self.edge.news.wait()
            if self.down:
                raise httpx.ReadError("connection reset")
        return ChangesReply(generation=generation)

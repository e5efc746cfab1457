"""The messages of the edge's API, version 1, as both ends read and write them.

Every message after enrolment carries ``session`` (the rising number the edge gave this
agent when it started) and ``sequence`` (rising within it): the edge refuses older ones,
so that a late message changes nothing.

``moment`` in answers is a number that rises whenever any host says where its guests run; 0
is that of an edge that has none. See ``ListRequest.heard``.
"""

import hashlib
from typing import Annotated, Literal

import msgspec

from zthook.wire.hushed import Hushed

Text = Annotated[str, msgspec.Meta(max_length=256)]
Address = Annotated[str, msgspec.Meta(min_length=2, max_length=45)]
Asked = Annotated[str, msgspec.Meta(min_length=2, max_length=96)]
"""An address, or ``auto/POOL/NUMBER`` (POOL may be empty): see ``zthook.model.mappings.Auto``."""
PortText = Annotated[str, msgspec.Meta(min_length=5, max_length=24)]
"""``tcp/80``, ``tcp/80:8080``, ``udp/27000-27100``: see ``zthook.model.publication.PortRange``."""
Prefix = Annotated[str, msgspec.Meta(min_length=2, max_length=49)]
Mac = Annotated[
    str,
    msgspec.Meta(pattern="^(|[0-9a-f]{2}(:[0-9a-f]{2}){5})$", max_length=len("00:00:00:00:00:00")),
]
"""Lower case; empty where it is not known."""
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Uuid = Annotated[
    str, msgspec.Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request's body the edge reads at most: 10,000 claims take 2.5 MB."""
MAX_STRANGERS_BODY = 4096
"""The same of a request without a credential."""
MAX_CLAIMS = 10_000
MAX_PORTS = 256
MAX_ALLOW = 256
"""Port ranges, and prefixes, of one claim."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message someone sends to the edge; unknown fields are refused."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the edge; an older client ignores fields it does not know."""


class EnrolRequest(Hushed, Message, frozen=True):
    """POST /v1/enrol, the only request without a credential: spends a one-time token."""

    secret: Text
    hostname: Text


class EnrolReply(Hushed, Reply, frozen=True):
    """The host's name at the edge, and its credential (shown this once)."""

    host: str
    credential: str


class SessionRequest(Message, frozen=True, omit_defaults=True):
    """POST /v1/session. ``instance`` is random and lasts one agent process.

    ``overlay_mac`` is the host's own on the overlay; empty, or left out: it is no member itself,
    or does not say.
    """

    agent: Text
    instance: Text
    highest_epoch: Number = 0
    overlay_mac: Mac = ""


class PoolView(Reply, frozen=True):
    """A pool as hosts may see it: ranges in the form of edge.toml."""

    name: str
    addresses: list[str]


class SessionReply(Reply, frozen=True):
    """``prefixes``: where this host's private addresses must lie. ``lease_seconds`` > 0.

    ``overlay_mac``: the edge's on the overlay, from which its packets come; empty where it
    does not know. ``version`` is the edge's zthook, empty from one that did not say yet.
    """

    session: int
    host: str
    edge: str
    lease_seconds: float
    prefixes: list[str]
    pools: list[PoolView]
    generation: int
    overlay_mac: str = ""
    version: str = ""
    moment: int = 0


class ClaimMessage(Message, frozen=True, omit_defaults=True):
    """One claim; see ``zthook.model.mappings.Claim``. ``public`` is what is asked for."""

    guest: Uuid
    name: Text
    public: Asked
    private: Address | None = None
    mode: Literal["nat", "routed"] = "nat"
    client: Literal["keep", "hide"] = "keep"
    rewriter: Literal["edge", "host"] = "edge"
    egress: Literal["home", "public"] = "home"
    ports: Annotated[list[PortText], msgspec.Meta(max_length=MAX_PORTS)] = []
    allow: Annotated[list[Prefix], msgspec.Meta(max_length=MAX_ALLOW)] = []
    leaving: bool = False
    epoch: Number = 0


class ListRequest(Message, frozen=True, omit_defaults=True):
    """PUT /v1/claims: everything this host claims now; what it held and left out is withdrawn.

    ``heard`` is the last ``moment`` that the host knew when it began to look at its guests:
    what others said after that may be newer. 0, or left out: it does not say.
    """

    session: Number
    sequence: Number
    claims: Annotated[list[ClaimMessage], msgspec.Meta(max_length=MAX_CLAIMS)]
    heard: Number = 0


class ReserveRequest(Message, frozen=True):
    """POST /v1/claims: claims of one guest, beside whatever else the host claims."""

    session: Number
    sequence: Number
    claims: Annotated[list[ClaimMessage], msgspec.Meta(min_length=1, max_length=256)]


class Holder(Reply, frozen=True):
    """Who has an address: the guest's name and UUID, and its host's name."""

    guest: str
    uuid: str
    host: str


class MappingReply(Reply, frozen=True, omit_defaults=True):
    """What the edge says of one claim. ``since`` is Unix time of the state's last change.

    ``asked`` is the claim's ``public``; here ``public`` is the address, None while none was
    chosen for an ``auto``. ``arrives_as`` is the destination of its packets where a provider
    translates it, else None. ``was`` is the private address that this same guest has, or had,
    on another host: a guest that migrates takes it along, and the host it comes to can not
    see it before it speaks.
    """

    guest: str
    asked: str
    public: str | None
    private: str | None
    state: Literal["active", "pending", "conflict", "refused"]
    reason: str = ""
    holder: Holder | None = None
    arrives_as: str | None = None
    was: str | None = None
    epoch: int = 0
    since: float = 0.0


class ClaimsReply(Reply, frozen=True):
    """Answers to a list or a reservation, in the order of its claims.

    ``pools`` are those that hosts reach through this edge now, whoever may use them.
    """

    generation: int
    mappings: list[MappingReply]
    pools: list[PoolView] = []
    moment: int = 0


class HeartbeatRequest(Message, frozen=True, omit_defaults=True):
    """POST /v1/heartbeat: renews the lease. ``digest`` is that of the last list (see below).

    ``overlay_mac`` as in SessionRequest.
    """

    session: Number
    sequence: Number
    digest: Text = ""
    overlay_mac: Mac = ""


class HeartbeatReply(Reply, frozen=True):
    """``current`` false: the edge does not have that list, send it whole.

    ``fault`` is what somebody at the host should look at, such as a second agent that uses
    its credential. ``overlay_mac`` as in SessionReply.
    """

    generation: int
    current: bool
    fault: str = ""
    overlay_mac: str = ""
    moment: int = 0


class ChangesReply(Reply, frozen=True):
    """GET /v1/changes?session=S&after=G: answered when the generation passes G, or after 25 s."""

    generation: int


class ErrorReply(Reply, frozen=True):
    """The body of every answer that is not 2xx. ``error`` is a name of ``ERRORS``."""

    error: str
    message: str
    hint: str = ""


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises that is not what it should be: msgspec has no type for all of it."""

CHANGES_SECONDS, LONGEST_CHANGES_SECONDS = 25.0, 300.0
"""How long the edge keeps a request for changes open for who does not say, and at most.

Long, as of a thousand hosts each answer without news is work; a connection that is dead meanwhile
is found (``wire.keepalive``), and news by the answers to heartbeats too.
"""


def claims_digest(claims: list[ClaimMessage]) -> str:
    """SHA-256, hex, over the claims in the order of guest and address."""
    ordered = sorted(claims, key=lambda claim: (claim.guest, claim.public))
    return hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()

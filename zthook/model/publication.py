"""What a guest's annotation asks for."""

from dataclasses import dataclass, field
from enum import StrEnum

from zthook.model.addresses import IPAddress, IPNetwork


class Mode(StrEnum):
    """Who translates: the edge (nat) or the host (routed)."""

    NAT = "nat"
    ROUTED = "routed"


class Client(StrEnum):
    """Whether the guest sees the client's own address."""

    KEEP = "keep"
    HIDE = "hide"


class Egress(StrEnum):
    """By which line the guest's own connections leave."""

    HOME = "home"
    PUBLIC = "public"


class Protocol(StrEnum):
    """Transport protocols that have ports."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Public ports ``first`` to ``last`` reach the guest's ports from ``target`` on."""

    protocol: Protocol
    first: int
    last: int
    target: int


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """One ``<zthook:address>``. ``public`` None means ``auto`` from ``pool``.

    ``client`` None means what fits the guest's network; ``private`` None means: find it.
    ``interface`` is a MAC in lower case. ``line`` is where the element begins.
    """

    public: IPAddress | None
    pool: str | None = None
    private: IPAddress | None = None
    mode: Mode = Mode.NAT
    client: Client | None = None
    interface: str | None = None
    egress: Egress = Egress.HOME
    required: bool = False
    ports: tuple[PortRange, ...] = ()
    allow: tuple[IPNetwork, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Publication:
    """A whole ``<zthook:publish>``: at least one address."""

    requests: tuple[AddressRequest, ...]

    @property
    def required(self) -> bool:
        """Whether the guest may not start without its addresses."""
        return any(request.required for request in self.requests)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an annotation: where, what, and what would be right."""

    line: int
    what: str
    right: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}; {self.right}"


def not_supported_yet(request: AddressRequest) -> str | None:
    """Why this version can not carry the request out, or None where it can.

    The agent and the edge both ask: what is not carried out is refused in the open.
    """
    found = [
        word
        for word, asked in (
            ('public="auto"', request.public is None),
            ("an IPv6 public address", request.public is not None and request.public.version == 6),
            (
                "an IPv6 private address",
                request.private is not None and request.private.version == 6,
            ),
            ('mode="routed"', request.mode is Mode.ROUTED),
            ('egress="public"', request.egress is Egress.PUBLIC),
            ("<port>", bool(request.ports)),
            ("<allow>", bool(request.allow)),
        )
        if asked
    ]
    return f"not supported yet: {', '.join(found)}" if found else None

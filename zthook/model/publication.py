"""What a guest's annotation asks for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

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


HIGHEST_PORT = 65535
_PORTS = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Public ports ``first`` to ``last`` reach the guest's ports from ``target`` on."""

    protocol: Protocol
    first: int
    last: int
    target: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``tcp/80``, ``tcp/80:8080`` or ``udp/27000-27100``; target ports count up from ``:T``.

        Raises ValueError, saying what was found, on anything else.
        """
        found = _PORTS.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no port")
        first = int(found[2])
        last = int(found[3] or first)
        target = int(found[4] or first)
        fits = 0 < first <= last <= HIGHEST_PORT and 0 < target <= HIGHEST_PORT - (last - first)
        if not fits:
            raise ValueError(
                f"{text!r} is no port range: ports go from 1 to {HIGHEST_PORT}, upward"
            )
        return cls(Protocol(found[1]), first, last, target)

    def __str__(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        to = "" if self.target == self.first else f":{self.target}"
        return f"{self.protocol}/{span}{to}"

    @property
    def last_target(self) -> int:
        """The guest's port that public port ``last`` reaches."""
        return self.target + self.last - self.first

    def overlaps(self, other: Self) -> bool:
        """Whether any public port is in both."""
        return (
            self.protocol == other.protocol
            and self.first <= other.last
            and other.first <= self.last
        )


Ports = tuple[PortRange, ...]
"""The ports of a mapping; none of them: the whole address, every protocol."""


def in_each_others_way(some: Iterable[PortRange], others: Iterable[PortRange]) -> bool:
    """Whether two mappings of one address can not be there together: a whole address overlaps
    every port of it.
    """
    mine, theirs = tuple(some), tuple(others)
    if not mine or not theirs:
        return True
    return any(one.overlaps(other) for one in mine for other in theirs)


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

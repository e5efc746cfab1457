"""Addresses, ranges of them, and pools."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Self

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

PRIVATE_PREFIXES: tuple[IPNetwork, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),
)
"""RFC 1918 and RFC 4193: where a guest's private address lies unless the host was given others."""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from ``first`` to ``last``, both included and of one family."""

    first: IPAddress
    last: IPAddress

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``A``, ``A-B`` or a prefix ``A/N`` (all its addresses).

        Raises ValueError, saying what was found, on anything else.
        """
        if "/" in text:
            network = ip_network(text.strip())
            return cls(network[0], network[-1])
        first, _, last = (part.strip() for part in text.partition("-"))
        low = ip_address(first)
        high = ip_address(last) if last else low
        if low.version != high.version or int(low) > int(high):
            raise ValueError(f"{text!r} is not a range: its first address must not follow its last")
        return cls(low, high)

    def __contains__(self, address: IPAddress) -> bool:
        return self.first.version == address.version and (
            int(self.first) <= int(address) <= int(self.last)
        )

    @property
    def size(self) -> int:
        """How many addresses; not by ``len``, which can not tell those of an IPv6 prefix."""
        return int(self.last) - int(self.first) + 1

    def __getitem__(self, offset: int) -> IPAddress:
        if not 0 <= offset < self.size:
            raise IndexError(offset)
        return self.first + offset

    def __iter__(self) -> Iterator[IPAddress]:
        return (self.first + offset for offset in range(self.size))

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: Self) -> bool:
        """Whether any address is in both."""
        return other.first in self or self.first in other

    def networks(self) -> list[IPNetwork]:
        """The fewest prefixes that cover exactly this range."""
        return list(summarize_address_range(self.first, self.last))


@dataclass(frozen=True, slots=True)
class Pool:
    """A named range of public addresses on an edge.

    ``arrives_as`` holds, range by range of the same sizes, what the provider's 1:1
    translation makes of them before they reach us; empty where there is none. ``gateways``
    are the uplink's routers where they are given, one of a family at most.
    """

    name: str
    ranges: tuple[AddressRange, ...]
    uplink: str
    arrives_as: tuple[AddressRange, ...] = ()
    gateways: tuple[IPAddress, ...] = ()

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return sum(part.size for part in self.ranges)

    def __contains__(self, public: IPAddress) -> bool:
        return any(public in one for one in self.ranges)

    def arrival(self, public: IPAddress) -> IPAddress:
        """The destination that packets for ``public`` carry when they reach the uplink.

        Raises KeyError where ``public`` is not of this pool.
        """
        if not self.arrives_as and public in self:
            return public
        for outer, inner in zip(self.ranges, self.arrives_as, strict=bool(self.arrives_as)):
            if public in outer:
                return inner[int(public) - int(outer.first)]
        raise KeyError(public)


def pool_of(public: IPAddress, pools: Iterable[Pool]) -> Pool | None:
    """The pool that holds ``public``."""
    for pool in pools:
        if public in pool:
            return pool
    return None

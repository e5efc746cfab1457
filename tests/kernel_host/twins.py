"""Each IPv4 address of these tests has an IPv6 twin: 192.168.122.50 and fd00:192:168:122::50.

So each test is written once, with IPv4 addresses, and tried with both.
"""

import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import GuestRule, HostPlane

FOUR = re.compile(r"\b(\d+)\.(\d+)\.(\d+)\.(\d+)(?:/(8|16|24|32))?")
LENGTHS = {None: "", "8": "/32", "16": "/48", "24": "/64", "32": "/128"}


def six(text: str) -> str:
    """With the twins in place of all IPv4 addresses and prefixes of 8, 16, 24 or 32 bits."""

    def twin(found: re.Match[str]) -> str:
        *octets, length = found.groups()
        return f"{ip_address('fd00:{}:{}:{}::{}'.format(*octets))}{LENGTHS[length]}"

    return FOUR.sub(twin, text)


def four(address: str) -> str:
    """The IPv4 address whose twin it is."""
    _, *middle, _, _, _, last = ip_address(address).exploded.split(":")
    return ".".join(str(int(part)) for part in (*middle, last))


def six_plane(plane: HostPlane) -> HostPlane:
    """The same for the twins."""
    rules = frozenset(map(_rule, plane.rules))
    pools = tuple(
        AddressRange(ip_address(six(str(one.first))), ip_address(six(str(one.last))))
        for one in plane.pools
    )
    return replace(plane, rules=rules, pools=pools)


def _rule(rule: GuestRule) -> GuestRule:
    return replace(
        rule,
        private=ip_address(six(str(rule.private))),
        public=_address(rule.public),
        arrives_as=_address(rule.arrives_as),
        allow=tuple(ip_network(six(str(one))) for one in rule.allow),
    )


def _address(one: IPAddress | None) -> IPAddress | None:
    return None if one is None else ip_address(six(str(one)))

"""Pools as edge.toml writes them, and what makes a set of them right."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import combinations

from zthook.config.reader import Table
from zthook.config.settings import OverlaySettings
from zthook.config.values import DEVICE, matching
from zthook.model.addresses import AddressRange, IPAddress, Pool

POOL_NAME = matching(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "a name of letters, digits, dots, dashes and underscores (63 at most)",
)

_UNUSABLE = tuple(
    AddressRange.parse(prefix)
    for prefix in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)
"""This-network, loopback, multicast and reserved, link-local: nobody's public address."""


@dataclass(frozen=True, slots=True)
class PoolProblem:
    """What is wrong with the pool of that number, and under which of its keys."""

    pool: int
    key: str
    what: str


def read_pools(tables: Sequence[Table], overlay: OverlaySettings) -> tuple[Pool, ...]:
    """The pools of ``[[pool]]`` tables; what is wrong is noted in their document."""
    pools = [_read_pool(table) for table in tables]
    for table, pool in zip(tables, pools, strict=True):
        if pool.uplink and pool.uplink == overlay.interface:
            table.complain("uplink", f"is {pool.uplink}, which is the overlay: name another device")
    well_written = not any(table.faulty for table in tables)
    for problem in pool_problems(pools) if well_written else ():
        tables[problem.pool].complain(problem.key, problem.what)
    return tuple(pools)


def _read_pool(table: Table) -> Pool:
    name = table.require("name", POOL_NAME, "", 'name = "hk"')
    if "addresses" not in table:
        table.complain("addresses", 'is missing: addresses = ["203.0.113.10-203.0.113.14"]')
    ranges = tuple(table.elements("addresses", address_range))
    uplink = table.require("uplink", DEVICE, "", 'the interface toward the internet, "eth0"')
    arrives_as = tuple(table.elements("arrives_as", address_range))
    none: tuple[IPAddress, ...] = ()
    gateways = table.take("gateway", gateways_of, none)
    table.close()
    return Pool(name, ranges, uplink, arrives_as, gateways)


def gateways_of(value: object) -> tuple[IPAddress, ...]:
    """An address, or an array of one for each family.

    Raises ValueError, completing "it must be".
    """
    written = value if isinstance(value, list) else [value]
    found = tuple(map(_gateway, written))
    if not found or len({one.version for one in found}) < len(found):
        raise ValueError("one address, or an array of one for each family")
    return found


def _gateway(value: object) -> IPAddress:
    wanted = 'a router\'s address, as in "203.0.113.1", or an array of one for each family'
    if not isinstance(value, str) or "%" in value:
        raise ValueError(wanted)
    try:
        found = ip_address(value)
    except ValueError as error:
        raise ValueError(wanted) from error
    link_local = found.version == 6 and found.is_link_local
    if not link_local and any(found in unusable for unusable in _UNUSABLE):
        raise ValueError(wanted)
    return found


def address_range(value: object) -> AddressRange:
    """``A``, ``A-B`` or ``A/N``, of addresses that can be somebody's.

    Raises ValueError, completing "it must be".
    """
    wanted = '"A", "A-B" or "A/N" with addresses'
    if not isinstance(value, str) or "%" in value:
        raise ValueError(wanted)
    try:
        found = AddressRange.parse(value)
    except ValueError as error:
        raise ValueError(_nearest_prefix(value) or f"{wanted} ({error})") from error
    if any(found.overlaps(unusable) for unusable in _UNUSABLE):
        raise ValueError("unicast addresses, none of them loopback, link-local or reserved")
    return found


def _nearest_prefix(text: str) -> str | None:
    """The prefix that was probably meant, where host bits are the only thing wrong."""
    try:
        return f'"{ip_network(text, strict=False)}" for the whole prefix, or "A" for one address'
    except ValueError:
        return None


def pool_problems(pools: Sequence[Pool]) -> list[PoolProblem]:
    """What is wrong with pools that are each well written."""
    problems = []
    for number, pool in enumerate(pools):
        problems += [PoolProblem(number, "addresses", what) for what in _own_overlaps(pool)]
        if pool.arrives_as and not _same_shape(pool.ranges, pool.arrives_as):
            what = "must have range by range the same sizes and families as addresses"
            problems.append(PoolProblem(number, "arrives_as", what))
        problems += [PoolProblem(number, "gateway", what) for what in _given_away(pool, pools)]
    for (_, one), (later, other) in combinations(enumerate(pools), 2):
        problems += [PoolProblem(later, key, what) for key, what in _clashes(one, other)]
    return problems


def _same_shape(ranges: Sequence[AddressRange], others: Sequence[AddressRange]) -> bool:
    return [(one.first.version, one.size) for one in ranges] == [
        (other.first.version, other.size) for other in others
    ]


def _own_overlaps(pool: Pool) -> list[str]:
    return [
        f"has {one} and {other}, which overlap"
        for one, other in combinations(pool.ranges, 2)
        if one.overlaps(other)
    ]


def _given_away(pool: Pool, pools: Sequence[Pool]) -> list[str]:
    """Its routers whose addresses are to be guests'."""
    return [
        f"is {gateway}, which pool {other.name!r} gives away: leave it out of {part}"
        for gateway in pool.gateways
        for other in pools
        for part in other.arrives_as or other.ranges
        if gateway in part
    ]


def _clashes(one: Pool, other: Pool) -> list[tuple[str, str]]:
    clashes = []
    if one.name and one.name == other.name:
        clashes.append(("name", f"{one.name!r} is taken by an earlier pool"))
    clashes += [
        ("addresses", f"has {theirs}, which overlaps {ours} of pool {one.name!r}")
        for ours in one.ranges
        for theirs in other.ranges
        if ours.overlaps(theirs)
    ]
    clashes += [
        ("gateway", f"is {theirs}, and pool {one.name!r} says {ours} for {one.uplink}")
        for ours in one.gateways
        for theirs in other.gateways
        if one.uplink == other.uplink and ours.version == theirs.version and ours != theirs
    ]
    if one.arrives_as or other.arrives_as:
        clashes += [
            ("arrives_as", f"{theirs} overlaps {ours}, as which those of {one.name!r} arrive")
            for ours in one.arrives_as or one.ranges
            for theirs in other.arrives_as or other.ranges
            if ours.overlaps(theirs)
        ]
    return clashes

"""Why a claim can not be granted at all, whoever else wants the address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from zthook.kernel.protected import Served
from zthook.model.addresses import (
    PRIVATE_PREFIXES,
    IPAddress,
    IPNetwork,
    Pool,
    pool_of,
)
from zthook.model.mappings import Auto, Claim, Rewriter
from zthook.model.publication import Client, Mode, Ports
from zthook.store.rows import HostRow


@dataclass(frozen=True, slots=True)
class Ground:
    """The edge as it is now: its pools, the addresses that it must keep (with why, in words
    that follow "it is"), and every prefix that is on-link (the overlay's too).

    ``hides6``: it has, or may yet have, an IPv6 address on the overlay to hide clients
    behind. ``served`` is not part of what makes two grounds differ: any program's socket is.
    """

    pools: tuple[Pool, ...]
    protected: Mapping[IPAddress, str]
    connected: tuple[IPNetwork, ...]
    hides6: bool = True
    served: frozenset[Served] = field(default=frozenset(), compare=False)


def private_prefixes(host: HostRow, connected: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Where this host's guests must have their private addresses."""
    if host.prefixes is not None:
        return tuple(ip_network(prefix) for prefix in host.prefixes)
    left: list[IPNetwork] = list(PRIVATE_PREFIXES)
    for taken in connected:
        left = [part for prefix in left for part in _less(prefix, taken)]
    return tuple(sorted(left, key=lambda prefix: (prefix.version, int(prefix.network_address))))


def _less(prefix: IPNetwork, taken: IPNetwork) -> list[IPNetwork]:
    if prefix.version != taken.version or not prefix.overlaps(taken):
        return [prefix]
    if prefix.prefixlen >= taken.prefixlen:
        return []
    return list(prefix.address_exclude(taken))  # type: ignore[arg-type]


def may_use(host: HostRow, pools: Iterable[Pool]) -> list[Pool]:
    """The pools that this host's guests may have addresses of, in the order of edge.toml."""
    return [pool for pool in pools if not host.pools or pool.name in host.pools]


def objection(
    claim: Claim,
    public: IPAddress | None,
    host: HostRow,
    prefixes: Iterable[IPNetwork],
    ground: Ground,
) -> str:
    """Why ``claim`` is refused, or "".

    ``public`` is what it names or was given, None while an ``auto`` has none. ``prefixes``
    are the host's (``private_prefixes``). What the edge serves is ``served_objection``'s.
    """
    return (
        _public_objection(claim, public, host, ground)
        or _family_objection(claim, public)
        or _hiding_objection(claim, public, ground)
        or _private_objection(claim, prefixes, ground)
    )


def _public_objection(claim: Claim, public: IPAddress | None, host: HostRow, ground: Ground) -> str:
    allowed = may_use(host, ground.pools)
    if public is None:
        return _pool_objection(claim, host, ground)
    pool = pool_of(public, allowed)
    if pool is None:
        beyond = pool_of(public, ground.pools)
        if beyond is not None:
            return f"{public} is of pool {beyond.name}, which {host.name} may not use"
        return f"{public} is outside every pool of {host.name} (pools: {_names(allowed)})"
    arrives_as = pool.arrival(public)
    why = ground.protected.get(arrives_as)
    if why is None:
        return ""
    which = "it" if arrives_as == public else f"it arrives as {arrives_as}, which"
    return f"{public} stays the edge's own: {which} is {why}"


def _pool_objection(claim: Claim, host: HostRow, ground: Ground) -> str:
    """Why no address can be chosen for an ``auto``."""
    named = claim.public.pool if isinstance(claim.public, Auto) else ""
    allowed = may_use(host, ground.pools)
    if named and named not in {pool.name for pool in ground.pools}:
        return f"this edge has no pool {named} (pools: {_names(ground.pools)})"
    if named and named not in {pool.name for pool in allowed}:
        return f"{host.name} may not use pool {named} (pools: {_names(allowed)})"
    return "" if allowed else f"{host.name} may use no pool of this edge"


def _names(pools: Iterable[Pool]) -> str:
    return ", ".join(pool.name for pool in pools) or "none"


def _family_objection(claim: Claim, public: IPAddress | None) -> str:
    if public is None:
        return ""
    private = claim.private
    if private is not None and private.version != public.version:
        return f"{private} and {public} are not of one version of IP: a mapping's addresses are"
    if claim.allow and not any(source.version == public.version for source in claim.allow):
        return f"no <allow> is of the version of IP of {public}, so nobody could reach it"
    return ""


def _hiding_objection(claim: Claim, public: IPAddress | None, ground: Ground) -> str:
    if claim.client is not Client.HIDE or claim.rewriter is not Rewriter.EDGE:
        return ""
    if claim.mode is Mode.ROUTED:
        return 'client="hide" at the edge needs mode="nat": in mode routed it translates nothing'
    if public is not None and public.version == 6 and not ground.hides6:
        return (
            f'client="hide" at the edge needs an IPv6 address of its own on the overlay for '
            f"{public}, and it has none"
        )
    return ""


def _private_objection(claim: Claim, prefixes: Iterable[IPNetwork], ground: Ground) -> str:
    private = claim.private
    if private is None or claim.mode is Mode.ROUTED:
        return ""  # what is routed is sent to its host by the public address
    if not any(private in prefix for prefix in prefixes):
        listed = ", ".join(str(prefix) for prefix in prefixes) or "none"
        return f"{private} is outside the private prefixes of its host at the edge ({listed})"
    if private in ground.protected:
        return f"{private} can be no guest's: it is {ground.protected[private]}"
    near = next((str(one) for one in ground.connected if private in one), None)
    if near is not None:
        # Also inside prefixes that the owner gave the host: other hosts' overlay addresses are.
        return f"{private} is on a network that the edge itself is on ({near})"
    pool = pool_of(private, ground.pools)
    return f"{private} is a public address of pool {pool.name}" if pool is not None else ""


def served_objection(ports: Ports, public: IPAddress, ground: Ground) -> str:
    """Why these ports of an address stay the edge's: it has the address, and serves them."""
    pool = pool_of(public, ground.pools)
    arrives_as = pool.arrival(public) if pool is not None else public
    if not ports or ip_network(arrives_as) not in ground.connected:
        return ""
    for one in sorted(ground.served, key=lambda served: (served.protocol, served.port)):
        if _is_at(one.address, arrives_as) and _covers(ports, one):
            return f"{one.protocol}/{one.port} is served by the edge itself, which has {arrives_as}"
    return ""


def _is_at(listening: IPAddress, address: IPAddress) -> bool:
    """Whether what listens there is reached by ``address``: ``::`` takes IPv4 too, mostly."""
    if listening.is_unspecified:
        return listening.version == 6 or address.version == 4
    return listening == address


def _covers(ports: Ports, served: Served) -> bool:
    return any(
        one.protocol is served.protocol and one.first <= served.port <= one.last for one in ports
    )

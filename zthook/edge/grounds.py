"""Why a claim can not be granted at all, whoever else wants the address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from zthook.model.addresses import (
    PRIVATE_PREFIXES,
    IPAddress,
    IPNetwork,
    Pool,
    pool_of,
)
from zthook.model.mappings import Auto, Claim
from zthook.model.publication import Egress, Mode
from zthook.store.rows import HostRow


@dataclass(frozen=True, slots=True)
class Ground:
    """The edge as it is now: its pools, the addresses that it must keep (with why, in words
    that follow "it is"), and every prefix that is on-link (the overlay's too).
    """

    pools: tuple[Pool, ...]
    protected: Mapping[IPAddress, str]
    connected: tuple[IPNetwork, ...]


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


def objection(claim: Claim, host: HostRow, prefixes: Iterable[IPNetwork], ground: Ground) -> str:
    """Why ``claim`` is refused, or "". ``prefixes`` are the host's (``private_prefixes``)."""
    reason = _not_supported_yet(claim)
    if reason or isinstance(claim.public, Auto):
        return reason
    return _public_objection(claim.public, host, ground) or _private_objection(
        claim.private, prefixes, ground
    )


def _not_supported_yet(claim: Claim) -> str:
    public = claim.public
    found = [
        word
        for word, asked in (
            ('public="auto"', isinstance(public, Auto)),
            ("an IPv6 public address", not isinstance(public, Auto) and public.version == 6),
            ("an IPv6 private address", claim.private is not None and claim.private.version == 6),
            ('mode="routed"', claim.mode is Mode.ROUTED),
            ('egress="public"', claim.egress is Egress.PUBLIC),
            ("<port>", bool(claim.ports)),
            ("<allow>", bool(claim.allow)),
        )
        if asked
    ]
    return f"not supported yet: {', '.join(found)}" if found else ""


def _public_objection(public: IPAddress, host: HostRow, ground: Ground) -> str:
    allowed = [pool for pool in ground.pools if not host.pools or pool.name in host.pools]
    pool = pool_of(public, allowed)
    if pool is None:
        beyond = pool_of(public, ground.pools)
        if beyond is not None:
            return f"{public} is of pool {beyond.name}, which {host.name} may not use"
        names = ", ".join(pool.name for pool in allowed) or "none"
        return f"{public} is outside every pool of {host.name} (pools: {names})"
    arrives_as = pool.arrival(public)
    why = ground.protected.get(arrives_as)
    if why is None:
        return ""
    which = "it" if arrives_as == public else f"it arrives as {arrives_as}, which"
    return f"{public} stays the edge's own: {which} is {why}"


def _private_objection(
    private: IPAddress | None, prefixes: Iterable[IPNetwork], ground: Ground
) -> str:
    if private is None:
        return ""
    if not any(private in prefix for prefix in prefixes):
        listed = ", ".join(str(prefix) for prefix in prefixes) or "none"
        return f"{private} is outside the private prefixes of its host at the edge ({listed})"
    if private in ground.protected:
        return f"{private} is the edge's own: it is {ground.protected[private]}"
    near = next((str(one) for one in ground.connected if private in one), None)
    if near is not None:
        # Also inside prefixes that the owner gave the host: other hosts' overlay addresses are.
        return f"{private} is on a network that the edge itself is on ({near})"
    pool = pool_of(private, ground.pools)
    return f"{private} is a public address of pool {pool.name}" if pool is not None else ""

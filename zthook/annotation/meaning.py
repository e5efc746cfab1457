"""What a well-formed annotation may still get wrong: all that publish.rng can not say.

In full: the kinds of addresses, families that do not go together, a hidden client in routed
mode, one address twice, port ranges that are reversed, overlap, or run past 65535, and
prefixes with host bits.
"""

from collections.abc import Iterable, Iterator

from zthook.annotation.values import Wrong
from zthook.model.addresses import IPAddress
from zthook.model.publication import AddressRequest, Client, Mode, PortRange


def unusable(address: IPAddress) -> Wrong | None:
    """Why no guest can have ``address`` and nobody can reach it."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    if mapped:
        return Wrong("is IPv4 in IPv6's clothes", f"write {mapped}")
    kinds = (
        (address.is_unspecified, "the unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_multicast, "a multicast address"),
        (address.is_link_local, "a link-local address"),
        (address.version == 4 and address.is_reserved, "a reserved address"),
        (address.version == 4 and int(address) < 2**24, "a this-network address (0.0.0.0/8)"),
    )
    found = [name for holds, name in kinds if holds]
    return Wrong(f"is {found[0]}", "write an address that one machine can have") if found else None


def contradictions(request: AddressRequest) -> Iterator[Wrong]:
    """What does not go together within one address; each ``what`` is a whole sentence."""
    if request.mode is Mode.ROUTED and request.client is Client.HIDE:
        what = 'client="hide" is of mode="nat": with "routed" the guest sees the client'
        yield Wrong(what, 'leave client out, or write mode="nat"')
    own = request.public or request.private
    if own is None:
        return
    if request.private is not None and request.private.version != own.version:
        yield Wrong(
            f'public="{own}" is IPv{own.version}, private="{request.private}" is not',
            f"write an IPv{own.version} address for both, or leave private out",
        )
    for network in request.allow:
        if network.version != own.version:
            yield Wrong(
                f'source="{network}" never reaches {own}: it is IPv{network.version}',
                f"write an IPv{own.version} prefix, or leave this <allow> out",
            )


def reversed_range(first: int, last: int) -> Wrong | None:
    """What is wrong with a range that ends before it begins."""
    return Wrong("is reversed", f"write {last}-{first}") if last < first else None


def past_the_end(ports: PortRange) -> Wrong | None:
    """What is wrong with a target from which so many ports do not fit."""
    count = ports.last - ports.first
    if ports.target + count <= 65535:
        return None
    right = f"write {65535 - count} or less, so that {count + 1} ports fit"
    return Wrong("and the ports after it run past 65535", right)


def overlapping(ports: Iterable[PortRange]) -> Iterator[tuple[PortRange, PortRange]]:
    """Pairs of ranges of one protocol that have a port in common: a later and an earlier one."""
    furthest: PortRange | None = None
    for one in sorted(ports, key=lambda one: (one.protocol, one.first, one.last)):
        if furthest and furthest.protocol == one.protocol and one.first <= furthest.last:
            yield one, furthest
            furthest = max(furthest, one, key=lambda either: either.last)
        else:
            furthest = one

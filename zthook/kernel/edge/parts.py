"""Parts of an address: which ports of it, for which clients; its names, and who shares it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from zthook.kernel.edge.sets import family_of
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Forwarding
from zthook.model.publication import PortRange


def grouped(
    some: Iterable[Forwarding], by: Callable[[Forwarding], IPAddress]
) -> Mapping[IPAddress, list[Forwarding]]:
    """The mappings of each address."""
    found: dict[IPAddress, list[Forwarding]] = defaultdict(list)
    for one in some:
        found[by(one)].append(one)
    return found


def known_as(one: Forwarding, arriving: Collection[IPAddress]) -> set[IPAddress]:
    """What it is addressed as: on the uplink, and from inside, where no provider translates.

    What arrives for another mapping under that very address is the other's.
    """
    if one.public == one.arrives_as or one.public in arriving:
        return {one.arrives_as}
    return {one.arrives_as, one.public}


def is_whole(one: Forwarding) -> bool:
    """Whether all of the address is the guest's, for everybody."""
    return not one.ports and clients_of(one) is None


def clients_of(one: Forwarding) -> tuple[str, ...] | None:
    """The clients that may, as nft lists prefixes that do not overlap; None for everybody.

    Prefixes of the other family allow nobody.
    """
    if not one.allow:
        return None
    if one.private.version == 4:
        four = collapse_addresses(p for p in one.allow if isinstance(p, IPv4Network))
        found: tuple[IPv4Network | IPv6Network, ...] = tuple(four)
    else:
        six = collapse_addresses(p for p in one.allow if isinstance(p, IPv6Network))
        found = tuple(six)
    if any(prefix.prefixlen == 0 for prefix in found):
        return None
    return tuple(_listed(prefix) for prefix in found)


def _listed(prefix: IPv4Network | IPv6Network) -> str:
    single = prefix.prefixlen == prefix.max_prefixlen
    return str(prefix.network_address if single else prefix)


def is_range(ports: PortRange) -> bool:
    """Whether they are several that are the same for client and guest."""
    return ports.first != ports.last and ports.first == ports.target


def port_elements(one: Forwarding, public: IPAddress) -> Iterator[tuple[str, str]]:
    """The translation of each port, and that the guest's may be reached, be it by everybody.

    A range of translated ports is an element for each: a map can not shift a range.
    """
    s, private = family_of(one.private).suffix, one.private
    kinds = ("ports", "open_ports") if clients_of(one) is None else ("ports",)
    for ports in one.ports:
        protocol = str(ports.protocol)
        if is_range(ports):
            span = f"{ports.first}-{ports.last}"
            yield f"inward_ranges{s}", f"{public} . {protocol} . {span} : {private}"
            yield f"port_ranges{s}", f"{public} . {private} . {protocol} . {span}"
            continue
        for port, target in zip(
            range(ports.first, ports.last + 1),
            range(ports.target, ports.last_target + 1),
            strict=True,
        ):
            yield f"inward_ports{s}", f"{public} . {protocol} . {port} : {private} . {target}"
            for kind in kinds:
                yield f"{kind}{s}", f"{public} . {private} . {protocol} . {target}"

"""What the settings and the devices are in the edge's table."""

from collections.abc import Iterable

from zthook.kernel.edge.ground import Surroundings
from zthook.kernel.edge.rules import asks_for_ipv6, is_known
from zthook.kernel.edge.sets import CLOSED6, IPV4, IPV6, Elements, Family
from zthook.kernel.host.rules import quoted
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane

ETHERNET_MTU = 1500


def names(devices: Iterable[str]) -> frozenset[str]:
    """Device names as elements. Raises KernelError for one that no device can have."""
    return frozenset(map(quoted, devices))


def crossing_elements(uplinks: Iterable[str], overlay: Iterable[str]) -> frozenset[str]:
    """Which rules packets meet that go from one device to another; of devices as elements."""
    ways = [(u, o) for u in uplinks for o in overlay]
    return frozenset(
        [f"{u} . {o} : goto to_guests" for u, o in ways]
        + [f"{o} . {u} : goto from_guests" for u, o in ways]
        + [f"{o} . {o} : goto between_members" for o in overlay]
    )


def closed6_elements(*, closed: bool) -> frozenset[str]:
    """Whether IPv6 is forwarded for mappings alone."""
    return frozenset({"ipv6"} if closed else ())


def mss_elements(overlay: str, mtu: int, of: Family = IPV4) -> frozenset[str]:
    """The clamp of an overlay that carries less than Ethernet does."""
    return frozenset({f"{quoted(overlay)} : {mtu - of.headers}"} if mtu < ETHERNET_MTU else ())


def own_elements(overlay: str, address: IPAddress) -> frozenset[str]:
    """The edge's address on the overlay."""
    return frozenset({f"{quoted(overlay)} : {address}"})


def pool_elements(ranges: Iterable[AddressRange], version: int = 4) -> frozenset[str]:
    """Ranges that neither overlap nor touch: as nft takes them, and lists them."""
    found: list[AddressRange] = []
    some = (one for one in ranges if one.first.version == version)
    for one in sorted(some, key=lambda one: int(one.first)):
        if found and int(one.first) <= int(found[-1].last) + 1:
            last = max(found[-1].last, one.last, key=int)
            found[-1] = AddressRange(found[-1].first, last)
        else:
            found.append(one)
    return frozenset(map(str, found))


def member_elements(prefixes: Iterable[IPNetwork], version: int = 4) -> frozenset[str]:
    """The overlay's own prefixes, but link-local ones, which are never forwarded."""
    return pool_elements(
        (AddressRange(one[0], one[-1]) for one in prefixes if not one.is_link_local), version
    )


def static_elements(plane: EdgePlane, around: Surroundings, before: Elements) -> Elements:
    """What the static sets must hold. What is not known now stays as it is ``before``."""
    overlay = before.get("overlay", frozenset())
    if is_known(plane.overlay):
        overlay = names([plane.overlay])
    uplinks = names((plane.uplinks | around.default_devices) - {plane.overlay})
    found = {
        "uplinks": uplinks,
        "overlay": overlay,
        "doors": uplinks | overlay,
        "crossings": crossing_elements(uplinks, overlay),
        "closed": frozenset() if around.routes_anyway else names(plane.uplinks) | overlay,
        CLOSED6: closed6_elements(closed=around.closed6),
        "api_ports": frozenset({str(plane.api_port)}),
    }
    for of in (IPV4, IPV6) if asks_for_ipv6(plane) else (IPV4,):
        found |= _of_family(of, plane, around, before)
    return found


def _of_family(
    of: Family, plane: EdgePlane, around: Surroundings, before: Elements
) -> dict[str, frozenset[str]]:
    s, version, device = of.suffix, of.version, around.overlay
    own = plane.overlay_address if of is IPV4 else plane.overlay_address6
    found = {
        f"pool{s}": pool_elements(plane.pool_ranges, version),
        f"own{s}": before.get(f"own{s}", frozenset()),
    }
    if own is not None and is_known(plane.overlay):
        found[f"own{s}"] = own_elements(plane.overlay, own)
    if device is None:
        found |= {f"{n}{s}": before.get(f"{n}{s}", frozenset()) for n in ("mss", "members")}
    else:
        found[f"mss{s}"] = mss_elements(device.name, device.mtu, of)
        found[f"members{s}"] = member_elements(around.on_link.get(device.name, ()), version)
    both = found[f"pool{s}"] | found[f"members{s}"]
    found[f"near{s}"] = pool_elements(map(AddressRange.parse, both), version)
    return found

"""What IPv6 must be on both kernels after a storm, by the store alone, as the kernels list it.

None of it is asked of the code that put it there.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tests.faults.ground import CONFIGURED6, EDGE_MAC, OVERLAY, UPLINK, Ground, Place
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode

FAR = "2001:db8:200::"
"""What a router sends to the edge begins with this; all else is of the uplink's own network."""
OURS = "123"
SETTINGS = ("all/proxy_ndp", f"{UPLINK}/proxy_ndp")
LOOKS = (
    f"-6 -j route show table all proto {OURS}",
    "-6 -j rule show",
    "-6 -j neigh show proxy",
    "-6 -j neigh show nud permanent",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a kernel has of ours: routes as "destination via device table", proxied addresses,
    permanent neighbours as "address MAC", tables of policy rules, forwarding, and of the table
    what is in these sets (``closed`` or ``closed6``, and the private addresses).
    """

    routes: frozenset[str]
    proxied: frozenset[str]
    pinned: frozenset[str]
    ruled: frozenset[str]
    forwards: bool
    closed: bool
    guests: frozenset[str]


def look(place: Place, table: str, closed: str, guests: str = "") -> Seen:
    """See all of it. ``guests`` names the set of private addresses, where there is one."""
    script = "; ".join(f"ip {one} || exit; echo ," for one in LOOKS)
    said = place.namespace.run("sh", "-c", f"echo [; {script}; echo 0]").stdout
    routes, rules, proxies, neighbours, _ = _read(said)
    return Seen(
        routes=frozenset(map(_route, routes)),
        proxied=frozenset(one["dst"] for one in proxies),
        pinned=frozenset(
            f"{one['dst']} {one['lladdr']}" for one in neighbours if one["dev"] == OVERLAY
        ),
        ruled=frozenset(str(one["table"]) for one in rules if one.get("protocol") == OURS),
        forwards=setting(place, "all/forwarding") == "1",
        closed="ipv6" in elements(place, table, closed),
        guests=frozenset(elements(place, table, guests)) if guests else frozenset(),
    )


def _read(said: str) -> list[Any]:
    """ip prints nothing at all where there is nothing to list."""
    found: list[Any] = json.loads(re.sub(r"(?<=[\[,])\s*(?=,)", "[]", said))
    return found


def _route(one: dict[str, Any]) -> str:
    kind = one.get("type", "unicast")
    via = one.get("gateway", "on-link" if kind == "unicast" else kind)
    return f"{one['dst']} {via} {one.get('table', 'main')}"


def setting(place: Place, path: str) -> str:
    """One below /proc/sys/net/ipv6/conf."""
    return place.namespace.run("cat", f"/proc/sys/net/ipv6/conf/{path}").stdout.strip()


def elements(place: Place, table: str, name: str) -> list[str]:
    """Those of a set of ours; none where there is none."""
    words = ("nft", "-j", "list", "set", "inet", table, name)
    done = place.namespace.run(*words, check=False)
    if done.returncode:
        return []
    listed = json.loads(done.stdout)["nftables"]
    some = next(one["set"].get("elem", []) for one in listed if "set" in one)
    return [one["elem"]["val"] if isinstance(one, dict) else one for one in some]


def link_local(place: Place) -> str:
    """The address that its overlay's device gave itself."""
    words = ("ip", "-6", "-j", "addr", "show", "dev", OVERLAY, "scope", "link")
    [device] = json.loads(place.namespace.run(*words).stdout)
    return next(str(one["local"]) for one in device["addr_info"] if one)  # {} for other scopes


def edge_amiss(ground: Ground, mappings: Collection[Forwarding], *, forgot: bool) -> Iterator[str]:
    """On the edge. ``forgot``: nobody can know any more that it was no router."""
    some = [one for one in mappings if one.public.version == 6]
    places = {place.address: place for place in ground.hosts.values()}
    hops = {one.next_hop: link_local(places[one.next_hop]) for one in some}
    seen = look(ground.edge, "zthook", "closed6")
    yield from _differ("the edge's routes", seen.routes, _edge_routes(some, hops))
    proxied = {str(one.public) for one in some if _is_proxied(one)}
    yield from _differ("proxied on the edge", seen.proxied, proxied)
    pinned = {f"{hops[one.next_hop]} {places[one.next_hop].mac}" for one in some}
    yield from _differ("pinned on the edge", seen.pinned, pinned)
    before = [one for one in some if one.mode is Mode.ROUTED and one.public == CONFIGURED6]
    yield from _differ("the edge's policy rules", seen.ruled, {"12310"} if before else set())
    if not forgot and (seen.forwards, seen.closed) != (bool(some), bool(some)):
        yield f"the edge forwards: {seen.forwards}, closed: {seen.closed}, for {len(some)} mappings"
    if some and not seen.forwards:
        yield "the edge does not forward IPv6"
    if some and [setting(ground.edge, path) for path in SETTINGS] != ["1", "1"]:
        yield "the edge does not answer for IPv6 addresses"


def _edge_routes(some: Iterable[Forwarding], hops: dict[Any, str]) -> set[str]:
    found = set()
    for one in some:
        by_host = hops[one.next_hop]
        if one.mode is Mode.ROUTED:
            table = "12310" if one.public == CONFIGURED6 else "main"
            found.add(f"{one.public} {by_host} {table}")
            continue
        found.add(f"{one.private} {by_host} main")
        if _is_near(one):
            found.add(f"{one.public} on-link main")
    return found


def _is_near(one: Forwarding) -> bool:
    return one.public != CONFIGURED6 and not str(one.public).startswith(FAR)


def _is_proxied(one: Forwarding) -> bool:
    return _is_near(one) or (one.public == CONFIGURED6 and one.mode is Mode.ROUTED)


def host_amiss(ground: Ground, name: str, privates: Iterable[str]) -> Iterator[str]:
    """On a host that has these guests' addresses mapped."""
    wanted = {one for one in privates if ip_address(one).version == 6}
    seen, hop = (
        look(ground.hosts[name], "zthook_host", "closed", "guests6"),
        link_local(ground.edge),
    )
    routes = {f"default {hop} 12300", "default blackhole 12300", f"default {hop} 12301"}
    yield from _differ(f"{name}'s guests", seen.guests, wanted)
    yield from _differ(f"{name}'s routes", seen.routes, routes if wanted else set())
    yield from _differ(f"pinned on {name}", seen.pinned, {f"{hop} {EDGE_MAC}"} if wanted else set())
    ruled = {"12300", "12301", "main"} if wanted else set()
    yield from _differ(f"{name}'s policy rules", seen.ruled, ruled)
    if wanted and not seen.forwards:
        yield f"{name} does not forward IPv6"


def _differ(what: str, found: Collection[str], wanted: Collection[str]) -> Iterator[str]:
    if set(found) != set(wanted):
        yield f"{what}: {set(found) - set(wanted)} too much, {set(wanted) - set(found)} lacking"

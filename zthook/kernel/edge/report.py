"""A full pass's repairs in words."""

from collections.abc import Collection, Iterable
from itertools import islice

from zthook.kernel.edge.elements import less
from zthook.kernel.edge.plan import Seen, Steps
from zthook.kernel.edge.rules import FAMILY, TABLE
from zthook.kernel.edge.sets import LED, SPECS, Elements, parts_of, public_of
from zthook.kernel.edge.uplinks import MOST, without_router
from zthook.kernel.neighbours import ProxyEntry
from zthook.model.mappings import EdgePlane

MOST_LINES = 20
"""Of one kind: the first pass after a reboot may have thousands."""


def repairs(seen: Seen, steps: Steps) -> list[str]:
    """One line for each thing that was not as it should be, and what was done."""
    withdraw, grant = steps.withdraw, steps.grant
    added = {*_publics(less(withdraw.add, seen.elements)), *_publics(grant.add)}
    removed = {*_publics(withdraw.delete), *_publics(grant.delete)}
    settings = [f"{k} was {seen.settings[k]}: set to {v}" for k, v in steps.settings.items()]
    refilled = () if withdraw.rules else withdraw.refill
    kinds: tuple[tuple[str, Collection[object]], ...] = (
        ("{}", _rules(seen, steps)),
        ("set {} was refilled", refilled),
        ("mapping of {} is nobody's: removed", removed - added),
        ("mapping of {} was not as it should be: set", added & removed),
        ("mapping of {} was missing: added", added - removed),
        ("{}", () if added or removed else _led(seen, steps)),
        ("{}", () if added or removed else _chains(steps)),
        ("{} is no mapping's: removed", steps.rules_gone),
        ("{} was missing: added", steps.rules_new),
        ("route {} is no mapping's: removed", steps.routes_gone),
        ("route {} was missing: added", steps.routes_new),
        ("neighbour {} is no mapping's: removed", steps.pinned_gone),
        ("neighbour {} was missing: added", steps.pinned_new),
        ("answering {} was on: stopped", [*map(_asked, steps.proxies_gone)]),
        ("answering {} was off: started", [*map(_asked, steps.proxies_new)]),
        ("{}", settings),
    )
    return [line for said, some in kinds for line in _lines(said, some)]


def _asked(entry: ProxyEntry) -> str:
    return f"{'ARP' if entry.address.version == 4 else 'solicitations'} for {entry.address}"


def _rules(seen: Seen, steps: Steps) -> list[str]:
    if not steps.withdraw.rules:
        return []
    if seen.labels is None:
        return [f"table {FAMILY} {TABLE} was missing: loaded"]
    return [f"the rules of table {FAMILY} {TABLE} were not this version's: replaced"]


def _chains(steps: Steps) -> list[str]:
    """Where mappings come or go it needs no saying that there are rules for their kind."""
    names = ", ".join(one.name for one in steps.withdraw.chains)
    return [f"the rules of {names} were others: replaced"] if names else []


def _led(seen: Seen, steps: Steps) -> set[str]:
    """What leaves by another uplink now, of mappings that are as they were."""
    withdraw, grant = steps.withdraw, steps.grant
    changes = (less(withdraw.add, seen.elements), withdraw.delete, grant.delete, grant.add)
    led = (one for some in changes for name in LED for one in some.get(name, ()))
    return {f"the uplink of {parts_of(one)[0]} was another: set" for one in led}


def _publics(elements: Elements) -> set[str]:
    found = (
        public_of(name, one) for name, some in elements.items() if name in SPECS for one in some
    )
    return {public for public in found if public is not None}


def waiting(plane: EdgePlane, seen: Seen) -> list[str]:
    """A line where mappings lack their routes, as the overlay's device is away."""
    if seen.around.overlay is not None or not plane.forwardings:
        return []
    name, count = plane.overlay or "of the overlay", len(plane.forwardings)
    return [f"the device {name} is away: the routes of {count} mappings wait for it"]


def misled(plane: EdgePlane, seen: Seen) -> tuple[str, ...]:
    """A line for each uplink whose addresses are answered by another one, and why."""
    ways, defaults = seen.around.ways, seen.around.defaults
    unknown = (
        f"the router of uplink {uplink} is not known: what is asked there is answered by {other};"
        " write gateway into the [[pool]] in edge.toml"
        for uplink, other in without_router(plane, defaults)
    )
    beyond = (
        f"the uplink {uplink} is one too many: {MOST} can have routers of their own, it is"
        " answered for by the default route"
        for uplink in (sorted(plane.uplinks)[MOST:] if ways else ())
    )
    return (*unknown, *beyond)


def _lines(said: str, some: Collection[object]) -> Iterable[str]:
    """A line for each, of many for a few of them."""
    lines = sorted(said.format(one) for one in islice(some, MOST_LINES + 1))
    yield from lines[:MOST_LINES]
    if len(some) > MOST_LINES:
        yield f"and {len(some) - MOST_LINES} more like: {lines[MOST_LINES]}"

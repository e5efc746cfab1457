"""A full pass's repairs in words."""

from collections.abc import Iterable

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
    kinds = (
        _rules(seen, steps),
        [] if withdraw.rules else [f"set {name} was refilled" for name in sorted(withdraw.refill)],
        sorted(f"mapping of {public} is nobody's: removed" for public in removed - added),
        sorted(f"mapping of {public} was not as it should be: set" for public in added & removed),
        sorted(f"mapping of {public} was missing: added" for public in added - removed),
        [] if added or removed else sorted(_led(seen, steps)),
        sorted(f"{rule} is no mapping's: removed" for rule in steps.rules_gone),
        sorted(f"{rule} was missing: added" for rule in steps.rules_new),
        sorted(f"route {route} is no mapping's: removed" for route in steps.routes_gone),
        sorted(f"route {route} was missing: added" for route in steps.routes_new),
        sorted(f"neighbour {one} is no mapping's: removed" for one in steps.pinned_gone),
        sorted(f"neighbour {one} was missing: added" for one in steps.pinned_new),
        sorted(f"answering {_asked(e)} was on: stopped" for e in steps.proxies_gone),
        sorted(f"answering {_asked(e)} was off: started" for e in steps.proxies_new),
        sorted(f"{k} was {seen.settings[k]}: set to {v}" for k, v in steps.settings.items()),
    )
    return [line for lines in kinds for line in _shortened(lines)]


def _asked(entry: ProxyEntry) -> str:
    return f"{'ARP' if entry.address.version == 4 else 'solicitations'} for {entry.address}"


def _rules(seen: Seen, steps: Steps) -> list[str]:
    if not steps.withdraw.rules:
        return []
    if seen.labels is None:
        return [f"table {FAMILY} {TABLE} was missing: loaded"]
    return [f"the rules of table {FAMILY} {TABLE} were not this version's: replaced"]


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


def _shortened(lines: list[str]) -> Iterable[str]:
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"and {len(lines) - MOST_LINES} more like: {lines[MOST_LINES]}"

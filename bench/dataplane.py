"""What the edge's dataplane costs a packet and a connection, beside routers and today's rules.

All edges are there at the same time, and each round measures each of them once, in an order of
its own. A figure is the median of the rounds; a ratio is the median of the rounds' own ratios,
so that what slows the machine down for a while counts in none.
"""

import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.lanes import Lane, Target, lane
from bench.settings import (
    HIDE,
    KEEP,
    KINDS,
    PLAIN,
    ROUTED,
    Setting,
    by_iptables,
    following,
    maps_alone,
    ours,
    routing,
    untracked_alone,
)
from bench.talk import Talk, talking
from bench.traffic import Traffic, one_core

ROUTING, FOLLOWING = "plain routing", "routing with conntrack"
SIZES = (1, 1_000, 10_000, 65_000)
NAMES = {KEEP: "nat, keep", HIDE: "nat, hide", ROUTED: "routed"}
FLOWS, CONNECTIONS, PACKETS, MANY, TALKS, BYTES = 4_096, 1_024, 2_048, 1_024, 256, 1 << 26
"""What is sent in one go, of each measure; MANY are the flows that share the PACKETS."""
FEWEST = 64
FRAMES = "frames at both ends, ns of one core for its whole way"
SOCKETS = "sockets at both ends, ns of one core for client, edge and guest"
NEW_FLOWS = f"A packet that begins a flow (UDP); {FRAMES}"
CONNECTING = f"A short TCP connection of 8 packets; {FRAMES}"
ONE_FLOW = f"A packet of one established flow (UDP), half of them each way; {FRAMES}"
MANY_FLOWS = f"A packet of {MANY:,} established flows (UDP), half each way; {FRAMES}"
TALKING = f"A short TCP connection; {SOCKETS}"
BULK = f"A kilobyte of one TCP stream; {SOCKETS}"
UNITS = {BULK: 1e9 * 1024}

Measures = Mapping[str, Callable[[], float]]
"""By table; each returns seconds."""
Timings = dict[str, dict[str, list[float]]]
"""Seconds by table and way, one for each round."""


@dataclass(frozen=True, slots=True)
class Way:
    """What is measured of one setting; the same ``setting`` is the same edge.

    ``slowness``: by this much less is sent in one go. ``more``: also established connections.
    """

    name: str
    setting: Setting
    target: Target
    slowness: int = 1
    more: bool = False


def ways() -> list[Way]:
    """All, in the order of the tables."""
    found = [
        Way(ROUTING, routing, PLAIN, more=True),
        Way(FOLLOWING, following, PLAIN, more=True),
        Way("maps alone, keep", maps_alone, KEEP, more=True),
        Way("maps alone, hide", maps_alone, HIDE, more=True),
        Way("notrack alone", untracked_alone, ROUTED, more=True),
        *(Way(f"1: {NAMES[one]}", ours(1, one), one, more=True) for one in KINDS),
    ]
    for size in SIZES[1:]:
        setting, more = ours(size, *KINDS), size == SIZES[-1]
        found += [Way(f"{size:,}: {NAMES[one]}", setting, one, more=more) for one in KINDS]
    for size in SIZES:
        name = f"{size:,}: two iptables rules a guest"
        found.append(Way(name, by_iptables(size), KEEP, max(1, size // 100), more=size == 1))
    return found


def run(rounds: int) -> Iterator[str]:
    """Measure in half as many ``rounds``, at least five: the tables."""
    some, everything = max(5, rounds // 2), ways()
    more = [way for way in everything if way.more]
    timings: Timings = {}
    with ExitStack() as stack:
        lanes: dict[Setting, Lane] = {}
        for way in everything:
            if way.setting not in lanes:
                lanes[way.setting] = stack.enter_context(lane(len(lanes)))
                way.setting(lanes[way.setting])
        with one_core():
            frames = {way.name: _frames(lanes[way.setting], way) for way in everything}
            _rounds(frames, some, timings)
            for setting in {way.setting: None for way in more}:
                lanes[setting].speak(*(way.target for way in more if way.setting is setting))
            talks = ((w.name, talking(lanes[w.setting], w.target)) for w in more)
            sockets = {name: _sockets(stack.enter_context(talk)) for name, talk in talks}
            _rounds(sockets, max(5, some // 3), timings)
    yield from (_table(title, found) for title, found in timings.items())


def _frames(lane: Lane, way: Way) -> Measures:
    traffic = Traffic(lane, way.target)
    traffic.check(FEWEST)
    flows, connections = (max(FEWEST, n // way.slowness) for n in (FLOWS, CONNECTIONS))
    found: dict[str, Callable[[], float]] = {
        NEW_FLOWS: lambda: traffic.flows(flows),
        CONNECTING: lambda: traffic.connections(connections),
    }
    if way.more:
        found[ONE_FLOW] = lambda: traffic.established(PACKETS, 1)
        found[MANY_FLOWS] = lambda: traffic.established(PACKETS, MANY)
    return found


def _sockets(talk: Talk) -> Measures:
    return {TALKING: lambda: talk.connections(TALKS), BULK: lambda: talk.bulk(BYTES)}


def _rounds(ways: Mapping[str, Measures], count: int, timings: Timings) -> None:
    """Measure all of them so often, after a round that only pays for caches."""
    names = list(ways)
    for number in range(count + 1):
        for name in random.sample(names, len(names)):
            for title, measure in ways[name].items():
                seconds = measure()
                if number:
                    table = timings.setdefault(title, {n: [] for n in names if title in ways[n]})
                    table[name].append(seconds)


def _table(title: str, timings: Mapping[str, Sequence[float]]) -> str:
    width, unit = max(map(len, timings)), UNITS.get(title, 1e9)
    ratios = "cost of plain routing  speed of conntrack"
    lines = [f"\n{title}", f"{'':<{width}}  {'median (lowest to highest)':^32}  {ratios}"]
    for name, seconds in timings.items():
        low, median, high = (f"{one(seconds) * unit:,.0f}" for one in (min, statistics.median, max))
        cost, speed = _ratio(seconds, timings[ROUTING]), _ratio(timings[FOLLOWING], seconds)
        figures = f"{median:>9} ({low} to {high})"
        lines.append(f"{name:<{width}}  {figures:<32}  {cost:20.2f}x  {speed:17.3f}x")
    return "\n".join(lines)


def _ratio(seconds: Iterable[float], others: Iterable[float]) -> float:
    """The median of the rounds' own."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))

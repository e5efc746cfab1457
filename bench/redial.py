"""How long a redial of the home line keeps edge and host apart, at real zerotier-ones."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.overlay.real_zerotier import BINARY, World, world
from tests.overlay.redials import SetUp, pulse, speaking, throughput

REST = 25.0
"""Between two redials: the address before counts as alive for 19 s."""


def run(rounds: int) -> Iterator[str]:
    """A line for each way in which both are set up."""
    if not BINARY:
        yield "redial: not measured, $ZEROTIER_ONE names no zerotier-one"
        return
    yield f"A redial, seconds without an answer: median / worst of {rounds}"
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as found:
        yield from _lines(found, "as ZeroTier does it", rounds, speaks=False)
        set_up = SetUp(found, Path(folder))
        set_up.look_at_host()
        set_up.settle()
        set_up.wait_for("active-backup")
        yield from _lines(found, "set up, nothing restarted", rounds, speaks=True)
        set_up.restart()
        yield from _lines(found, "set up, both restarted", rounds, speaks=True)


def _lines(found: World, what: str, rounds: int, *, speaks: bool) -> Iterator[str]:
    bits = throughput(found.edge, found.host, found.network)
    yield f"{what}, TCP from edge to host: {bits / 1e9:.2f} Gbit/s"
    for asker, server, who in (
        (found.host, found.edge, "the host asks"),
        (found.edge, found.host, "the edge asks, the host is quiet"),
    ):
        gaps = []
        with (
            pulse(asker, server, found.network) as asking,
            speaking(found.host, found.edge.address(found.network), on=speaks),
        ):
            for _ in range(rounds):
                time.sleep(REST)
                gaps.append(asking.gap(found.line))
        yield f"{what}, {who}: {median(gaps):.2f} / {max(gaps):.2f}"

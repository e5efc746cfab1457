"""Whether what shall cost the same beside one mapping and beside thousands does.

Shapes alone: ratios within one run, of CPU time, with margins so wide that no busy machine comes
near them. How fast it is, benchmarks tell.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from bench.dataplane import NAMES
from bench.lanes import Lane, Target, inside, lane
from bench.settings import (
    FIRST_PRIVATE,
    FIRST_PUBLIC,
    KEEP,
    KINDS,
    Setting,
    by_iptables,
    forwarding_of,
    ours,
    plane_of,
)
from bench.stored import FIRST_PRIVATE as PRIVATE
from bench.stored import FIRST_PUBLIC as PUBLIC
from bench.traffic import Traffic, one_core
from tests.edge.world import SETTINGS, Agent, Edge, uuid
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.model.addresses import AddressRange, Pool
from zthook.store.sqlite import SqliteLedger
from zthook.wire.messages import ClaimMessage

pytestmark = pytest.mark.netns

FEW, MANY, TYPED = 10, 8_000, 1_000
ROUNDS, FLOWS = 7, 512
FLAT = 2.0
"""What costs this many times as much beside MANY is not flat. A walk over them all is seen from
about 0.2 µs each on, as a grant takes a millisecond and a half by itself.
"""
STEEP = 3.0
"""What does depend on how many there are costs more than this: else this sees nothing."""


def medians(asked: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Each in turn, so that what slows the machine down meets all; a first round fills caches."""
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(ROUNDS + 1):
        for name, measure in asked.items():
            took = measure()
            if number:
                seconds[name].append(took)
    return {name: statistics.median(some) for name, some in seconds.items()}


def taking(act: Callable[[], object]) -> float:
    """Seconds of CPU."""
    begun = time.thread_time()
    act()
    return time.thread_time() - begun


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_a_new_flow_costs_the_same_beside_thousands(stack: ExitStack) -> None:
    settings: dict[str, Setting] = {
        "few": ours(FEW, *KINDS),
        "many": ours(MANY, *KINDS),
        "typed, few": by_iptables(FEW),
        "typed, many": by_iptables(TYPED),
    }
    lanes = {name: stack.enter_context(lane(n)) for n, name in enumerate(settings)}
    for name, setting in settings.items():
        setting(lanes[name])
    targets: dict[tuple[str, Target], Lane] = {
        (name, target): lanes[name] for name in ("few", "many") for target in KINDS
    }
    targets |= {(name, KEEP): lanes[name] for name in ("typed, few", "typed, many")}
    asked: dict[str, Callable[[], float]] = {}
    for (name, target), where in targets.items():
        traffic = Traffic(where, target)
        traffic.check(64)
        asked[f"{name}: {NAMES[target]}"] = lambda traffic=traffic: traffic.flows(FLOWS)
    with one_core():
        found = medians(asked)
    for target in KINDS:
        ratio = found[f"many: {NAMES[target]}"] / found[f"few: {NAMES[target]}"]
        assert ratio < FLAT, (NAMES[target], found)
    assert found[f"typed, many: {NAMES[KEEP]}"] / found[f"typed, few: {NAMES[KEEP]}"] > STEEP


def test_a_change_costs_the_kernel_the_same_beside_thousands(stack: ExitStack) -> None:
    asked: dict[str, Callable[[], float]] = {}
    for number, size in enumerate((FEW, MANY)):
        changed = Changed(stack.enter_context(lane(number)), size)
        stack.callback(changed.close)
        asked[f"grant beside {size}"] = changed.grant
        asked[f"look beside {size}"] = changed.look
    found = medians(asked)
    assert found[f"grant beside {MANY}"] / found[f"grant beside {FEW}"] < FLAT, found
    assert found[f"look beside {MANY}"] / found[f"look beside {FEW}"] > STEEP, found


class Changed:
    """An edge in a lane with so many mappings. What is measured runs in there as well."""

    def __init__(self, where: Lane, size: int) -> None:
        self._where = where
        self._plane = plane_of(size, *KINDS)
        with inside(where.edge):
            self._dataplane = KernelEdgeDataplane()
            self._dataplane.apply(self._plane)

    def grant(self) -> float:
        """One mapping more, which goes again."""
        one = forwarding_of(KEEP, FIRST_PUBLIC + 2 * MANY, FIRST_PRIVATE + 2 * MANY)
        with inside(self._where.edge):
            took = taking(lambda: self._dataplane.change(grant=[one]))
            self._dataplane.change(withdraw=[one])
        return took

    def look(self) -> float:
        """At everything, as the first time."""
        with inside(self._where.edge), closing(KernelEdgeDataplane()) as anew:
            return taking(lambda: anew.apply(self._plane))

    def close(self) -> None:
        self._dataplane.close()


def test_a_claim_is_decided_at_the_same_cost_beside_thousands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool("hk", (AddressRange(PUBLIC, PUBLIC + 2**15),), "up0")
    asked: dict[str, Callable[[], float]] = {}
    for size in (FEW, MANY):
        edge = Edge(SqliteLedger(tmp_path / f"{size}"), settings=replace(SETTINGS, pools=(pool,)))
        full, speaker = edge.host("home1"), edge.host("home2")
        for first in range(0, size, 100):
            full.reserve(*(claim(one) for one in range(first, min(first + 100, size))))
        # The fake copies all that it has; what a kernel's change costs is measured above.
        monkeypatch.setattr(edge.kernel, "change", lambda **_: None)
        asked[f"claim beside {size}"] = lambda speaker=speaker: claiming(speaker)
        asked[f"all beside {size}"] = lambda edge=edge: taking(edge.service.mappings)
    found = medians(asked)
    assert found[f"claim beside {MANY}"] / found[f"claim beside {FEW}"] < FLAT, found
    assert found[f"all beside {MANY}"] / found[f"all beside {FEW}"] > STEEP, found


def claim(number: int) -> ClaimMessage:
    return ClaimMessage(
        guest=uuid(number + 1),
        name=f"guest{number}",
        public=str(PUBLIC + number),
        private=str(PRIVATE + number),
    )


def claiming(speaker: Agent) -> float:
    """One claim more, and it is given back."""
    took = taking(lambda: speaker.reserve(claim(2 * MANY)))
    assert [one.state for one in speaker.last_heard] == ["active"]
    assert speaker.list().mappings == []
    return took

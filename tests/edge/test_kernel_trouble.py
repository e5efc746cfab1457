"""A kernel that refuses, a full disk, a daemon that dies: nothing is lost, no lie is told."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from tests.edge.trouble import TroubledLedger
from tests.edge.world import OVERLAY, Edge, FakeInside, uuid
from zthook.edge.passes import SHARE
from zthook.errors import KernelError, StoreError
from zthook.kernel.edge.fake import Crash
from zthook.kernel.links import DefaultRoute
from zthook.model.clock import ManualClock
from zthook.store.memory import MemoryLedger
from zthook.store.rows import Standing
from zthook.wire.messages import ClaimMessage

T = TypeVar("T")
P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"
REASON = "waits for the edge's kernel: no buffer space"


def test_a_grant_that_the_kernel_refuses_is_pending_with_its_reason(edge: Edge) -> None:
    agent = edge.host("home1")
    edge.service.tick()
    edge.kernel.refuse = True
    said = agent.claim(1, P, X)
    assert (said.state, said.reason) == ("pending", REASON)
    assert edge.service.status().kernel == "no buffer space"
    edge.woken.clear()
    edge.kernel.refuse = False
    edge.service.tick()
    assert edge.state(P, "home1") == "active"
    assert edge.woken == ["home1"]


def test_nobody_is_granted_what_the_kernel_has_not_let_go(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.kernel.refuse = True
    one.unclaim(1, P)
    assert edge.state(P, "home1") == "withdrawn"
    assert edge.state(P, "home2") == "conflict"
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}
    edge.kernel.refuse = False
    edge.service.tick()
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}
    assert (P, "home1") not in edge.mappings()


def test_who_claims_again_while_the_kernel_lets_go_keeps_its_claim(edge: Edge) -> None:
    agent = edge.host("home1")
    epoch = agent.claim(1, P, X).epoch
    edge.kernel.refuse = True
    agent.unclaim(1, P)
    agent.claim(1, P, X)
    edge.kernel.refuse = False
    edge.service.tick()
    assert edge.state(P, "home1") == "active"
    assert edge.mappings()[P, "home1"].epoch > epoch


def test_hosts_are_told_also_where_a_pass_fails_as_a_change_did_before(edge: Edge) -> None:
    """Then nothing is known of mappings that were active until now, and nothing else changed."""
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    edge.kernel.refuse = True
    two.claim(2, Q, Y)
    assert edge.state(P, "home1") == "active"
    edge.woken.clear()
    edge.service.tick()
    assert edge.state(P, "home1") == "pending"
    assert "home1" in edge.woken


def test_a_flush_is_repaired_with_the_next_tick_and_counted(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    edge.inside.flush()
    edge.service.tick()
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}
    drift = edge.service.status().drift
    assert drift.repaired == len(drift.last) > 0
    assert drift.last_at == edge.clock.now()


def test_an_uplink_whose_router_is_not_known_is_said_once_and_shown(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    edge.host("home1").claim(1, P, X)
    assert edge.service.status().misled == []
    kernel = edge.inside.kernel
    others, kernel.defaults = kernel.defaults, [DefaultRoute(4, "wan9", None)]
    for _ in range(2):
        edge.advance(3)
    [line] = edge.service.status().misled
    assert line.startswith("the router of uplink up0 is not known: ")
    assert [record.message for record in caplog.records].count(line) == 1
    kernel.defaults = others
    edge.advance(3)
    assert edge.service.status().misled == []


def test_what_we_change_ourselves_is_no_drift(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.advance(3)
    agent.unclaim(1, P)
    edge.advance(3)
    assert edge.service.status().drift.repaired == 0


def test_a_restart_of_the_edges_daemon_changes_nothing_in_the_kernel(edge: Edge) -> None:
    assert isinstance(edge.inside, FakeInside)
    edge.host("home1").claim(1, P, X)
    before = list(edge.inside.kernel.steps)
    edge.boot()
    assert edge.inside.kernel.steps == before
    assert edge.state(P, "home1") == "active"


def test_after_a_reboot_of_the_edge_the_store_brings_everything_back(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    edge.inside = FakeInside()
    edge.kernel.inside = edge.inside
    edge.boot()
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_death_at_any_change_of_the_kernel_is_repaired_at_start(
    edge: Edge, step: int, before: bool
) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.kernel.dies_in, edge.kernel.dies_before = step, before
    with pytest.raises(Crash):
        one.unclaim(1, P)
    edge.boot()
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}
    assert edge.state(P, "home2") == "active"
    assert not edge.ledger.claims(Standing.LEAVING)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_death_at_any_commit_is_repaired_too(step: int, before: bool) -> None:
    ledger = TroubledLedger(MemoryLedger())
    edge = Edge(ledger.as_ledger)
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    ledger.dies_in, ledger.dies_before = step, before
    with pytest.raises(Crash):
        one.unclaim(1, P)
    edge.boot()
    heard = step == 1 or not before
    assert edge.reached() == ({P: f"{Y} via 10.147.0.12"} if heard else {P: f"{X} via 10.147.0.11"})


@pytest.mark.parametrize("step", [0, 1])
def test_a_full_disk_is_an_error_and_loses_nothing(step: int) -> None:
    ledger = TroubledLedger(MemoryLedger())
    edge = Edge(ledger.as_ledger)
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    ledger.fails_in = step
    with pytest.raises(StoreError, match="disk full"):
        one.unclaim(1, P)
    assert edge.state(P, "home1") == ("active" if step == 0 else "withdrawn")
    edge.advance(3)
    one.list()
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}


def test_a_lease_that_ends_on_a_full_disk_ends_when_there_is_room() -> None:
    ledger = TroubledLedger(MemoryLedger())
    edge = Edge(ledger.as_ledger)
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.advance(50)
    two.heartbeat()
    edge.clock.advance(11)
    ledger.fails_in = 0
    with pytest.raises(StoreError):
        edge.service.tick()
    edge.service.tick()
    assert edge.state(P, "home2") == "active"


def test_what_the_kernel_tells_right_after_a_slow_pass_is_not_forgotten(edge: Edge) -> None:
    """It is too soon then for another pass, and the kernel tells only once."""
    edge.host("home1").claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    kernel = edge.inside.kernel
    edge.kernel.takes = lambda: edge.clock.work(1)
    edge.advance(10)
    kernel.routes.clear()
    kernel.touch()
    edge.service.tick()
    assert edge.reached() == {}, "a pass follows another at a distance"
    edge.advance(1)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_on_a_busy_machine_passes_are_as_frequent_as_on_a_quiet_one(edge: Edge) -> None:
    """Others have the cores for a second of each pass: what only a pass sees is back in time."""
    edge.host("home1").claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    kernel = edge.inside.kernel
    edge.kernel.takes = lambda: edge.clock.advance(1)
    edge.advance(10)
    answered = set(kernel.proxies)
    kernel.proxies.clear()
    edge.advance(edge.settings.resync_seconds)
    assert kernel.proxies == answered != set()
    kernel.flush()
    edge.service.tick()
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_a_pass_waits_for_many_times_what_the_one_before_cost(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    kernel = edge.inside.kernel
    edge.kernel.takes = lambda: edge.clock.work(1)
    edge.advance(10)
    kernel.proxies.clear()
    edge.advance(SHARE - 1)
    assert not kernel.proxies
    edge.advance(1)
    assert kernel.proxies


def test_a_pass_that_changed_much_says_nothing_of_what_the_next_look_costs(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    kernel = edge.inside.kernel
    edge.advance(10)
    edge.kernel.takes = lambda: edge.clock.work(1)
    kernel.flush()
    edge.advance(10)
    assert kernel.proxies, "put right by a pass of a second"
    kernel.proxies.clear()
    edge.advance(edge.settings.resync_seconds)
    assert kernel.proxies
    kernel.proxies.clear()
    edge.advance(SHARE - 1)
    assert not kernel.proxies, "whoever removes it for ever does not keep the edge at work"
    edge.advance(1)
    assert kernel.proxies


class ByThread(ManualClock):
    """Of which each thread spends its own CPU time, as the machine's does."""

    def __init__(self) -> None:
        super().__init__()
        self._of = Counter[int]()

    def spent(self) -> float:
        return self._of[threading.get_ident()]

    def work(self, seconds: float) -> None:
        self._of[threading.get_ident()] += seconds
        self.advance(seconds)


class Aside:
    """What is done aside is in another thread, and what comes meanwhile takes five seconds."""

    def __init__(self, clock: ByThread) -> None:
        self.clock = clock

    def aside(self, act: Callable[[], T]) -> T:
        with ThreadPoolExecutor(1) as pool:
            doing = pool.submit(act)
            self.pause()
            return doing.result()

    def pause(self) -> None:
        self.clock.work(5)


def test_what_a_look_costs_aside_counts_and_what_came_meanwhile_does_not(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    kernel, clock = edge.inside.kernel, ByThread()
    edge.clock, edge.turns = clock, Aside(clock)
    edge.boot()
    edge.kernel.takes = lambda: clock.work(1)
    edge.advance(10)
    kernel.proxies.clear()
    edge.advance(SHARE - 1)
    assert not kernel.proxies
    edge.advance(1)
    assert kernel.proxies


def test_while_the_overlay_is_away_nothing_is_active_and_nothing_torn_down(edge: Edge) -> None:
    """ZeroTier's daemon restarts: connections live on, so what translates them stays."""
    agent = edge.host("home1")
    agent.claim(1, P, X)
    assert isinstance(edge.inside, FakeInside)
    device = edge.inside.kernel.lose_overlay()
    edge.overlay = None
    edge.service.tick()
    view = edge.mappings()[P, "home1"]
    assert (view.state, view.reason) == ("pending", "waits for the edge's overlay, which is down")
    assert edge.service.status().overlay is None
    assert edge.inward() == {P: X}
    edge.inside.kernel.device = device
    edge.inside.kernel.touch()
    edge.overlay = OVERLAY
    edge.service.tick()
    assert edge.state(P, "home1") == "active"
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_an_edge_that_starts_before_its_overlay_waits_for_it() -> None:
    edge = Edge()
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.inside = FakeInside()
    edge.inside.kernel.device, edge.overlay = None, None
    edge.kernel.inside = edge.inside
    edge.boot()
    assert edge.state(P, "home1") == "pending"
    edge.inside.kernel.device = edge.overlay = OVERLAY
    edge.service.tick()
    assert edge.state(P, "home1") == "active"


def test_a_removed_host_is_out_also_when_the_kernel_does_not_let_go(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.kernel.refuse = True
    with pytest.raises(KernelError, match="home1 is out, but"):
        edge.service.remove_host("home1")
    assert edge.service.hosts() == []
    edge.kernel.refuse = False
    edge.service.tick()
    assert edge.reached() == {}
    assert edge.ledger.hosts() == []


def test_a_host_that_comes_back_on_a_full_disk_gets_what_it_waits_for_later() -> None:
    ledger = TroubledLedger(MemoryLedger())
    edge = Edge(ledger.as_ledger)
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    for _ in range(4):
        edge.advance(20)
        one.heartbeat()
    one.unclaim(1, P)
    ledger.fails_in = 0
    with pytest.raises(StoreError):
        two.heartbeat()
    edge.advance(3)
    assert edge.state(P, "home2") == "active"


def test_a_claim_costs_the_same_with_many_mappings_present(edge: Edge) -> None:
    """Counted, not timed: the rows that are read on the way of a reservation."""
    agent = edge.host("home1")
    claim = ClaimMessage(guest=uuid(1), name="web1", public=P, private=X)
    agent.reserve(claim)
    few = _rows_read(edge, lambda: agent.reserve(claim))
    for number in range(4):
        agent.claim(10 + number, f"198.51.100.{number}", f"192.168.123.{number}")
    agent.claim(9, Q, Y)
    agent.reserve(claim)
    assert _rows_read(edge, lambda: agent.reserve(claim)) == few > 0


def _rows_read(edge: Edge, act: Callable[[], object]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        counted = [0]
        for name in ("claim", "claims", "claims_on", "claims_of", "claims_using"):
            patch.setattr(edge.ledger, name, _counting(getattr(edge.ledger, name), counted))
        act()
    return counted[0]


def _counting(look: Callable[..., Any], counted: list[int]) -> Callable[..., Any]:
    def look_and_count(*args: object) -> Any:
        found = look(*args)
        counted[0] += len(found) if isinstance(found, list) else 1
        return found

    return look_and_count

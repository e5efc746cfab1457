"""A host that is away: how long its addresses are its own. An edge that is away: nothing ends."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import enrol, forget, set_leases
from tests.end_to_end.seen import (
    Stopwatch,
    answering,
    edge_host,
    edge_says,
    host_status,
    wait_answering,
    wait_why,
)
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

PUBLIC = "203.0.113.10"
LEASE, GRACE = 5.0, 3.0
BEAT = LEASE / 3
"""Between two heartbeats of a host, so a lease has between LEASE - BEAT and LEASE to go."""
TOLD = 2.0
"""From the end of a lease until what follows from it is so: the edge looks twice a second."""


@pytest.fixture(scope="module")
def homes() -> Iterator[Lab]:
    """Two hosts, and an edge whose leases are short."""
    with Lab() as lab:
        lab.edge.daemon.init()
        set_leases(lab, LEASE, GRACE)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        yield lab


@pytest.fixture(scope="module")
def guests(homes: Lab) -> Iterator[tuple[Guest, Guest]]:
    """web1 on home1, which names PUBLIC, and web2 on home2, which names nothing yet."""
    both = (
        homes["home1"].stand_in("web1", annotation=annotation(PUBLIC)),
        homes["home2"].stand_in("web2"),
    )
    for guest in both:
        guest.start()
    for guest in both:
        guest.wait_ready()
    yield both
    for guest in both:
        forget(guest)


@pytest.fixture
def held(homes: Lab, guests: tuple[Guest, Guest]) -> Iterator[Lab]:
    """web1 has PUBLIC, and nobody waits for it; the tests leave it so."""
    homes["home1"].agent.wait_state("web1", "active")
    wait_answering(homes, PUBLIC, "web1")
    yield homes
    homes.mend_overlay("home1")
    homes["home2"].agent("unassign", "web2", PUBLIC, check=False)
    homes["home1"].agent.wait_state("web1", "active")


def let_wait(lab: Lab) -> None:
    """web2 wants PUBLIC too."""
    said = lab["home2"].agent("assign", "web2", PUBLIC, check=False)
    assert "held by web1 on home1" in said.stdout + said.stderr
    wait_why(lab["home2"], "web2", "conflict", "held by web1 on home1")


def epoch(lab: Lab, guest: str = "web1") -> int:
    """The fencing number of a guest's hold of PUBLIC."""
    rows = lab.edge.daemon.asked("mappings")
    (held,) = [row for row in rows if (row["public"], row["guest"]) == (PUBLIC, guest)]
    return int(held["epoch"])


def wait_lease(lab: Lab, name: str, lease: str, deadline_seconds: float = LEASE + TOLD) -> None:
    """Return once `zthook edge host list` says so of the host's lease."""
    wait_until(
        lambda: edge_host(lab, name)["lease"] == lease,
        deadline_seconds,
        lambda: f"the lease of {name} is {lease}; it is {edge_host(lab, name)}",
    )


def test_the_address_of_a_dead_host_goes_to_who_waits_when_its_lease_ends_and_not_before(
    held: Lab,
) -> None:
    let_wait(held)
    held.cut_overlay("home1")
    dead = Stopwatch()
    wait_answering(held, PUBLIC, "web2", LEASE + TOLD)
    waited = dead.tell(f"the host is dead (lease {LEASE:g} s) until the waiting guest answers")
    assert waited >= LEASE - BEAT - 0.5, "the lease's time was not over"
    assert edge_says(held, PUBLIC) == [
        ("web2", "home2", "active", ""),
        ("web1", "home1", "conflict", "held by web2 on home2"),
    ]

    held.mend_overlay("home1")
    back = Stopwatch()
    wait_why(held["home1"], "web1", "conflict", "held by web2 on home2")
    back.tell("the dead host is back until its status names the new holder")
    assert answering(held, PUBLIC) == "web2", "who comes back takes nothing away"

    held["home2"].agent("unassign", "web2", PUBLIC)
    freed = Stopwatch()
    wait_answering(held, PUBLIC, "web1")
    freed.tell("the new holder let go until the one before has it again")


def test_without_anybody_waiting_the_lease_may_end_and_the_host_come_back_and_keep_everything(
    held: Lab,
) -> None:
    before = epoch(held)
    with held.client.stream(PUBLIC) as transfer:
        transfer.wait_moves()
        held.cut_overlay("home1")
        wait_lease(held, "home1", "ended")
        assert [says[2] for says in edge_says(held, PUBLIC)] == ["active"]
        held.mend_overlay("home1")
        wait_lease(held, "home1", "live")
        transfer.wait_moves()
        assert transfer.stop() > 0
    assert epoch(held) == before, "it never had another holder"


def test_after_the_grace_the_address_is_withdrawn_and_a_host_that_returns_has_it_again(
    held: Lab,
) -> None:
    held.cut_overlay("home1")
    dead = Stopwatch()
    wait_until(
        lambda: edge_says(held, PUBLIC) == [],
        LEASE + GRACE + TOLD,
        lambda: f"it is withdrawn; there is {edge_says(held, PUBLIC)}",
    )
    waited = dead.tell(f"the host is dead (lease and grace {LEASE + GRACE:g} s) until withdrawn")
    assert waited >= LEASE + GRACE - BEAT - 0.5
    assert "192.168.122." not in held.edge.run("nft", "list", "table", "inet", "zthook").stdout
    assert "192.168.122." not in held.edge.run("ip", "route").stdout

    held.mend_overlay("home1")
    back = Stopwatch()
    wait_answering(held, PUBLIC, "web1")
    back.tell("the host is back until its guest answers")


def test_a_restart_of_the_edges_daemon_gives_an_absent_host_a_full_period(held: Lab) -> None:
    let_wait(held)
    held.cut_overlay("home1")
    held.edge.daemon.kill()
    absent = Stopwatch()
    wait_until(lambda: absent.seconds > LEASE / 2, LEASE, "half of the lease is over")
    held.edge.daemon.start()
    started = Stopwatch()
    wait_lease(held, "home2", "live")
    assert edge_says(held, PUBLIC)[0][:3] == ("web1", "home1", "active")
    wait_answering(held, PUBLIC, "web2", LEASE + TOLD)
    waited = started.tell(f"the daemon is ready until the waiting guest answers ({LEASE:g} s)")
    assert waited >= LEASE - 1, "the daemon was ready a moment after the period began"


def test_a_withdrawal_that_comes_after_the_address_went_to_another_changes_nothing(
    held: Lab, guests: tuple[Guest, Guest]
) -> None:
    home1, web1 = held["home1"], guests[0]
    let_wait(held)
    home1.agent.hang()
    web1.virsh("metadata", "--live", "--uri", "urn:zthook:1", "--remove")
    wait_answering(held, PUBLIC, "web2", LEASE + TOLD)
    with held.client.stream(PUBLIC) as transfer:
        transfer.wait_moves()
        before = epoch(held, "web2")
        home1.agent.resume()
        wait_lease(held, "home1", "live")
        wait_until(
            lambda: edge_says(held, PUBLIC) == [("web2", "home2", "active", "")],
            10,
            lambda: f"home1 withdrew what it had: {edge_says(held, PUBLIC)}",
        )
        transfer.wait_moves()
        transfer.stop()
    assert epoch(held, "web2") == before
    home1.agent("assign", "web1", PUBLIC, check=False)


def test_an_edge_away_for_longer_than_the_lease_ends_nothing_and_is_told_at_once_when_back(
    held: Lab, guests: tuple[Guest, Guest]
) -> None:
    home1, home2 = held["home1"], held["home2"]
    before = epoch(held)
    with held.client.stream(PUBLIC) as transfer:
        held.edge.daemon.kill()
        home2.agent("assign", "web2", "203.0.113.11", check=False)
        wait_until(
            lambda: host_status(home1)["lease_age"] > LEASE + 0.5,
            LEASE + 10,
            lambda: f"the edge is away for longer than the lease: {host_status(home1)}",
        )
        wait_why(home2, "web2", "pending", "waits for the edge")
        transfer.wait_moves()
        held.edge.daemon.start()
        back = Stopwatch()
        wait_answering(held, "203.0.113.11", "web2")
        back.tell("the edge is ready until what was asked for meanwhile answers")
        wait_lease(held, "home1", "live")
        home1.agent.wait_state("web1", "active")
        transfer.wait_moves()
        transfer.stop()
    assert epoch(held) == before
    home2.agent("unassign", "web2", "203.0.113.11")

"""A lease that ends makes claimable; only another's claim, or the grace, withdraws."""

from tests.edge.world import Edge

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"


def keep_alive(edge: Edge, seconds: float, *agents: object) -> None:
    for _ in range(int(seconds // 20)):
        edge.advance(20)
        for agent in agents:
            agent.heartbeat()  # type: ignore[attr-defined]


def test_nobody_else_wants_it_so_it_stays_until_the_grace_is_over(edge: Edge) -> None:
    agent = edge.host("home1")
    epoch = agent.claim(1, P, X).epoch
    edge.advance(61)
    edge.advance(590)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}
    assert agent.heartbeat().current  # back in time: everything is as it was
    assert agent.list().mappings[0].epoch == epoch
    edge.advance(61)
    edge.advance(601)
    assert edge.reached() == {}
    assert edge.mappings() == {}
    assert not agent.heartbeat().current
    assert agent.list().mappings[0].state == "active"


def test_a_lease_does_not_end_before_the_rest_of_a_heartbeat_is_heard(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.advance(50)
    two.heartbeat()
    moved = one.heartbeat_request()
    assert edge.service.beat("home1", moved, one.source + 100) is None
    edge.advance(20)
    assert edge.reached() == {P: f"{X} via {one.source}"}
    assert edge.service.welcome("home1", moved, one.source + 100).current
    assert edge.reached() == {P: f"{X} via {one.source + 100}"}


def test_who_waits_gets_it_in_the_moment_the_lease_ends(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    keep_alive(edge, 40, two)
    assert edge.state(P, "home2") == "conflict"
    edge.advance(21)
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}
    one.list()
    assert edge.mappings()[P, "home1"].reason == "held by web2 on home2"


def test_a_claim_that_comes_later_gets_what_is_claimable(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    keep_alive(edge, 80, two)
    assert two.claim(2, P, Y).state == "active"


def test_so_does_one_that_needs_its_private_address(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    assert two.claim(2, Q, X).state == "refused"
    keep_alive(edge, 80, two)
    assert edge.state(Q, "home2") == "active"
    assert edge.reached() == {Q: f"{X} via 10.147.0.12"}


def test_who_waits_but_is_not_there_is_passed_over(edge: Edge) -> None:
    one, two, three = (edge.host(f"home{number}") for number in (1, 2, 3))
    one.claim(1, P, X)
    two.claim(2, P, Y)
    three.claim(3, P, "192.168.122.52")
    keep_alive(edge, 80, one, three)
    one.unclaim(1, P)
    assert edge.state(P, "home3") == "active"


def test_who_comes_back_and_waits_for_a_free_address_gets_it(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    keep_alive(edge, 80, one)
    one.unclaim(1, P)
    assert edge.state(P, "home2") == "pending"
    two.heartbeat()
    assert edge.state(P, "home2") == "active"


def test_a_restart_of_the_edge_gives_everyone_a_full_period(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    keep_alive(edge, 40, two)
    edge.boot()
    keep_alive(edge, 40, two)
    assert edge.state(P, "home1") == "active"
    edge.advance(21)
    assert edge.state(P, "home2") == "active"


def test_the_clock_of_the_wall_ends_no_lease(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.clock.now = lambda: 4_000_000_000.0  # type: ignore[method-assign]
    edge.service.tick()
    assert edge.service.hosts()[0].lease == "live"


def test_what_is_moved_aside_for_a_private_address_leaves_the_kernel_first(edge: Edge) -> None:
    """The dead host's guest had it, with another public address that nobody else wants."""
    dead, holder, heir = (edge.host(f"home{number}") for number in (1, 2, 3))
    dead.claim(1, Q, X)
    holder.claim(2, P, Y)
    keep_alive(edge, 80, holder, heir)
    heir.claim(3, P, X)
    assert edge.reached() == {P: f"{Y} via 10.147.0.12", Q: f"{X} via 10.147.0.11"}
    holder.unclaim(2, P)
    assert edge.reached() == {P: f"{X} via 10.147.0.13"}
    assert edge.state(Q, "home1") == "pending"

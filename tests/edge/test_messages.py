"""Late, doubled and reordered messages, and what a list may withdraw."""

import pytest

from tests.edge.world import Edge, uuid
from zthook.errors import NotAuthenticated, StaleMessage, StaleSession, UsageError
from zthook.wire.messages import ClaimMessage, HeartbeatRequest, SessionRequest

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"


def claim(guest: int, public: str, private: str | None) -> ClaimMessage:
    return ClaimMessage(guest=uuid(guest), name=f"web{guest}", public=public, private=private)


def test_an_older_list_is_refused_and_changes_nothing(edge: Edge) -> None:
    agent = edge.host("home1")
    empty = agent.list_request()
    agent.claim(1, P, X)
    for late in (empty, agent.list_request()):
        agent.list()
        with pytest.raises(StaleMessage):
            edge.service.list_claims("home1", late, agent.source)
    assert edge.state(P, "home1") == "active"


def test_a_message_of_an_earlier_session_is_refused(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    agent.claims.clear()
    late = agent.list_request()
    agent.restart("second")
    agent.heartbeat()
    with pytest.raises(StaleSession):
        edge.service.list_claims("home1", late, agent.source)
    assert edge.state(P, "home1") == "active"


def test_the_rest_of_a_heartbeat_counts_no_more_where_a_later_one_was_heard(edge: Edge) -> None:
    """One that came from elsewhere while the edge looked, and whose host is back by now."""
    agent = edge.host("home1")
    agent.claim(1, P, X)
    late, elsewhere = agent.heartbeat_request(), agent.source + 100
    assert edge.service.beat("home1", late, elsewhere) is None
    assert agent.heartbeat().current
    with pytest.raises(StaleMessage):
        edge.service.welcome("home1", late, elsewhere)
    assert edge.reached() == {P: f"{X} via {agent.source}"}


def test_the_rest_of_a_heartbeat_moves_its_host(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    moved, elsewhere = agent.heartbeat_request(), agent.source + 100
    assert edge.service.beat("home1", moved, elsewhere) is None
    assert edge.reached() == {P: f"{X} via {agent.source}"}
    assert edge.service.welcome("home1", moved, elsewhere).current
    assert edge.reached() == {P: f"{X} via {elsewhere}"}


def test_sessions_outlive_the_edges_daemon(edge: Edge) -> None:
    agent = edge.host("home1")
    empty = agent.list_request()
    agent.claim(1, P, X)
    edge.boot()
    with pytest.raises(StaleMessage):
        edge.service.list_claims("home1", empty, agent.source)
    assert agent.list().mappings[0].state == "active"


def test_a_list_takes_nothing_from_a_reservation_it_could_not_know(edge: Edge) -> None:
    agent = edge.host("home1")
    late = agent.list_request()
    agent.reserve(claim(1, P, None))
    edge.service.list_claims("home1", late, agent.source)
    assert edge.state(P, "home1") == "pending"
    agent.list()
    assert edge.mappings() == {}


def test_a_list_does_not_undo_what_a_later_reservation_says(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claims[uuid(1), P] = claim(1, P, None)
    late = agent.list_request()
    agent.reserve(claim(1, P, X))
    assert edge.service.list_claims("home1", late, agent.source).mappings[0].state == "active"


def test_a_reservation_that_a_list_overtook_is_refused(edge: Edge) -> None:
    agent = edge.host("home1")
    late = agent.reserve_request(claim(1, P, X))
    agent.list()
    with pytest.raises(StaleMessage):
        edge.service.reserve("home1", late, agent.source)
    assert edge.mappings() == {}


def test_a_reservation_frees_the_private_address_that_it_leaves(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, Q, X)
    one.reserve(claim(1, P, "8.8.8.8"))
    assert edge.state(P, "home1") == "refused"
    assert edge.reached() == {Q: f"{X} via 10.147.0.12"}


def test_reservations_of_several_guests_may_overtake_each_other(edge: Edge) -> None:
    """Guests start at the same time, each with a hook that waits."""
    agent = edge.host("home1")
    first = agent.reserve_request(claim(1, P, X))
    second = agent.reserve_request(claim(2, Q, Y))
    edge.service.reserve("home1", second, agent.source)
    edge.service.reserve("home1", first, agent.source)
    assert {edge.state(P, "home1"), edge.state(Q, "home1")} == {"active"}
    for again in (first, second):
        with pytest.raises(StaleMessage):
            edge.service.reserve("home1", again, agent.source)


def test_a_late_withdrawal_of_one_that_no_longer_holds_changes_nothing(edge: Edge) -> None:
    one, two = edge.host("home1", group="g"), edge.host("home2", group="g")
    one.claim(1, P, X)
    two.claim(1, P, X)
    one.unclaim(1, P)
    assert edge.reached() == {P: f"{X} via 10.147.0.12"}


def test_a_heartbeat_tells_whether_the_edge_has_the_list(edge: Edge) -> None:
    agent = edge.host("home1")
    assert not agent.heartbeat().current
    agent.claim(1, P, X)
    assert agent.heartbeat().current
    agent.reserve(claim(2, Q, Y))
    assert not agent.heartbeat().current  # a list has to say whether that guest runs
    agent.list()
    assert agent.heartbeat().current
    edge.boot()
    assert agent.heartbeat().current


def test_a_heartbeat_comes_once(edge: Edge) -> None:
    agent = edge.host("home1")
    beat = agent.heartbeat_request()
    agent.beat(beat)
    edge.advance(59)
    with pytest.raises(StaleMessage):
        agent.beat(beat)
    edge.advance(2)
    assert edge.service.hosts()[0].lease == "ended"
    with pytest.raises(StaleSession):
        agent.beat(HeartbeatRequest(session=99, sequence=99))


def test_a_late_heartbeat_does_not_move_the_next_hop_back(edge: Edge) -> None:
    agent = edge.host("home1")
    beat = agent.heartbeat_request()
    agent.source += 100
    agent.claim(1, P, X)
    agent.beat(beat, agent.source - 100)
    assert edge.reached() == {P: f"{X} via 10.147.0.111"}


def test_a_store_from_a_backup_raises_its_epochs_above_any_that_is_shown(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    one.open(highest_epoch=500)
    assert two.claim(2, Q, Y).epoch > 500
    (said,) = one.list().mappings
    assert said.state == "active"
    message = claim(1, P, X)
    one.epochs[message.guest, P] = 900
    assert one.list().mappings[0].epoch > 900


def test_an_epoch_that_nobody_granted_does_not_use_up_the_numbers(edge: Edge) -> None:
    agent = edge.host("home1")
    request = SessionRequest(agent="x", instance="first", highest_epoch=2**53)
    with pytest.raises(UsageError):
        edge.service.open_session("home1", request, agent.source)


def test_generations_rise_across_restarts(edge: Edge) -> None:
    agent = edge.host("home1")
    seen = []
    for _ in range(3):
        agent.claim(1, P, X)
        agent.unclaim(1, P)
        seen.append(edge.service.generation("home1", agent.session))
        edge.boot()
    assert seen == sorted(set(seen))


def test_a_removed_host_is_told_at_once_and_not_known_any_more(edge: Edge) -> None:
    agent = edge.host("home1")
    edge.woken.clear()
    edge.service.remove_host("home1")
    assert edge.woken == ["home1"]
    with pytest.raises(NotAuthenticated):
        edge.service.generation("home1", agent.session)
    with pytest.raises(NotAuthenticated):
        agent.list()

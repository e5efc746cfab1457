"""One guest on two hosts: it waits, is handed over, or moves within its migration group."""

from tests.edge.world import Agent, Edge, uuid
from zthook.wire.messages import ClaimMessage, ListRequest

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"
HERE, THERE = f"{X} via 10.147.0.11", f"{X} via 10.147.0.12"


def two_hosts(edge: Edge, *, group: str | None) -> tuple[Agent, Agent]:
    return edge.host("home1", group=group), edge.host("home2", group=group)


def test_without_a_group_it_waits_until_it_is_handed_over(edge: Edge) -> None:
    one, two = two_hosts(edge, group=None)
    one.claim(1, P, X)
    said = two.claim(1, P, X)
    assert (said.state, said.reason) == ("pending", "waits for home1 to let go")
    assert edge.reached() == {P: HERE}
    one.unclaim(1, P)
    assert edge.reached() == {P: THERE}


def test_or_until_the_lease_ends(edge: Edge) -> None:
    one, two = two_hosts(edge, group=None)
    one.claim(1, P, X)
    two.claim(1, P, X)
    edge.advance(50)
    two.heartbeat()
    edge.advance(11)
    assert edge.reached() == {P: THERE}


def test_within_a_group_the_newcomer_takes_it_at_once(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    epoch = one.claim(1, P, X).epoch
    said = two.claim(1, P, X)
    assert said.state == "active"
    assert said.epoch > epoch
    assert edge.reached() == {P: THERE}
    assert edge.mappings()[P, "home1"].reason == "waits for home2 to let go"


def test_not_before_it_runs_there(edge: Edge) -> None:
    """A required guest's hook reserves on the destination while it runs at the source."""
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    said = two.reserve(ClaimMessage(guest=uuid(1), name="web1", public=P)).mappings[0]
    assert (said.state, said.reason) == ("pending", "waits for home1 to let go")
    two.claim(1, P, None)
    assert edge.reached() == {P: HERE}
    assert two.claim(1, P, X).state == "active"
    assert edge.reached() == {P: THERE}


def test_nor_where_its_annotation_says_its_private_address(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    message = ClaimMessage(guest=uuid(1), name="web1", public=P, private=X)
    said = two.reserve(message).mappings[0]
    assert (said.state, said.reason) == ("pending", "waits for home1 to let go")
    assert edge.reached() == {P: HERE}
    assert two.claim(1, P, X).state == "active"
    assert edge.reached() == {P: THERE}


def test_the_source_does_not_take_it_back(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    late = one.list_request()
    two.claim(1, P, X)
    edge.service.list_claims("home1", late, one.source)
    one.list()
    one.restart("second")
    one.list()
    assert edge.reached() == {P: THERE}
    one.unclaim(1, P)
    assert edge.reached() == {P: THERE}


def test_nor_when_its_claim_was_forgotten_but_shows_an_old_epoch(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    epochs = dict(one.epochs)
    two.claim(1, P, X)
    message = one.claims.copy()
    one.claims.clear()
    one.list()
    one.claims, one.epochs = message, epochs
    assert one.list().mappings[0].reason == "waits for home2 to let go"
    assert edge.reached() == {P: THERE}


def test_a_guest_that_moves_back_is_news_again(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    two.claim(1, P, X)
    one.unclaim(1, P)
    assert one.claim(1, P, X).state == "active"
    assert edge.reached() == {P: HERE}


def first_list_on_its_way(edge: Edge, *, group: str | None) -> tuple[Agent, Agent, ListRequest]:
    """A guest begins to run on home1 and moves to home2 before home1's list arrives."""
    one, two = two_hosts(edge, group=group)
    one.look()
    one.claims[uuid(1), P] = ClaimMessage(guest=uuid(1), name="web1", public=P, private=X)
    late = one.list_request()
    two.look()
    assert two.claim(1, P, X).state == "active"
    return one, two, late


def test_a_first_list_that_comes_late_takes_nothing(edge: Edge) -> None:
    one, _, late = first_list_on_its_way(edge, group="rack")
    heard = edge.service.generation("home1", one.session)
    [said] = one.heard(edge.service.list_claims("home1", late, one.source)).mappings
    assert (said.state, said.reason) == ("pending", "waits for home2 to let go")
    assert edge.reached() == {P: THERE}
    assert edge.service.generation("home1", one.session) > heard, "it is to look again"
    assert not one.heartbeat().current, "also if it did not hear that"
    one.look()
    one.unclaim(1, P)
    assert edge.reached() == {P: THERE}


def test_what_was_doubted_is_believed_of_a_later_look(edge: Edge) -> None:
    """The guest had gone on from home2 to home1, and the list came in time."""
    one, two, late = first_list_on_its_way(edge, group="rack")
    one.heard(edge.service.list_claims("home1", late, one.source))
    one.list()
    assert edge.reached() == {P: THERE}, "the same look, said again"
    one.look()
    assert one.list().mappings[0].state == "active"
    assert edge.reached() == {P: HERE}
    two.look()
    two.list()
    assert edge.reached() == {P: HERE}, "and home2 does not take it back"


def test_who_left_gives_to_him_who_was_doubted(edge: Edge) -> None:
    one, two, late = first_list_on_its_way(edge, group="rack")
    one.heard(edge.service.list_claims("home1", late, one.source))
    two.claim(1, P, X, leaving=True)
    assert edge.reached() == {P: HERE}


def test_after_a_start_of_the_edge_a_move_is_seen_once_more(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    for agent in (one, two):
        agent.heartbeat()
        agent.look()
    one.claim(1, P, X)
    edge.boot()
    assert two.claim(1, P, X).state == "pending"
    two.look()
    two.list()
    assert edge.reached() == {P: THERE}


def test_an_older_agent_takes_it_only_until_it_says_that_the_guest_left(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claims[uuid(1), P] = ClaimMessage(guest=uuid(1), name="web1", public=P, private=X)
    late = one.list_request()
    two.claim(1, P, X)
    one.heard(edge.service.list_claims("home1", late, one.source))
    assert edge.reached() == {P: HERE}
    one.claim(1, P, X, leaving=True)
    assert edge.reached() == {P: THERE}


def test_two_hosts_of_different_groups_do_not_trust_each_other(edge: Edge) -> None:
    one, two = edge.host("home1", group="rack"), edge.host("home2", group="shed")
    one.claim(1, P, X)
    assert two.claim(1, P, X).state == "pending"


def test_a_group_moves_guests_not_addresses(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    assert two.claim(2, P, Y).state == "conflict"


def test_the_guest_itself_goes_before_others_who_wait(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    three = edge.host("home3")
    one.claim(1, P, X)
    three.claim(3, P, Y)
    assert two.claim(1, P, X).state == "active"
    assert edge.state(P, "home3") == "conflict"


def test_all_its_addresses_move_together(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    one.claim(1, Q, X)
    two.claims = dict(one.claims)
    assert [said.state for said in two.list().mappings] == ["active", "active"]
    assert edge.reached() == {P: THERE, Q: THERE}


def test_one_of_two_addresses_waits_while_the_other_is_held_by_the_same_host(edge: Edge) -> None:
    """A private address has one next hop, so the guest can not be half here and half there."""
    one, two = two_hosts(edge, group=None)
    one.claim(1, P, X)
    one.claim(1, Q, X)
    two.claims = dict(one.claims)
    two.list()
    one.unclaim(1, P)
    assert edge.mappings()[P, "home2"].reason == "waits for home1 to let go"
    one.unclaim(1, Q)
    assert edge.reached() == {P: THERE, Q: THERE}


def test_a_holder_whose_new_private_address_is_still_elsewhere_waits_for_it(edge: Edge) -> None:
    one, two = two_hosts(edge, group=None)
    one.claim(1, P, X)
    two.claim(1, Q)
    said = two.claim(1, Q, X)
    assert (said.state, said.reason) == ("pending", "waits for home1 to let go")
    assert not two.heartbeat().current  # so it is asked again
    one.unclaim(1, P)
    two.list()
    assert edge.reached() == {Q: THERE}
    assert two.heartbeat().current


def test_what_it_brings_along_is_told_once_it_is_handed_over(edge: Edge) -> None:
    one, two = two_hosts(edge, group=None)
    one.claim(1, P, X)
    assert two.claim(1, P, None).was is None, "not to a stranger: UUIDs are no secret"
    heard = edge.service.generation("home2", two.session)
    one.claim(1, P, X, leaving=True)
    assert edge.service.generation("home2", two.session) > heard
    assert two.claim(1, P, None).was == X


def test_within_a_group_it_is_told_at_once(edge: Edge) -> None:
    one, two = two_hosts(edge, group="rack")
    one.claim(1, P, X)
    assert two.claim(1, P, None).was == X

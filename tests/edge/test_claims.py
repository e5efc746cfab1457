"""Who gets an address, who waits, and who is told no, and why."""

import dataclasses
from ipaddress import IPv4Address

import pytest

from tests.edge.world import EDGE_ADDRESS, Edge, FakeInside, uuid
from zthook.errors import UsageError
from zthook.kernel.links import DefaultRoute
from zthook.model.addresses import AddressRange, Pool
from zthook.wire.messages import ClaimMessage, ListRequest

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"


def test_a_free_address_is_active_in_the_answer(edge: Edge) -> None:
    said = edge.host("home1").claim(1, P, X)
    assert (said.state, said.reason, said.holder) == ("active", "", None)
    assert said.epoch > 0
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_the_second_guest_is_told_by_whom_it_is_held(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    said = edge.host("home2").claim(2, P, Y)
    assert (said.state, said.reason) == ("conflict", "held by web1 on home1")
    assert said.holder is not None
    assert (said.holder.guest, said.holder.uuid, said.holder.host) == ("web1", uuid(1), "home1")
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_who_waits_gets_it_without_asking_again_and_is_told(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    first = one.claim(1, P, X).epoch
    two.claim(2, P, Y)
    heard = edge.service.generation("home2", two.session)
    edge.woken.clear()
    one.unclaim(1, P)
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}
    assert "home2" in edge.woken
    assert edge.service.generation("home2", two.session) > heard
    assert edge.mappings()[P, "home2"].epoch > first


def test_those_who_wait_are_served_in_the_order_of_their_arrival(edge: Edge) -> None:
    agents = [edge.host(f"home{number}") for number in (1, 2, 3, 4)]
    for number in (2, 0, 3, 1):
        agents[number].claim(number, P, f"192.168.122.{60 + number}")
    served = []
    for _ in agents:
        (holder,) = (view for view in edge.service.mappings() if view.state == "active")
        served.append(holder.host)
        agents[int(holder.host[-1]) - 1].unclaim(int(holder.host[-1]) - 1, P)
    assert served == ["home3", "home1", "home4", "home2"]


def test_asking_again_does_not_cost_the_place(edge: Edge) -> None:
    one, two, three = (edge.host(f"home{number}") for number in (1, 2, 3))
    one.claim(1, P, X)
    two.claim(2, P, Y)
    three.claim(3, P, "192.168.122.52")
    two.list()
    two.claim(2, P, "192.168.122.53")
    one.unclaim(1, P)
    assert edge.state(P, "home2") == "active"


def test_the_same_claim_again_is_answered_under_the_same_epoch(edge: Edge) -> None:
    agent = edge.host("home1")
    first = agent.claim(1, P, X)
    steps = list(edge.kernel.log)
    assert agent.claim(1, P, X) == first
    assert edge.kernel.log == steps


@pytest.mark.parametrize(
    ("public", "private", "more", "why"),
    [
        ("192.0.2.1", X, {}, "192.0.2.1 is outside every pool of home1 (pools: hk, tw)"),
        ("2001:db8::1", X, {}, "2001:db8::1 is outside every pool of home1 (pools: hk, tw)"),
        (P, "fd00::5", {}, "fd00::5 and 203.0.113.10 are not of one version of IP"),
        (P, "8.8.8.8", {}, "8.8.8.8 is outside the private prefixes of its host at the edge"),
        (P, "10.147.0.77", {}, "10.147.0.77 is outside the private prefixes"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(
    edge: Edge, public: str, private: str, more: dict[str, str], why: str
) -> None:
    said = edge.host("home1").claim(1, public, private, **more)
    assert said.state == "refused"
    assert said.reason.startswith(why)
    assert edge.mappings()[public, "home1"].reason == said.reason
    assert edge.reached() == {}


def test_a_prefix_given_to_a_host_reaches_no_machine_beside_the_edge(edge: Edge) -> None:
    agent = edge.host("home1", prefixes=["10.0.0.0/8"])
    assert agent.claim(1, P, "10.1.0.50").state == "active"
    said = agent.claim(2, "203.0.113.11", "10.147.0.77")
    assert said.state == "refused"
    assert said.reason.startswith("10.147.0.77 is on a network that the edge itself is on")


def test_a_host_is_refused_the_pools_that_are_not_its(edge: Edge) -> None:
    agent = edge.host("home1", pools=["tw"])
    assert agent.claim(1, P, X).reason == f"{P} is of pool hk, which home1 may not use"
    assert agent.claim(1, "198.51.100.1", X).state == "active"


def test_a_host_with_prefixes_of_its_own_is_held_to_them(edge: Edge) -> None:
    agent = edge.host("home1", prefixes=["10.9.0.0/16"])
    assert agent.claim(1, P, X).state == "refused"
    assert agent.claim(1, P, "10.9.1.2").state == "active"


def test_an_address_that_the_edge_needs_is_refused_while_it_does(edge: Edge) -> None:
    assert isinstance(edge.inside, FakeInside)
    edge.inside.kernel.sessions.add(AddressRange.parse(P).first)
    edge.advance(3)
    agent = edge.host("home1")
    said = agent.claim(1, P, X)
    assert said.state == "refused"
    assert said.reason.startswith(f"{P} stays the edge's own: it is ")
    edge.inside.kernel.sessions.clear()
    edge.advance(3)
    assert edge.state(P, "home1") == "active"


def test_the_routers_address_is_nobodys(edge: Edge) -> None:
    """The edge would answer ARP for it, and take its own way to the internet."""
    assert isinstance(edge.inside, FakeInside)
    edge.inside.kernel.defaults = [DefaultRoute(4, "up0", IPv4Address(P))]
    edge.advance(3)
    said = edge.host("home1").claim(1, P, X)
    why = f"{P} stays the edge's own: it is the router of the edge's default route"
    assert said.reason == why
    edge.inside.kernel.defaults = []
    edge.advance(3)
    assert edge.host("home2").claim(2, P, Y).reason == why, "while that route is away"
    assert edge.reached() == {}


def test_who_has_just_logged_in_is_seen_at_once(edge: Edge) -> None:
    """Between two passes, on an address that the machine has: to grant it ends the login."""
    assert isinstance(edge.inside, FakeInside)
    own = AddressRange.parse(P).first
    edge.inside.kernel.own.add(own)
    edge.advance(3)
    edge.inside.kernel.sessions.add(own)
    said = edge.host("home1").claim(1, P, X)
    assert (said.state, edge.reached()) == ("refused", {})
    assert "login session" in said.reason
    edge.inside.kernel.sessions.clear()
    edge.advance(3)
    assert edge.state(P, "home1") == "active", "no pass saw the login, and yet"


def test_what_the_provider_translates_to_an_address_that_the_edge_needs_is_refused(
    edge: Edge,
) -> None:
    inner = (AddressRange.parse("10.5.0.1"), AddressRange.parse("10.5.0.2"))
    outer = (AddressRange.parse("198.18.0.1"), AddressRange.parse("198.18.0.2"))
    cloud = Pool("cloud", outer, "up0", inner)
    edge.service.reload(dataclasses.replace(edge.settings, pools=(cloud,)))
    assert isinstance(edge.inside, FakeInside)
    edge.inside.kernel.sessions.add(inner[0].first)
    edge.advance(3)
    agent = edge.host("home1")
    said = agent.claim(1, "198.18.0.1", X)
    assert said.state == "refused"
    assert said.reason.startswith(
        "198.18.0.1 stays the edge's own: it arrives as 10.5.0.1, which is "
    )
    assert agent.claim(1, "198.18.0.2", X).state == "active"


def test_the_overlays_own_address_is_never_given_away(edge: Edge) -> None:
    wide = Pool("wide", (AddressRange.parse("10.147.0.0/28"),), "up0")
    edge.service.reload(dataclasses.replace(edge.settings, pools=(wide,)))
    said = edge.host("home1").claim(1, str(EDGE_ADDRESS), X)
    assert said.state == "refused"
    assert "the edge's own" in said.reason


def test_refused_claims_take_no_place(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    assert one.claim(1, P, "8.8.8.8").state == "refused"
    assert two.claim(2, P, Y).state == "active"
    one.claim(1, P, X)
    assert edge.state(P, "home1") == "conflict"


def test_a_holder_that_becomes_wrong_loses_the_address(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    assert one.claim(1, P, "8.8.8.8").state == "refused"
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}


def test_a_private_address_is_one_guests_and_says_whose(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    said = two.claim(2, Q, X)
    assert said.state == "refused"
    assert said.reason.startswith(f"{X} is used by web1 on home1; ")
    assert 'mode="routed"' in said.reason
    one.unclaim(1, P)
    assert edge.state(Q, "home2") == "active"


def test_routed_mode_is_no_advice_for_two_guests_of_one_host(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    assert agent.claim(2, Q, X).reason == (
        f"{X} is used by web1 on home1; give one of them another address"
    )


def test_a_guest_may_have_two_public_addresses(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    assert agent.claim(1, Q, X).state == "active"
    assert edge.reached() == {P: f"{X} via 10.147.0.11", Q: f"{X} via 10.147.0.11"}
    agent.unclaim(1, P)
    assert edge.reached() == {Q: f"{X} via 10.147.0.11"}


def test_without_its_private_address_a_guest_holds_but_is_not_reached(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    reserved = one.claim(1, P)
    assert (reserved.state, reserved.reason) == ("pending", "waits for the guest's address")
    assert two.claim(2, P, Y).state == "conflict"
    assert edge.reached() == {}
    found = one.claim(1, P, X)
    assert (found.state, found.epoch) == ("active", reserved.epoch)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_a_private_address_that_changes_is_followed(edge: Edge) -> None:
    agent = edge.host("home1")
    epoch = agent.claim(1, P, X).epoch
    said = agent.claim(1, P, Y)
    assert (said.state, said.private, said.epoch) == ("active", Y, epoch)
    assert edge.reached() == {P: f"{Y} via 10.147.0.11"}
    assert edge.kernel.log[-2:] == [f"-{P}", f"+{P}"]  # its connections went to another guest


def test_two_guests_may_swap_their_private_addresses(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    agent.claim(2, Q, Y)
    for (guest, public), private in (((1, P), Y), ((2, Q), X)):
        message = agent.claims[uuid(guest), public]
        agent.claims[uuid(guest), public] = _at(message, private)
    said = agent.list().mappings
    assert [one.state for one in said] == ["active", "active"]
    assert edge.reached() == {P: f"{Y} via 10.147.0.11", Q: f"{X} via 10.147.0.11"}


def _at(message: ClaimMessage, private: str) -> ClaimMessage:
    return ClaimMessage(
        guest=message.guest, name=message.name, public=message.public, private=private
    )


def test_a_host_that_moves_on_the_overlay_takes_its_mappings_along(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    agent.source += 100
    edge.kernel.log.clear()
    agent.heartbeat()
    assert edge.reached() == {P: f"{X} via 10.147.0.111"}
    assert edge.kernel.log == [f"+{P}"]  # in its place: no connection ends


def test_what_a_neighbour_is_not_known_for_waits_for_it(edge: Edge) -> None:
    assert isinstance(edge.inside, FakeInside)
    mac = edge.inside.kernel.macs.pop(EDGE_ADDRESS + 10)
    said = edge.host("home1").claim(1, P, X)
    assert (said.state, said.reason) == (
        "pending",
        "waits for the overlay's neighbour entry of home1",
    )
    edge.inside.kernel.macs[EDGE_ADDRESS + 10] = mac
    edge.advance(3)
    assert edge.state(P, "home1") == "active"


def test_hiding_is_the_edges_part_unless_the_host_does_it(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X, client="hide")
    agent.claim(2, Q, Y, client="hide", rewriter="host")
    elements = edge.inside.look(edge.plane()).elements
    assert elements["hiding"] == {f"{P} . {X}"}


def test_a_translated_pool_arrives_as_what_the_provider_makes_of_it(edge: Edge) -> None:
    outside, inside = AddressRange.parse("192.0.2.8/30"), AddressRange.parse("10.0.0.4/30")
    pool = Pool("nat", (outside,), "up0", (inside,))
    edge.service.reload(dataclasses.replace(edge.settings, pools=(pool,)))
    assert edge.host("home1").claim(1, "192.0.2.9", X).state == "active"
    inside_and_outside = {"10.0.0.5": X, "192.0.2.9": X}  # the latter to members and the edge
    assert edge.inward() == inside_and_outside


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ([{"public": "203.0.113.256"}], "203.0.113.256"),
        ([{"public": P, "private": "here"}], "here"),
        ([{"public": P}, {"public": P, "mode": "routed"}], "twice"),
        ([{"public": P, "epoch": 2**52 + 1}], "no edge granted"),
    ],
)
def test_nonsense_is_refused_whole(edge: Edge, claims: list[dict[str, str]], says: str) -> None:
    agent = edge.host("home1")
    agent.claim(1, Q, X)
    rows = edge.ledger.claims()
    messages = [ClaimMessage(guest=uuid(1), name="web1", **one) for one in claims]  # type: ignore[arg-type]
    request = ListRequest(session=agent.session, sequence=agent.next(), claims=messages)
    with pytest.raises(UsageError, match=says):
        edge.service.list_claims("home1", request, agent.source)
    assert edge.ledger.claims() == rows

"""From guests to claims: what is asked of the edge, and what is refused here."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.making import (
    NETWORKS,
    OTHER_PUBLIC,
    PRIVATE,
    PUBLIC,
    answer,
    domain,
    guest,
    leased,
    mac,
    macvtap,
    on_bridge,
    on_network,
    rule_of,
    uuid,
    view,
)
from zthook.host.addresses import Sightings, Source
from zthook.host.answers import Answers, by_claim
from zthook.host.claims import claims, desire
from zthook.host.desired import Desired, View
from zthook.host.planes import rules
from zthook.model.guests import Domain, Guest, GuestState
from zthook.model.mappings import Auto, Claim
from zthook.model.publication import (
    AddressRequest,
    Client,
    Egress,
    Mode,
    PortRange,
    Problem,
    Publication,
)
from zthook.wire.messages import MappingReply

ASKED = AddressRequest(PUBLIC)
LEASE = leased((1, "192.168.122.50"))


def test_a_guest_with_a_lease_claims_its_address_and_keeps_the_client() -> None:
    [one] = desire(view(guest(1, ASKED), sightings=LEASE))
    assert one.claim == Claim(uuid(1), "web1", PUBLIC, PRIVATE)
    assert one.source is Source.LEASE
    assert rules([one], {}) == {rule_of(PRIVATE, "virbr0")}


def test_without_an_address_the_public_one_is_claimed_all_the_same() -> None:
    [one] = desire(view(guest(1, ASKED)))
    assert one.claim == Claim(uuid(1), "web1", PUBLIC, None)
    assert one.waits.startswith("for the guest's address: no DHCP lease yet")
    assert rules([one], {}) == frozenset()


def test_a_guest_without_annotation_claims_nothing() -> None:
    assert desire(view(guest(1), sightings=LEASE)) == []


@pytest.mark.parametrize("state", [GuestState.PAUSED, GuestState.RUNNING])
def test_a_paused_guest_keeps_its_claim(state: GuestState) -> None:
    assert len(claims(desire(view(guest(1, ASKED, state=state), sightings=LEASE)))) == 1


def test_an_incoming_migration_claims_nothing() -> None:
    incoming = view(guest(1, ASKED, state=GuestState.INCOMING), sightings=LEASE)
    [one] = desire(incoming)
    assert one.claim is None
    assert one.waits == "for the migration to this host to end"


def test_a_guest_about_to_start_reserves_without_its_private_address() -> None:
    about = domain(1, replace(ASKED, private=PRIVATE))
    [one] = desire(view(sightings=LEASE, reserved=[about]))
    assert one.claim == Claim(uuid(1), "web1", PUBLIC, None)
    assert rules([one], {}) == frozenset()


def test_a_reservation_of_a_guest_that_runs_changes_nothing() -> None:
    running = guest(1, ASKED)
    both = view(running, sightings=LEASE, reserved=[running.domain])
    assert desire(both) == desire(view(running, sightings=LEASE))


def test_a_reserved_guest_that_does_not_run_yet_stays_reserved() -> None:
    starting = guest(1, ASKED, state=GuestState.INCOMING)
    [one] = desire(view(starting, sightings=LEASE, reserved=[starting.domain]))
    assert one.claim == Claim(uuid(1), "web1", PUBLIC, None)


def test_a_wrong_annotation_is_refused_with_its_problems() -> None:
    problems = (Problem(4, "public is 'x', no address", 'public="203.0.113.10"'),)
    wrong = Guest(domain(1, problems=problems), GuestState.RUNNING)
    [one] = desire(view(wrong))
    assert one.claim is None
    assert one.refusal == (
        "the annotation is wrong: line 4: public is 'x', no address; public=\"203.0.113.10\""
    )


def wanted_by(*requests: AddressRequest, answers: Answers | None = None) -> list[Desired]:
    return desire(view(guest(1, *requests), sightings=LEASE, answers=answers or {}))


def test_the_claim_has_all_that_the_annotation_asks_for() -> None:
    ports, allow = (PortRange.parse("tcp/80:8080"),), (IPv4Network("198.51.100.0/24"),)
    full = replace(ASKED, egress=Egress.PUBLIC, ports=ports, allow=allow)
    [one] = wanted_by(full)
    assert one.claim == Claim(
        *(uuid(1), "web1", PUBLIC, PRIVATE), egress=Egress.PUBLIC, ports=ports, allow=allow
    )


def test_the_autos_of_a_pool_are_counted() -> None:
    hk = AddressRequest(None, pool="hk")
    wanted = wanted_by(hk, ASKED, AddressRequest(None), hk)
    assert [one.public for one in wanted] == [Auto("hk", 0), PUBLIC, Auto("", 0), Auto("hk", 1)]


AUTO, ROUTED = AddressRequest(None, pool="hk"), replace(ASKED, mode=Mode.ROUTED)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (AUTO, answer(1, "auto/hk/0", public=str(PUBLIC), private=None, state="pending")),
        (ROUTED, answer(1, str(PUBLIC), private=None, state="pending")),
    ],
)
def test_nothing_is_forwarded_before_the_edge_said_what_the_rules_need(
    request_: AddressRequest, said: MappingReply
) -> None:
    [first] = wanted_by(request_)
    assert first.claim is not None
    assert first.claim.private is None
    [then] = wanted_by(request_, answers=by_claim([said]))
    assert then.claim is not None
    assert then.claim.private == PRIVATE


def test_an_auto_that_the_edge_has_no_address_for_stays_a_reservation() -> None:
    said = answer(1, "auto/hk/0", public=None, private=None, state="refused")
    [one] = wanted_by(AUTO, answers=by_claim([said]))
    assert one.claim == Claim(uuid(1), "web1", Auto("hk", 0), None)


def test_the_guests_own_connections_leave_from_one_of_its_addresses() -> None:
    out = replace(ASKED, egress=Egress.PUBLIC)
    first, second = wanted_by(out, replace(out, public=OTHER_PUBLIC))
    assert first.claim is not None
    assert second.refusal == (
        f"{PRIVATE}'s own connections leave from {PUBLIC} already: leave "
        'egress="public" out of one of the two'
    )


def test_while_its_network_is_not_active_the_address_is_only_reserved() -> None:
    [one] = desire(view(guest(1, ASKED, interfaces=(on_network(1, "gone"),)), sightings=LEASE))
    assert one.claim == Claim(uuid(1), "web1", PUBLIC, None)
    assert one.waits == "for libvirt's network 'gone' to be active"


@pytest.mark.parametrize(
    ("private", "whose"),
    [
        ("192.168.122.1", "the gateway of network 'default'"),
        ("192.168.1.5", "an address of this host"),
        ("192.168.122.60", "the DHCP lease of guest 'web2'"),
    ],
)
def test_an_annotated_address_of_somebody_else_is_refused(private: str, whose: str) -> None:
    sightings = replace(leased((2, "192.168.122.60")), own=frozenset({ip_address("192.168.1.5")}))
    asked = replace(ASKED, private=ip_address(private))
    [one] = desire(view(guest(1, asked), guest(2), sightings=sightings))
    right = "write the guest's own, or leave private out"
    assert one.refusal == f"private address {private} is {whose}: {right}"


def two_guests_with_one_address() -> tuple[Guest, Guest]:
    first = guest(1, AddressRequest(PUBLIC, private=PRIVATE))
    second = guest(2, AddressRequest(OTHER_PUBLIC, private=PRIVATE))
    return first, second


def held_by(number: int) -> Answers:
    public = PUBLIC if number == 1 else OTHER_PUBLIC
    return by_claim([answer(number, str(public), private=str(PRIVATE))])


@pytest.mark.parametrize(("holder", "other"), [(1, 2), (2, 1)])
def test_of_two_guests_with_one_address_the_one_that_has_it_keeps_it(
    holder: int, other: int
) -> None:
    wanted = desire(view(*two_guests_with_one_address(), answers=held_by(holder)))
    assert [one.claim is not None for one in wanted] == [holder == 1, holder == 2]
    refused = wanted[other - 1]
    assert refused.refusal == (
        f"private address {PRIVATE} is that of guest 'web{holder}' on this host: "
        "give one of the two another"
    )


def test_one_guest_may_have_several_public_addresses() -> None:
    both = guest(1, ASKED, AddressRequest(OTHER_PUBLIC))
    wanted = desire(view(both, sightings=LEASE))
    assert [claim.public for claim in claims(wanted)] == [PUBLIC, OTHER_PUBLIC]


PRIVATES = st.integers(1, 6).map(lambda last: IPv4Address(f"192.168.122.{last}"))
PUBLICS = st.integers(10, 14).map(lambda last: IPv4Address(f"203.0.113.{last}"))
REQUESTS = st.builds(
    AddressRequest,
    public=st.none() | PUBLICS,
    pool=st.none(),
    private=st.none() | PRIVATES,
    mode=st.sampled_from(Mode),
    client=st.none() | st.sampled_from(Client),
    egress=st.sampled_from(Egress),
)
ANSWERS = st.builds(
    answer,
    st.integers(1, 5),
    PUBLICS.map(str) | st.sampled_from(["auto//0", "auto//1"]),
    public=PUBLICS.map(str),
    private=st.none() | PRIVATES.map(str),
    state=st.sampled_from(["active", "pending", "conflict"]),
)
INTERFACES = st.sampled_from([on_network, on_bridge, macvtap])


@st.composite
def views(draw: st.DrawFn) -> View:
    guests = []
    for number in draw(st.sets(st.integers(1, 5))):
        wanted = draw(st.lists(REQUESTS, max_size=4, unique_by=lambda one: one.public or object()))
        running = Domain(
            uuid(number),
            f"web{number}",
            (draw(INTERFACES)(number),),
            Publication(tuple(wanted)) if wanted else None,
        )
        guests.append(Guest(running, draw(st.sampled_from(GuestState))))
    lease = draw(st.dictionaries(st.integers(1, 5).map(mac), PRIVATES))
    own = draw(st.frozensets(PRIVATES, max_size=1))
    answers = by_claim(draw(st.lists(ANSWERS, max_size=6)))
    leases = {"virbr0": {one: (address,) for one, address in lease.items()}}
    return View(guests, NETWORKS, Sightings(leases=leases, own=own), answers=answers)


@given(seen=views())
def test_whatever_runs_the_claims_are_sound(seen: View) -> None:
    wanted = desire(seen)
    made = claims(wanted)
    assert len({claim.key for claim in made}) == len(made)
    owners: dict[object, object] = {}
    for claim in made:
        assert claim.private not in seen.sightings.own
        assert claim.private not in {
            gateway for net in NETWORKS.values() for gateway in net.gateways
        }
        if claim.private is not None:
            assert owners.setdefault(claim.private, claim.guest) == claim.guest
    out = [claim.private for claim in made if claim.private and claim.egress is Egress.PUBLIC]
    assert len(out) == len(set(out))
    for one in wanted:
        assert bool(one.claim) != bool(one.refusal) or one.waits
    coming = {one.prospect.private for one in wanted if one.prospect and one.prospect.private}
    assert not coming & set(owners)
    assert {rule.private for rule in rules(wanted, {})} <= set(owners) | coming


@given(seen=views(), order=st.randoms(use_true_random=False))
def test_the_order_in_which_guests_are_listed_changes_nothing(seen: View, order: object) -> None:
    shuffled = list(seen.guests)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert desire(replace(seen, guests=shuffled)) == desire(seen)

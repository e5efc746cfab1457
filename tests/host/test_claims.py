"""From guests to claims: what is asked of the edge, and what is refused here."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

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
    everything_carried_out,
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
from zthook.model.guests import Domain, Guest, GuestState, Interface, NetworkKind
from zthook.model.mappings import Auto, Claim, Rewriter
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


@pytest.mark.parametrize(
    "request_",
    [
        AddressRequest(None),
        AddressRequest(IPv6Address("2001:db8::1")),
        replace(ASKED, mode=Mode.ROUTED),
        replace(ASKED, egress=Egress.PUBLIC),
    ],
)
def test_what_is_not_carried_out_yet_is_refused_and_said(request_: AddressRequest) -> None:
    [one] = desire(view(guest(1, request_), sightings=LEASE))
    assert one.claim is None
    assert one.refusal.startswith("not supported yet: ")


def wanted_by(*requests: AddressRequest, answers: Answers | None = None) -> list[Desired]:
    with everything_carried_out():
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


KEEP, HIDE = Client.KEEP, Client.HIDE


@pytest.mark.parametrize(
    ("interface", "asked", "expected"),
    [
        (on_network(), None, (KEEP, Rewriter.EDGE)),
        (on_network(), KEEP, (KEEP, Rewriter.EDGE)),
        (on_network(), HIDE, (HIDE, Rewriter.EDGE)),
        (on_network(network="lab"), None, (HIDE, Rewriter.HOST)),
        (on_network(network="lab"), HIDE, (HIDE, Rewriter.HOST)),
        (on_bridge(), None, (HIDE, Rewriter.HOST)),
        (on_bridge(), HIDE, (HIDE, Rewriter.HOST)),
    ],
)
def test_the_client_is_kept_where_the_guests_default_route_leads_here(
    interface: Interface, asked: Client | None, expected: tuple[Client, Rewriter]
) -> None:
    request = replace(ASKED, client=asked)
    [one] = desire(view(guest(1, request, interfaces=(interface,))))
    assert one.claim is not None
    assert (one.claim.client, one.claim.rewriter) == expected


@pytest.mark.parametrize(
    ("interface", "asked", "why"),
    [
        (on_network(network="lab"), KEEP, "network 'lab' (isolated) does not lead there"),
        (on_bridge(), KEEP, "bridge br0 does not lead there"),
        (macvtap(), None, "only through another machine"),
        (macvtap(), HIDE, "only through another machine"),
        (Interface(mac(1), NetworkKind.OTHER), None, "hangs on no bridge or libvirt network"),
    ],
)
def test_what_can_not_work_is_refused_with_the_reason(
    interface: Interface, asked: Client | None, why: str
) -> None:
    request = replace(ASKED, client=asked)
    [one] = desire(view(guest(1, request, interfaces=(interface,)), sightings=LEASE))
    assert one.claim is None
    assert why in one.refusal


@pytest.mark.parametrize("interface", [on_bridge(), macvtap()])
def test_behind_a_lan_gateway_the_edge_rewrites_and_this_host_does_nothing(
    interface: Interface,
) -> None:
    asked = replace(ASKED, private=PRIVATE)
    [one] = desire(view(guest(1, asked, interfaces=(interface,)), via=True))
    assert one.claim is not None
    assert (one.claim.client, one.claim.rewriter) == (HIDE, Rewriter.EDGE)
    assert rules([one], {}) == frozenset()


def test_of_several_interfaces_the_first_that_fits_is_taken() -> None:
    several = guest(1, ASKED, interfaces=(macvtap(7), on_network(1), on_bridge(8)))
    [one] = desire(view(several, sightings=LEASE))
    assert one.claim is not None
    assert one.claim.private == PRIVATE


def test_the_annotated_private_address_chooses_the_interface_of_its_network() -> None:
    asked = replace(ASKED, private=IPv4Address("10.9.0.7"))
    several = guest(1, asked, interfaces=(on_network(1), on_network(2, "lab")))
    [one] = desire(view(several))
    assert one.placement is not None
    assert one.placement.interface.mac == mac(2)
    assert one.placement.interface.bridge == "virbr1"


def test_an_interface_named_by_its_mac_is_that_one() -> None:
    asked = replace(ASKED, interface=mac(8))
    several = guest(1, asked, interfaces=(on_network(1), on_bridge(8)))
    [one] = desire(view(several))
    assert one.placement is not None
    assert one.placement.interface.kind is NetworkKind.BRIDGE


def test_an_unknown_mac_is_refused_with_those_there_are() -> None:
    asked = replace(ASKED, interface=mac(9))
    [one] = desire(view(guest(1, asked, interfaces=(on_network(1), on_bridge(8)))))
    assert one.refusal == (
        f"no interface has the MAC {mac(9)}; this guest's are: {mac(1)}, {mac(8)}"
    )


def test_a_guest_without_interface_is_refused() -> None:
    [one] = desire(view(guest(1, ASKED, interfaces=())))
    assert one.refusal == "guest 'web1' has no network interface"


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
    assert one.refusal == f"private address {private} is {whose}"


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
        f"private address {PRIVATE} is that of guest 'web{holder}' on this host"
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
    return View(guests, NETWORKS, Sightings(leases={"virbr0": lease}, own=own), answers=answers)


@given(seen=views())
def test_whatever_runs_the_claims_are_sound(seen: View) -> None:
    with everything_carried_out():
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
    assert {rule.private for rule in rules(wanted, {})} <= set(owners)


@given(seen=views(), order=st.randoms(use_true_random=False))
def test_the_order_in_which_guests_are_listed_changes_nothing(seen: View, order: object) -> None:
    shuffled = list(seen.guests)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    with everything_carried_out():
        assert desire(replace(seen, guests=shuffled)) == desire(seen)

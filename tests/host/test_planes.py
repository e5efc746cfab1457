"""What the host's kernel is to have for what is claimed."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.host.making import (
    OTHER_PUBLIC,
    PRIVATE,
    PUBLIC,
    answer,
    guest,
    leased,
    on_bridge,
    rule_of,
    view,
)
from zthook.host.answers import Answers, by_claim
from zthook.host.claims import desire
from zthook.host.planes import EdgeSide, plane, rules
from zthook.model.addresses import AddressRange
from zthook.model.mappings import GuestRule
from zthook.model.publication import AddressRequest, Egress, Mode, PortRange

ASKED = AddressRequest(PUBLIC)
LEASE = leased((1, str(PRIVATE)))
SIDE = EdgeSide("zt0", IPv4Address("192.168.193.222"), "aa:aa:aa:aa:aa:aa")
HERE = str(PUBLIC)
PORTS = (PortRange.parse("tcp/80:8080"),)


def made(request: AddressRequest, answers: Answers) -> GuestRule:
    [rule] = rules(desire(view(guest(1, request), sightings=LEASE, answers=answers)), answers)
    return rule


def test_it_has_all_that_the_annotation_asks_for() -> None:
    full = replace(ASKED, egress=Egress.PUBLIC, ports=PORTS)
    expected = rule_of(PRIVATE, egress=Egress.PUBLIC, ports=PORTS)
    assert made(full, {}) == expected
    assert made(full, by_claim([answer(1, HERE)])) == replace(expected, active=True)


@pytest.mark.parametrize(
    "said",
    [
        answer(1, HERE, state="pending"),
        answer(1, HERE, private="192.168.122.49"),
        answer(1, HERE, private=None),
        answer(2, HERE),
    ],
)
def test_it_is_active_only_once_the_edge_forwards_to_that_very_address(said: object) -> None:
    assert not made(ASKED, by_claim([said])).active  # type: ignore[list-item]


def test_a_routed_one_is_there_once_the_edge_said_as_what_its_packets_arrive() -> None:
    routed = replace(ASKED, mode=Mode.ROUTED)
    assert rules(desire(view(guest(1, routed), sightings=LEASE)), {}) == frozenset()
    said = answer(1, HERE, private=None, state="pending", arrives_as="10.0.0.40")
    rule = made(routed, by_claim([said]))
    assert (rule.public, rule.arrives_as) == (PUBLIC, IPv4Address("10.0.0.40"))
    assert not rule.active


def test_an_auto_has_the_address_that_the_edge_chose() -> None:
    chosen = answer(1, "auto/hk/0", public=str(OTHER_PUBLIC))
    rule = made(AddressRequest(None, pool="hk"), by_claim([chosen]))
    assert (rule.public, rule.active) == (OTHER_PUBLIC, True)


@pytest.mark.parametrize("state", ["conflict", "refused"])
def test_what_the_edge_denies_has_no_rule(state: str) -> None:
    said = by_claim([answer(1, HERE, private=None, state=state)])
    assert rules(desire(view(guest(1, ASKED), sightings=LEASE)), said) == frozenset()


def test_the_host_rewrites_on_the_guests_bridge() -> None:
    private = IPv4Address("192.168.1.50")
    asked = replace(ASKED, private=private)
    wanted = desire(view(guest(1, asked, interfaces=(on_bridge(),))))
    assert rules(wanted, {}) == {rule_of(private, "br0", hide=True)}


def test_each_address_of_a_guest_has_its_own() -> None:
    both = guest(1, ASKED, AddressRequest(OTHER_PUBLIC))
    wanted = desire(view(both, sightings=LEASE))
    assert rules(wanted, {}) == {rule_of(PRIVATE), rule_of(PRIVATE, public=OTHER_PUBLIC)}


def test_the_pools_are_in_the_plane() -> None:
    pools = (AddressRange.parse("203.0.113.10-203.0.113.14"),)
    assert plane(SIDE, frozenset(), frozenset(), pools).pools == pools


OLD, NEW = rule_of(PRIVATE), rule_of(PRIVATE, ports=PORTS, active=True)
ELSEWHERE = rule_of(IPv4Address("192.168.122.60"), public=OTHER_PUBLIC, egress=Egress.PUBLIC)
ROUTED = rule_of(PRIVATE, mode=Mode.ROUTED)


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        (OLD, NEW, None),
        (ELSEWHERE, NEW, ELSEWHERE),
        # The guest's other address, on its way out: the guest's own way out is another's now.
        (rule_of(PRIVATE, public=OTHER_PUBLIC), NEW, rule_of(PRIVATE, public=OTHER_PUBLIC)),
        (replace(ELSEWHERE, private=PRIVATE), NEW, rule_of(PRIVATE, public=OTHER_PUBLIC)),
        # Where the host translates, an address leads to one guest.
        (replace(ROUTED, private=PRIVATE + 1), ROUTED, None),
        (replace(ROUTED, private=PRIVATE + 1, ports=PORTS), ROUTED, None),
        (
            replace(ROUTED, private=PRIVATE + 1, ports=PORTS),
            replace(ROUTED, ports=(PortRange.parse("tcp/443"),)),
            replace(ROUTED, private=PRIVATE + 1, ports=PORTS),
        ),
        (replace(OLD, private=PRIVATE + 1), NEW, replace(OLD, private=PRIVATE + 1)),
    ],
)
def test_an_old_rule_stays_beside_new_ones_that_do_not_replace_it(
    old: GuestRule, new: GuestRule, left: GuestRule | None
) -> None:
    found = plane(SIDE, frozenset({new}), frozenset({old}), ()).rules
    assert found == {new} | ({left} if left else set())

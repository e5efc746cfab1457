"""Which private address is believed."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.making import DUAL, MAC, NAT, uuid
from zthook.host.addresses import (
    Found,
    Sightings,
    Source,
    Spot,
    doubtful,
    forbidden_addresses,
    found_address,
)
from zthook.model.guests import Domain, Network

SPOT = Spot(uuid(1), MAC, "virbr0", NAT)


def network_with_static(address: str) -> Network:
    return Network(
        "default", NAT.kind, "virbr0", NAT.gateways, NAT.prefixes, ((MAC, ip_address(address)),)
    )


SIGHTINGS = Sightings(
    leases={"virbr0": {MAC: (IPv4Address("192.168.122.3"),)}},
    neighbours={"virbr0": {IPv4Address("192.168.122.4"): MAC, IPv4Address("192.168.122.5"): MAC}},
    agents={uuid(1): ((MAC, IPv4Address("192.168.122.4")),)},
    last={MAC: (IPv4Address("192.168.122.6"),)},
)
STATIC = Spot(uuid(1), MAC, "virbr0", network_with_static("192.168.122.2"))
ORDER = [
    Found(IPv4Address("192.168.122.2"), Source.STATIC),
    Found(IPv4Address("192.168.122.3"), Source.LEASE),
    Found(IPv4Address("192.168.122.4"), Source.AGENT),
    Found(IPv4Address("192.168.122.5"), Source.NEIGHBOUR),
    Found(IPv4Address("192.168.122.6"), Source.LAST),
]


@pytest.mark.parametrize("passed_over", range(len(ORDER) + 1))
def test_the_sources_are_believed_in_the_order_of_the_design(passed_over: int) -> None:
    forbidden = dict.fromkeys([ip_address(str(one.address)) for one in ORDER[:passed_over]], "his")
    expected = ORDER[passed_over] if passed_over < len(ORDER) else None
    assert found_address(STATIC, 4, None, SIGHTINGS, forbidden) == expected


def test_the_annotation_comes_before_everything() -> None:
    asked = IPv4Address("192.168.122.99")
    assert found_address(STATIC, 4, asked, SIGHTINGS, {}) == Found(asked, Source.ANNOTATION)


def test_a_guest_agent_alone_is_not_believed() -> None:
    said = Sightings(agents={uuid(1): ((MAC, IPv4Address("192.168.122.7")),)})
    assert found_address(SPOT, 4, None, said, {}) is None
    assert doubtful(SPOT, 4, said, {}) == [IPv4Address("192.168.122.7")]


def test_a_guest_agent_naming_a_neighbour_of_another_mac_is_not_believed() -> None:
    stolen = IPv4Address("192.168.122.7")
    said = Sightings(
        agents={uuid(1): ((MAC, stolen),)}, neighbours={"virbr0": {stolen: "52:54:00:00:00:99"}}
    )
    assert found_address(SPOT, 4, None, said, {}) is None
    assert doubtful(SPOT, 4, said, {}) == []


OLD, NEW = IPv4Address("192.168.122.4"), IPv4Address("192.168.122.5")


@pytest.mark.parametrize("known", [OLD, NEW])
def test_of_several_neighbour_entries_the_known_one_stays_and_all_are_probed(
    known: IPv4Address,
) -> None:
    """The table remembers an address that the guest gave up; only asking for it tells."""
    said = Sightings(neighbours={"virbr0": {OLD: MAC, NEW: MAC}}, last={MAC: (known,)})
    assert found_address(SPOT, 4, None, said, {}) == Found(known, Source.NEIGHBOUR)
    assert set(doubtful(SPOT, 4, said, {})) == {OLD, NEW}


def test_a_single_neighbour_entry_is_not_doubted() -> None:
    said = Sightings(
        neighbours={"virbr0": {NEW: MAC, OLD: "52:54:00:00:00:99"}}, last={MAC: (OLD,)}
    )
    assert found_address(SPOT, 4, None, said, {}) == Found(NEW, Source.NEIGHBOUR)
    assert doubtful(SPOT, 4, said, {}) == []


def test_the_neighbours_of_another_device_prove_nothing() -> None:
    said = Sightings(neighbours={"br0": {IPv4Address("192.168.122.7"): MAC}})
    assert found_address(SPOT, 4, None, said, {}) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.3.4", "224.0.0.1", "0.0.0.0"])
def test_addresses_that_reach_nobody_are_passed_over(address: str) -> None:
    said = Sightings(neighbours={"virbr0": {ip_address(address): MAC}})
    assert found_address(SPOT, 4, None, said, {}) is None


def test_a_guest_that_answers_for_the_router_does_not_have_its_address() -> None:
    router = IPv4Address("192.168.1.1")
    spot = Spot(uuid(1), MAC, "br0", None)
    said = Sightings(neighbours={"br0": {router: MAC}}, gateways=frozenset({router}))
    forbidden = forbidden_addresses(said, (), ())
    assert forbidden == {router: "a gateway of this host"}
    assert found_address(spot, 4, None, said, forbidden) is None


def test_forbidden_are_the_hosts_the_gateways_and_other_guests_own() -> None:
    other = Domain(uuid(2), "db1", ())
    spot = Spot(uuid(2), "52:54:00:00:00:99", "virbr0", NAT)
    lease, own = IPv4Address("192.168.122.8"), IPv4Address("192.168.1.5")
    sightings = Sightings(leases={"virbr0": {"52:54:00:00:00:99": (lease,)}}, own=frozenset({own}))
    assert forbidden_addresses(sightings, [NAT], [(other, spot)]) == {
        lease: "the DHCP lease of guest 'db1'",
        IPv4Address("192.168.122.1"): "the gateway of network 'default'",
        own: "an address of this host",
    }


SIX = Spot(uuid(1), MAC, "virbr2", DUAL)
STABLE = IPv6Address("fd00:124::5054:ff:feaa:1")
TEMPORARY, OTHER = IPv6Address("fd00:124::89ab"), IPv6Address("fd00:124::1234")


def six(*addresses: IPv6Address, last: IPv6Address | None = None, **rest: object) -> Sightings:
    neighbours = {"virbr2": dict.fromkeys(addresses, MAC)}
    known = {MAC: (IPv4Address("192.168.124.7"), *([last] if last else []))}
    return Sightings(neighbours=neighbours, last=known, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "taken"),
    [
        (six(OTHER, TEMPORARY, STABLE, last=TEMPORARY), STABLE),
        (six(OTHER, TEMPORARY, last=TEMPORARY), TEMPORARY),
        (six(OTHER, TEMPORARY), OTHER),
        (six(OTHER, last=TEMPORARY), OTHER),
    ],
)
def test_of_many_ipv6_addresses_the_one_of_the_mac_is_taken_else_the_known_one(
    seen: Sightings, taken: IPv6Address
) -> None:
    assert found_address(SIX, 6, None, seen, {}) == Found(taken, Source.NEIGHBOUR)


def test_an_address_where_the_edge_takes_it_goes_before_one_of_the_home_line() -> None:
    home = IPv6Address("2001:db8::5054:ff:feaa:1")
    assert found_address(SIX, 6, None, six(home, OTHER), {}) == Found(OTHER, Source.NEIGHBOUR)
    given = six(home, OTHER, accepted=(IPv6Network("2001:db8::/64"),))
    assert found_address(SIX, 6, None, given, {}) == Found(home, Source.NEIGHBOUR)


@pytest.mark.parametrize("address", ["fe80::5054:ff:feaa:1", "::1", "ff02::1", "::"])
def test_ipv6_addresses_that_reach_nobody_are_passed_over(address: str) -> None:
    assert found_address(SIX, 6, None, six(IPv6Address(address)), {}) is None


def test_each_family_has_its_own_source() -> None:
    both = six(OTHER, leases={"virbr2": {MAC: (IPv4Address("192.168.124.9"),)}})
    assert found_address(SIX, 4, None, both, {}) == Found(
        IPv4Address("192.168.124.9"), Source.LEASE
    )
    assert found_address(SIX, 6, None, both, {}) == Found(OTHER, Source.NEIGHBOUR)
    assert found_address(SIX, 6, None, six(last=OTHER), {}) == Found(OTHER, Source.LAST)


def test_a_guest_that_never_spoke_is_asked_for_the_address_of_its_mac() -> None:
    assert doubtful(SIX, 6, six(), {}) == [STABLE]
    assert doubtful(SIX, 4, six(), {}) == []
    assert doubtful(SIX, 6, six(STABLE), {}) == []
    assert doubtful(SIX, 6, six(), {STABLE: "an address of this host"}) == []
    bridged = Spot(uuid(1), MAC, "br0", None)
    known = Sightings(on_link={"br0": (IPv6Network("fe80::/64"), IPv6Network("fd00:1::/64"))})
    assert doubtful(bridged, 6, known, {}) == [IPv6Address("fd00:1::5054:ff:feaa:1")]


SMALL = st.integers(1, 12).map(lambda last: ip_address(f"192.168.122.{last}"))
MACS = st.sampled_from([MAC, "52:54:00:aa:00:02", "52:54:00:aa:00:03"])
SEEN = st.builds(
    Sightings,
    leases=st.fixed_dictionaries({"virbr0": st.dictionaries(MACS, SMALL.map(lambda one: (one,)))}),
    neighbours=st.fixed_dictionaries({"virbr0": st.dictionaries(SMALL, MACS)}),
    agents=st.fixed_dictionaries(
        {uuid(1): st.lists(st.tuples(MACS, SMALL), max_size=4).map(tuple)}
    ),
    own=st.frozensets(SMALL, max_size=3),
    last=st.dictionaries(MACS, st.tuples(SMALL)),
)


@given(sightings=SEEN, taken=st.sets(SMALL))
def test_whatever_is_seen_a_forbidden_or_unproven_address_is_never_taken(
    sightings: Sightings, taken: set[IPv4Address]
) -> None:
    found = found_address(SPOT, 4, None, sightings, dict.fromkeys(taken, "someone's"))
    if found is None:
        return
    assert found.address not in taken
    if found.source in {Source.AGENT, Source.NEIGHBOUR}:
        assert sightings.neighbours["virbr0"][found.address] == MAC

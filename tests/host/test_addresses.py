"""Which private address is believed."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.making import MAC, NAT, uuid
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
    leases={"virbr0": {MAC: IPv4Address("192.168.122.3")}},
    neighbours={"virbr0": {IPv4Address("192.168.122.4"): MAC, IPv4Address("192.168.122.5"): MAC}},
    agents={uuid(1): ((MAC, IPv4Address("192.168.122.4")),)},
    last={MAC: IPv4Address("192.168.122.6")},
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
    assert found_address(STATIC, None, SIGHTINGS, forbidden) == expected


def test_the_annotation_comes_before_everything() -> None:
    asked = IPv4Address("192.168.122.99")
    assert found_address(STATIC, asked, SIGHTINGS, {}) == Found(asked, Source.ANNOTATION)


def test_a_guest_agent_alone_is_not_believed() -> None:
    said = Sightings(agents={uuid(1): ((MAC, IPv4Address("192.168.122.7")),)})
    assert found_address(SPOT, None, said, {}) is None
    assert doubtful(SPOT, said, {}) == [IPv4Address("192.168.122.7")]


def test_a_guest_agent_naming_a_neighbour_of_another_mac_is_not_believed() -> None:
    stolen = IPv4Address("192.168.122.7")
    said = Sightings(
        agents={uuid(1): ((MAC, stolen),)}, neighbours={"virbr0": {stolen: "52:54:00:00:00:99"}}
    )
    assert found_address(SPOT, None, said, {}) is None
    assert doubtful(SPOT, said, {}) == []


OLD, NEW = IPv4Address("192.168.122.4"), IPv4Address("192.168.122.5")


@pytest.mark.parametrize("known", [OLD, NEW])
def test_of_several_neighbour_entries_the_known_one_stays_and_all_are_probed(
    known: IPv4Address,
) -> None:
    """The table remembers an address that the guest gave up; only asking for it tells."""
    said = Sightings(neighbours={"virbr0": {OLD: MAC, NEW: MAC}}, last={MAC: known})
    assert found_address(SPOT, None, said, {}) == Found(known, Source.NEIGHBOUR)
    assert set(doubtful(SPOT, said, {})) == {OLD, NEW}


def test_a_single_neighbour_entry_is_not_doubted() -> None:
    said = Sightings(neighbours={"virbr0": {NEW: MAC, OLD: "52:54:00:00:00:99"}}, last={MAC: OLD})
    assert found_address(SPOT, None, said, {}) == Found(NEW, Source.NEIGHBOUR)
    assert doubtful(SPOT, said, {}) == []


def test_the_neighbours_of_another_device_prove_nothing() -> None:
    said = Sightings(neighbours={"br0": {IPv4Address("192.168.122.7"): MAC}})
    assert found_address(SPOT, None, said, {}) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.3.4", "224.0.0.1", "0.0.0.0"])
def test_addresses_that_reach_nobody_are_passed_over(address: str) -> None:
    said = Sightings(neighbours={"virbr0": {ip_address(address): MAC}})
    assert found_address(SPOT, None, said, {}) is None


def test_a_guest_that_answers_for_the_router_does_not_have_its_address() -> None:
    router = IPv4Address("192.168.1.1")
    spot = Spot(uuid(1), MAC, "br0", None)
    said = Sightings(neighbours={"br0": {router: MAC}}, gateways=frozenset({router}))
    forbidden = forbidden_addresses(said, (), ())
    assert forbidden == {router: "a gateway of this host"}
    assert found_address(spot, None, said, forbidden) is None


def test_forbidden_are_the_hosts_the_gateways_and_other_guests_own() -> None:
    other = Domain(uuid(2), "db1", ())
    spot = Spot(uuid(2), "52:54:00:00:00:99", "virbr0", NAT)
    lease, own = IPv4Address("192.168.122.8"), IPv4Address("192.168.1.5")
    sightings = Sightings(leases={"virbr0": {"52:54:00:00:00:99": lease}}, own=frozenset({own}))
    assert forbidden_addresses(sightings, [NAT], [(other, spot)]) == {
        lease: "the DHCP lease of guest 'db1'",
        IPv4Address("192.168.122.1"): "the gateway of network 'default'",
        own: "an address of this host",
    }


SMALL = st.integers(1, 12).map(lambda last: ip_address(f"192.168.122.{last}"))
MACS = st.sampled_from([MAC, "52:54:00:aa:00:02", "52:54:00:aa:00:03"])
SEEN = st.builds(
    Sightings,
    leases=st.fixed_dictionaries({"virbr0": st.dictionaries(MACS, SMALL)}),
    neighbours=st.fixed_dictionaries({"virbr0": st.dictionaries(SMALL, MACS)}),
    agents=st.fixed_dictionaries(
        {uuid(1): st.lists(st.tuples(MACS, SMALL), max_size=4).map(tuple)}
    ),
    own=st.frozensets(SMALL, max_size=3),
    last=st.dictionaries(MACS, SMALL),
)


@given(sightings=SEEN, taken=st.sets(SMALL))
def test_whatever_is_seen_a_forbidden_or_unproven_address_is_never_taken(
    sightings: Sightings, taken: set[IPv4Address]
) -> None:
    found = found_address(SPOT, None, sightings, dict.fromkeys(taken, "someone's"))
    if found is None:
        return
    assert found.address not in taken
    if found.source in {Source.AGENT, Source.NEIGHBOUR}:
        assert sightings.neighbours["virbr0"][found.address] == MAC

"""Two providers at one edge: what comes in by one goes out by the same, or it is lost there."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.kernels import lines, nft_words, settings
from tests.end_to_end.mapped import boot, connections, seen_by, wait_active
from tests.end_to_end.seen import Stopwatch
from tests.end_to_end.test_edge_faults import REPAIRED
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.domain import address, annotation, publish
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, UPLINKS

pytestmark = pytest.mark.lab

FIRST, SECOND = UPLINKS
PUBLICS = {
    "nat by the first": ("203.0.113.10", "nat"),
    "routed by the first": ("203.0.113.11", "routed"),
    "nat by the second, on-link": ("192.0.2.140", "nat"),
    "routed by the second, on-link": ("192.0.2.141", "routed"),
    "nat by the second, configured": ("192.0.2.142", "nat"),
    "routed by the second, configured": ("192.0.2.143", "routed"),
    "nat by the second, routed to the edge": ("198.18.6.1", "nat"),
    "routed by the second, routed to the edge": ("198.18.6.2", "routed"),
}
OUT = {"out-nat": ("192.0.2.144", "nat"), "out-routed": ("192.0.2.145", "routed")}
OUT_FIRST = {"out-first-nat": ("203.0.113.12", "nat"), "out-first": ("203.0.113.13", "routed")}
each = pytest.mark.parametrize(("public", "mode"), PUBLICS.values(), ids=PUBLICS)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The edge's default route is the first provider's; of the second edge.toml has the router."""
    with Lab(hosts=["home1"], uplinks=2) as lab:
        for public in ("192.0.2.142", "192.0.2.143"):
            lab.edge.configure_address(public, uplink=1)
        lab.internet.route_to_edge("198.18.6.0/24", uplink=1)
        lab.edge.daemon.init({"first": "203.0.113.10-203.0.113.20"})
        lab.edge.daemon.start()
        for pool in ("second=192.0.2.140-192.0.2.150", "far=198.18.6.0/24"):
            lab.edge.daemon(
                *("edge", "pool", "add", pool),
                *("--uplink", SECOND.device, "--gateway", str(SECOND.router)),
            )
        enrol(lab, lab["home1"])
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module", autouse=True)
def guests(lab: Lab) -> dict[str, StandIn]:
    host = lab["home1"]
    every = publish(*(address(public, mode=mode) for public, mode in PUBLICS.values()))
    made = [host.stand_in("web1", annotation=every)]
    for name, (public, mode) in {**OUT, **OUT_FIRST}.items():
        asked = annotation(public, mode=mode, egress="public")
        made.append(host.stand_in(name, annotation=asked))
    boot(*made)
    wait_active(made[0], *(public for public, _ in PUBLICS.values()))
    for guest in made[1:]:
        wait_active(guest, {**OUT, **OUT_FIRST}[guest.name][0])
    return {guest.name: guest for guest in made}


@pytest.fixture(scope="module")
def neighbours(lab: Lab) -> list[Machine]:
    """One on each uplink."""
    return [lab.add_neighbour(f"neighbour{number}", number) for number in range(2)]


@pytest.fixture(autouse=True)
def no_strays(lab: Lab) -> Iterator[None]:
    """No provider is sent a source that is not one of his own."""
    before = [provider.strays() for provider in lab.internet.providers]
    yield
    assert [provider.strays() for provider in lab.internet.providers] == before


@each
def test_the_client_is_answered_by_the_way_it_came(lab: Lab, public: str, mode: str) -> None:
    assert seen_by("web1", lab.client, public) == CLIENT
    with lab.client.stream(public) as stream:
        stream.wait_moves()
        assert (connections(lab.edge, public) == []) == (mode == "routed")
        assert stream.stop()


def test_neighbours_on_both_uplinks(neighbours: list[Machine]) -> None:
    first, second = neighbours
    assert seen_by("web1", first, "203.0.113.10") == str(FIRST.neighbour)
    assert seen_by("web1", first, "203.0.113.11") == str(FIRST.neighbour)
    for public in ("192.0.2.140", "192.0.2.141", "192.0.2.142", "192.0.2.143"):
        assert seen_by("web1", second, public) == str(SECOND.neighbour)


def test_a_neighbour_of_one_provider_asks_for_an_address_of_the_other(
    neighbours: list[Machine],
) -> None:
    first, second = neighbours
    for public in ("192.0.2.140", "192.0.2.141"):
        assert first.page(public).saw == str(FIRST.neighbour)
    for public in ("203.0.113.10", "203.0.113.11"):
        assert second.page(public).saw == str(SECOND.neighbour)


def test_whole_files_come_and_go(lab: Lab) -> None:
    for public in ("192.0.2.140", "192.0.2.141"):
        for verb in ("get", "put"):
            with transfer(lab.client, verb, public, 2_000_000, 10_000_000) as file:
                assert file.stop() == 2_000_000


@pytest.mark.parametrize("name", [*OUT, *OUT_FIRST])
def test_what_a_guest_begins_leaves_by_its_public_addresss_own_uplink(
    guests: dict[str, StandIn], name: str
) -> None:
    public, _ = {**OUT, **OUT_FIRST}[name]
    assert guests[name].fetch(CLIENT).saw == public
    assert guests[name].ask(CLIENT).saw == public
    assert guests[name].pings(CLIENT)


def test_the_edge_itself_goes_where_it_went(lab: Lab) -> None:
    assert lab.edge.page(CLIENT).saw == str(FIRST.edge)


def test_guests_reach_addresses_of_the_other_uplink(guests: dict[str, StandIn]) -> None:
    assert guests["out-nat"].fetch("203.0.113.10").name == "web1"
    assert guests["out-first"].fetch("192.0.2.141").name == "web1"


def ways(lab: Lab) -> set[str]:
    """Rules and routes of ours that lead to uplinks."""
    rules = lines(lab.edge, "ip", "rule")
    routes = lines(lab.edge, "ip", "-N", "route", "show", "table", "all", "proto", "123")
    return {one for one in rules if "/0xe0000000" in one} | {
        one for one in routes if " table 123" in one
    }


def beside(lab: Lab) -> set[str]:
    """What they need: marks, and that clients of the second provider are let in."""
    loose = settings(lab.edge, f"conf/{SECOND.device}/rp_filter")
    return ways(lab) | loose | nft_words(lab.edge, "zthook")


DAMAGE = {
    "our rules": "ip rule flush protocol 123",
    "our tables": "for table in 12311 12312; do ip route flush table $table; done",
    "a default route of ours": "ip route del default table 12312",
    "rp_filter strict": f"echo 1 >/proc/sys/net/ipv4/conf/{SECOND.device}/rp_filter",
    "all nftables": "nft flush ruleset",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_others_remove_is_back_within_two_seconds(lab: Lab, damage: str) -> None:
    before = beside(lab)
    lab.edge.run("sh", "-c", damage)
    watch = Stopwatch()
    wait_until(lambda: beside(lab) == before, 10, lambda: f"{before ^ beside(lab)}")
    assert watch.tell(f"{damage} until it is repaired") < REPAIRED
    wait_until(lambda: lab.client.ping("192.0.2.140", timeout=1), 5, "the guest answers")
    assert lab.client.page("192.0.2.140").saw == CLIENT


def test_nothing_of_it_is_left_without_a_mapping(lab: Lab, guests: dict[str, StandIn]) -> None:
    assert ways(lab)
    for guest in guests.values():
        guest.destroy()
    wait_until(lambda: not ways(lab), 10, lambda: f"nothing is left: {ways(lab)}")
    assert lab.edge.page(CLIENT).saw == str(FIRST.edge)

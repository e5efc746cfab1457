"""mode="routed", with packets: the edge is a router and the host translates."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.kernels import lines
from tests.end_to_end.mapped import (
    boot,
    connections,
    edge_mappings,
    seen_by,
    silent,
    traces_of_ours,
    wait_active,
)
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.domain import address, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, NEIGHBOUR_ON_UPLINK

pytestmark = pytest.mark.lab

ON_LINK, CONFIGURED, BEHIND = "203.0.113.10", "203.0.113.20", "192.0.2.200"
ELSEWHERE = "203.0.113.11"
NAT = "203.0.113.12"
WAYS = {"on-link": ON_LINK, "configured on the edge": CONFIGURED, "routed to the edge": BEHIND}
way = pytest.mark.parametrize("public", WAYS.values(), ids=WAYS)
SAME = "192.168.122.50"
"""The private address of both guests, at once."""


IPV6 = """
for device in all default overlay0 uplink0 line0; do
    for file in /proc/sys/net/ipv6/conf/$device/*; do
        [ ! -f $file ] || echo $file $(cat $file 2>/dev/null)
    done
done
ip -6 rule
ip -6 route show proto 123
ip -6 neigh show proxy
"""


def ipv6_of(lab: Lab) -> list[set[str]]:
    """What machines have of IPv6, settings too."""
    return [lines(machine, "sh", "-c", IPV6) for machine in (lab.edge, lab["home1"])]


@pytest.fixture(scope="module")
def ipv6_before() -> list[set[str]]:
    """ipv6_of() before zthook came; filled by ``lab``."""
    return []


@pytest.fixture(scope="module")
def lab(ipv6_before: list[set[str]]) -> Iterator[Lab]:
    """Two homes whose guests are on 192.168.122.0/24 both."""
    with Lab(same_guest_network=True) as lab:
        ipv6_before += ipv6_of(lab)
        lab.edge.configure_address(CONFIGURED)
        lab.internet.route_to_edge("192.0.2.192/28")
        lab.edge.daemon.init({"near": "203.0.113.9-203.0.113.21", "far": "192.0.2.192/28"})
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module")
def web1(lab: Lab) -> StandIn:
    """On home1, with an address of each way."""
    routed = [address(one, mode="routed") for one in WAYS.values()]
    return _same_guest(lab["home1"], "web1", publish(*routed))


@pytest.fixture(scope="module")
def web2(lab: Lab, web1: StandIn) -> StandIn:
    """On home2, with the same private address."""
    guest = _same_guest(lab["home2"], "web2", publish(address(ELSEWHERE, mode="routed")))
    boot(web1, guest)
    wait_active(web1, *WAYS.values())
    wait_active(guest, ELSEWHERE)
    return guest


@pytest.fixture(autouse=True)
def both(web1: StandIn, web2: StandIn) -> None:
    assert web1.address == web2.address == SAME


def _same_guest(host: Host, name: str, annotation: str) -> StandIn:
    guest = host.stand_in(name, annotation=annotation)
    host.fix_lease(guest.mac, SAME)
    return guest


@way
def test_a_client_reaches_the_guest_which_sees_its_address(
    lab: Lab, web1: StandIn, public: str
) -> None:
    assert seen_by("web1", lab.client, public) == CLIENT
    log = web1.body.http("127.0.0.1", path="/log").splitlines()
    assert log[-2].startswith(f"saw {CLIENT} "), "the last one is this look at it"


@way
def test_the_edge_tracks_nothing_of_it(lab: Lab, web1: StandIn, public: str) -> None:
    lab.edge.run("conntrack", "-F", check=False)
    seen_by("web1", lab.client, public)
    with lab.client.stream(public) as stream:
        stream.wait_moves()
        assert connections(lab.edge, public, CLIENT, SAME) == []
        assert stream.stop()
    assert connections(lab["home1"], public), "the host does"


def test_two_hosts_with_one_subnet_and_one_private_address_work_at_once(
    lab: Lab, web1: StandIn, web2: StandIn
) -> None:
    with lab.client.stream(ON_LINK) as one, lab.client.stream(ELSEWHERE) as other:
        for _ in range(2):
            one.wait_moves()
            other.wait_moves()
        assert seen_by("web1", lab.client, ON_LINK) == CLIENT
        assert seen_by("web2", lab.client, ELSEWHERE) == CLIENT
        assert one.stop()
        assert other.stop()
    rows = edge_mappings(lab, ON_LINK, ELSEWHERE)
    assert [(row["private"], row["mode"]) for row in rows] == [(SAME, "routed")] * 2


def test_machines_that_are_asked_for_no_ipv6_stay_as_they_were(
    lab: Lab, ipv6_before: list[set[str]]
) -> None:
    assert ipv6_of(lab) == ipv6_before


def test_whole_files_come_and_go(lab: Lab, web1: StandIn) -> None:
    for verb in ("get", "put"):
        with transfer(lab.client, verb, ON_LINK, 5_000_000, 10_000_000) as file:
            assert file.stop() == 5_000_000


def test_datagrams_in_fragments_arrive_whole_both_ways(lab: Lab, web1: StandIn) -> None:
    text = "fragments " * 500
    assert lab.client.udp_echo(ON_LINK, text=text) == text


def test_a_neighbour_on_the_uplink_reaches_the_guest_and_is_seen(
    neighbour: Machine, web1: StandIn
) -> None:
    for public in (ON_LINK, CONFIGURED):
        assert seen_by("web1", neighbour, public) == NEIGHBOUR_ON_UPLINK


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Machine:
    return lab.add_neighbour()


def test_what_is_begun_at_home_leaves_by_the_home_line(lab: Lab, web1: StandIn) -> None:
    host = lab["home1"]
    with lab.client.stream(ON_LINK) as inward:
        inward.wait_moves()
        assert web1.fetch(CLIENT).saw == web1.ask(CLIENT).saw == host.line.outer
        assert host.page(CLIENT).saw == host.udp_page(CLIENT).saw == host.line.outer
        assert web1.pings(CLIENT)
        inward.wait_moves()


def test_a_guest_may_have_addresses_of_both_modes(lab: Lab, web1: StandIn) -> None:
    host = lab["home1"]
    assert "is active" in host.agent("assign", "web1", NAT).stdout
    assert seen_by("web1", lab.client, NAT) == CLIENT
    assert seen_by("web1", lab.client, ON_LINK) == CLIENT
    host.agent("unassign", "web1", NAT)
    wait_until(lambda: silent(lab.client, NAT), 5, f"{NAT} is silent")
    assert seen_by("web1", lab.client, ON_LINK) == CLIENT


@way
def test_unassigned_its_connections_end_and_nobody_answers(
    lab: Lab, web1: StandIn, public: str
) -> None:
    host = lab["home1"]
    with lab.client.stream(public, timeout=3) as stream:
        stream.wait_moves()
        host.agent("unassign", "web1", public)
        assert edge_mappings(lab, public) == []
        assert stream.wait_broken() in {"timeout", "reset", "unreachable", "refused"}
    if public != CONFIGURED:
        assert silent(lab.client, public)
    routes = lab.edge.run("ip", "route", "show", "table", "all", public).stdout
    assert "proto 123" not in routes
    assert public not in lab.edge.run("nft", "list", "table", "inet", "zthook").stdout
    assert connections(host, public) == []


def test_with_the_last_mapping_all_of_ours_goes_from_the_host(lab: Lab, web1: StandIn) -> None:
    """The last test of this module: web1 has no addresses any more."""
    host = lab["home1"]
    wait_until(lambda: not traces_of_ours(host), 10, lambda: f"there is {traces_of_ours(host)}")
    assert web1.fetch(CLIENT).saw == host.line.outer
    assert seen_by("web2", lab.client, ELSEWHERE) == CLIENT

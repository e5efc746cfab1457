"""Two providers at one edge, each of which takes only his own customers' sources."""

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.topology import CLIENT, UPLINKS

pytestmark = pytest.mark.netns

FIRST, SECOND = UPLINKS


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(hosts=["home1"], uplinks=2) as lab:
        yield lab


def test_an_answer_by_the_wrong_uplink_is_dropped_and_counted(lab: Lab) -> None:
    first, second = lab.internet.providers
    before = first.strays()
    lab.edge.namespace.sysctl(ipv4__conf__uplink1__rp_filter=2)  # else it is deaf to them
    assert lab.client.ping(str(FIRST.edge))
    assert not lab.client.ping(str(SECOND.edge)), "the edge answers by its default route"
    assert first.strays() == before + 1
    lab.edge.ip(
        f"rule add from {SECOND.edge} table 7",
        f"route add default via {SECOND.router} table 7",
    )
    assert lab.client.ping(str(SECOND.edge))
    assert (first.strays(), second.strays()) == (before + 1, 0)


def test_each_provider_routes_networks_to_the_edge(lab: Lab) -> None:
    for number, network in enumerate(("198.18.5.0/24", "198.18.6.0/24")):
        lab.internet.route_to_edge(network, number)
        address = network.replace("0/24", "1")
        lab.edge.configure_address(address, number)
        if number:
            lab.edge.ip(f"rule add from {network} table 7")
        assert lab.client.ping(address)


def test_a_customer_of_the_second_provider(lab: Lab) -> None:
    neighbour = lab.add_neighbour("neighbour2", uplink=1)
    service = lab.client.serve()
    try:
        assert neighbour.page(CLIENT).saw == str(SECOND.neighbour)
    finally:
        service.kill()

"""A lab with IPv6 everywhere, and one without."""

from collections.abc import Iterator

import pytest

from tests.lab import Host, Lab, StandIn, wait_until
from tests.lab.stand_in import MANAGED
from tests.lab.topology import CLIENT, CLIENT6, EDGE6_ON_OVERLAY, UPLINKS

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(hosts=["home1"], ipv6=True) as lab:
        lab.client.serve()
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    lab["home1"].libvirtd.start()
    return lab["home1"]


@pytest.fixture(scope="module")
def guest(host: Host) -> Iterator[StandIn]:
    guest = host.stand_in("web1")
    guest.boot()
    yield guest
    guest.destroy()


def test_client_edge_and_host_know_each_other(lab: Lab, host: Host) -> None:
    assert lab.client.ping(str(UPLINKS[0].edge6))
    assert host.ping(EDGE6_ON_OVERLAY)
    page = host.page(CLIENT6)
    assert page.saw.startswith("2001:db8:11:")
    assert host.udp_page(CLIENT6).saw == page.saw


def test_a_hosts_default_route_is_an_advertised_one(host: Host) -> None:
    assert "proto ra" in host.run("ip", "-6", "route", "show", "default").stdout


def test_an_uplink_with_an_advertised_default_route(lab: Lab) -> None:
    lab.edge.ip(f"route del default via {UPLINKS[0].router6}")
    assert not lab.client.ping(str(UPLINKS[0].edge6))
    lab.internet.providers[0].advertise()
    wait_until(lambda: lab.client.ping(str(UPLINKS[0].edge6)), 10, "an advertised way back")
    assert "proto ra" in lab.edge.run("ip", "-6", "route", "show", "default").stdout


def test_a_guest_takes_an_address_of_the_advertised_prefix(host: Host, guest: StandIn) -> None:
    assert guest.address6.startswith("fd00:122::")
    assert host.page(guest.address6).saw == str(host.home.guests6[1])
    assert guest.fetch(CLIENT).saw == host.line.outer
    assert guest.fetch(CLIENT6).saw.startswith("2001:db8:11:"), "translated, as in IPv4"


def test_a_guest_is_given_an_address_by_dhcpv6(host: Host) -> None:
    host.run("virsh", "-q", "net-create", "/dev/stdin", stdin=MANAGED)
    guest = host.stand_in("managed1", network="managed")
    guest.boot()
    given = guest.ask_dhcp6()
    assert given.startswith("fd00:166::1")
    assert host.page(given).name == "managed1"
    assert given in host.virsh("net-dhcp-leases", "managed")
    guest.destroy()


def test_a_real_guest_with_an_address_given(host: Host) -> None:
    guest = host.define_guest("real1", address6="fd00:122::50/64", gateway6="fd00:122::1")
    guest.boot()
    assert host.page("fd00:122::50").name == "real1"
    assert guest.fetch(CLIENT6).saw.startswith("2001:db8:11:")
    assert guest.ask(CLIENT6).name == "client"
    assert guest.pings(CLIENT6)
    guest.destroy()


def test_without_asking_there_is_none() -> None:
    with Lab(hosts=["home1"]) as lab:
        for machine in (lab.client, lab.edge, lab["home1"]):
            assert machine.run("ip", "-6", "route", "show", "default").stdout == ""
            assert "global" not in machine.run("ip", "-6", "addr").stdout

"""Whom a guest sees: client="keep" and "hide", on each kind of network, with packets."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from tests.end_to_end.conftest import forget
from tests.end_to_end.seen import Stopwatch
from tests.end_to_end.traces import edge_rows, host_table, traces
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY

pytestmark = pytest.mark.lab

ROUTED, BRIDGED, LONELY = "203.0.113.10", "203.0.113.11", "203.0.113.12"
ISOLATED = IPv4Network("10.99.0.0/24")
ISOLATED_NETWORK = f"""
<network>
  <name>isolated</name>
  <bridge name="virbr9" stp="on" delay="0"/>
  <ip address="{ISOLATED[1]}" netmask="{ISOLATED.netmask}">
    <dhcp><range start="{ISOLATED[100]}" end="{ISOLATED[199]}"/></dhcp>
  </ip>
</network>
"""
FORWARD = """
add table ip byhand
add chain ip byhand arriving {{ type nat hook prerouting priority dstnat; }}
add rule ip byhand arriving {}
"""


@pytest.fixture(scope="module")
def host(home: Lab) -> Host:
    """Its home line is in a bridge br0, and it has an isolated libvirt network."""
    home["home1"].bridge_line()
    return home["home1"]


@pytest.fixture(scope="module")
def internet(home: Lab) -> Machine:
    """The client, which serves a page that tells where a request came from."""
    home.client.serve("internet")
    return home.client


@pytest.fixture(scope="module")
def guests(host: Host) -> Iterator[dict[str, Guest]]:
    """Three that start at once: on libvirt's nat network, on the home LAN, on an isolated one."""
    host.run("virsh", "-q", "net-define", "/dev/stdin", stdin=ISOLATED_NETWORK)
    host.virsh("net-start", "isolated")
    on_lan = f"{host.home.lan[50]}/{host.home.lan.prefixlen}"
    made = {
        "routed": host.stand_in("routed", annotation=annotation(ROUTED)),
        "bridged": host.stand_in(
            "bridged",
            annotation=annotation(BRIDGED),
            bridge="br0",
            address=on_lan,
            gateway=str(host.home.router),
        ),
        "lonely": host.stand_in(
            "lonely", annotation=annotation(LONELY, client="hide"), network="isolated"
        ),
    }
    for guest in made.values():
        guest.start()
    for guest in made.values():
        guest.wait_ready()
        assert host.reaches(guest.address), "one with an address of its own is seen once it speaks"
    yield made
    for guest in made.values():
        forget(guest)


@pytest.fixture
def routed(host: Host, guests: dict[str, Guest]) -> Guest:
    host.agent.wait_state("routed", "active")
    return guests["routed"]


@pytest.fixture
def bridged(host: Host, guests: dict[str, Guest]) -> Guest:
    host.agent.wait_state("bridged", "active")
    return guests["bridged"]


def seen_client(lab: Lab, public: str, name: str) -> str:
    """The address that the guest behind ``public`` saw; UDP and ICMP go the same way."""
    page = lab.client.page(public)
    assert page.name == name
    assert lab.client.udp_echo(public, text="datagram") == "datagram"
    assert lab.client.ping(public, timeout=3)
    return page.saw


# On libvirt's own networks the guest's answers come by this host.


def test_on_a_nat_network_the_guest_sees_the_client(home: Lab, host: Host, routed: Guest) -> None:
    assert [row["client"] for row in host.agent.mappings("routed")] == ["keep"]
    assert seen_client(home, ROUTED, "routed") == CLIENT


def test_hidden_on_a_nat_network_the_client_is_the_edge_from_the_next_connection_on(
    home: Lab, host: Host, routed: Guest
) -> None:
    try:
        assert "is active" in host.agent("assign", "routed", ROUTED, "--client", "hide").stdout
        assert [row["client"] for row in edge_rows(home, ROUTED)] == ["hide"]
        assert seen_client(home, ROUTED, "routed") == EDGE_ON_OVERLAY
    finally:
        host.agent("assign", "routed", ROUTED)
    assert seen_client(home, ROUTED, "routed") == CLIENT


# On a bridge to the home LAN the guest answers by the home's router.


def test_on_a_bridge_the_client_is_this_host_by_default(
    home: Lab, host: Host, bridged: Guest
) -> None:
    [row] = host.agent.mappings("bridged")
    assert (row["private"], row["source"], row["client"]) == (
        bridged.address,
        "neighbour table",
        "hide",
    )
    assert seen_client(home, BRIDGED, "bridged") == str(host.home.host)


def test_keep_on_a_bridge_is_refused_with_its_reason_and_nothing_gets_through(
    home: Lab, host: Host, bridged: Guest
) -> None:
    try:
        done = host.agent("assign", "bridged", BRIDGED, "--client", "keep", check=False)
        assert done.returncode == 1
        assert 'client="keep" needs the guest\'s default route to go through this host' in (
            done.stdout
        )
        assert "bridge br0" in host.agent("status", "bridged", check=False).stdout
        assert not home.client.reaches(BRIDGED)
        assert edge_rows(home, BRIDGED) == []
        assert bridged.address not in host_table(host)
    finally:
        host.agent("assign", "bridged", BRIDGED)
    assert seen_client(home, BRIDGED, "bridged") == str(host.home.host)


def test_an_address_the_guest_gives_itself_instead_is_followed(
    home: Lab, host: Host, bridged: Guest
) -> None:
    """The neighbour table alone tells of it, and remembers the old one for long."""
    old, new = bridged.address, str(host.home.lan[60])
    bridged.renumber(f"{new}/{host.home.lan.prefixlen}", str(host.home.router))
    watch = Stopwatch()
    wait_until(
        lambda: (
            [(row["private"], row["state"]) for row in host.agent.mappings("bridged")]
            == [(new, "active")]
        ),
        30,
        lambda: f"{new} is followed; it is {host.agent.mappings('bridged')}",
    )
    watch.tell("followed after")
    assert seen_client(home, BRIDGED, "bridged") == str(host.home.host)
    assert traces(home, host, "", old) == []


def test_on_an_isolated_network_the_client_is_this_host(
    home: Lab, host: Host, guests: dict[str, Guest]
) -> None:
    row = host.agent.wait_state("lonely", "active")
    assert (row["source"], row["client"]) == ("DHCP lease", "hide")
    assert seen_client(home, LONELY, "lonely") == str(ISOLATED[1])


# Nothing else changes its way.


def test_what_a_mapped_guest_begins_leaves_by_the_home_line(
    home: Lab, host: Host, internet: Machine, routed: Guest, bridged: Guest
) -> None:
    with home.client.stream(ROUTED) as inward, home.client.stream(BRIDGED) as inward_too:
        inward.wait_moves()
        inward_too.wait_moves()
        assert routed.fetch(CLIENT).saw == host.line.outer
        assert bridged.fetch(CLIENT).saw == host.line.outer
        inward.wait_moves()
        inward_too.wait_moves()


def test_what_the_host_begins_leaves_by_the_home_line(
    host: Host, internet: Machine, routed: Guest
) -> None:
    assert host.page(CLIENT).saw == host.line.outer
    assert host.udp_echo(CLIENT) == "hello"
    assert host.ping(CLIENT)


def test_a_port_that_was_forwarded_by_hand_answers_by_the_home_line_as_before(
    home: Lab, host: Host, routed: Guest
) -> None:
    """The same guest, at the same time by the home's own address: at router and host."""
    for machine, rule in (
        (host.line.namespace, f"iifname wan0 tcp dport 8081 dnat to {host.home.host}:8081"),
        (host, f"iifname br0 tcp dport 8081 dnat to {routed.address}:80"),
    ):
        machine.run("nft", "-f", "-", stdin=FORWARD.format(rule))
    accept = ("LIBVIRT_FWI", "-d", routed.address, "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
    host.run("iptables", "-I", *accept)
    try:
        with home.client.stream(ROUTED) as through_the_edge:
            through_the_edge.wait_moves()
            page = home.client.page(host.line.outer, 8081)
            assert (page.name, page.saw) == ("routed", CLIENT)
            assert home.client.page(ROUTED).saw == CLIENT
            through_the_edge.wait_moves()
    finally:
        host.run("iptables", "-D", *accept)
        for machine in (host.line.namespace, host):
            machine.run("nft", "delete", "table", "ip", "byhand")


def test_without_mappings_nothing_of_ours_is_in_the_hosts_kernel(
    home: Lab, host: Host, guests: dict[str, Guest]
) -> None:
    """The last test of this module: it takes every guest's address."""
    for name in guests:
        host.agent("unassign", name)
    wait_until(lambda: not edge_rows(home), 10, lambda: f"the edge has {edge_rows(home)}")

    def left() -> str:
        rules = host.run("ip", "rule").stdout
        chains = host.run("iptables-save", check=False).stdout
        routes = host.run("ip", "route", "show", "table", "all", "proto", "123").stdout
        found = [
            line for line in (rules + chains).splitlines() if "zthook" in line or "12300" in line
        ]
        return "\n".join([*found, routes, host_table(host)]).strip()

    wait_until(lambda: not left(), 10, lambda: f"nothing is left; there is {left()}")

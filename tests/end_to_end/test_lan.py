"""A host behind a gateway on its LAN, macvtap guests, and guests with a second interface."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from tests.end_to_end.conftest import enrol, forget, set_leases
from tests.end_to_end.mapped import boot, edge_mappings, seen_by, wait_active
from tests.end_to_end.seen import host_status
from tests.lab.commands import wait_until
from tests.lab.domain import Interface, address, annotation, publish
from tests.lab.gateway import Gateway
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY, OVERLAY

pytestmark = pytest.mark.lab

NETWORK, TAP, PLAIN_TAP = "203.0.113.10", "203.0.113.11", "203.0.113.12"
FIRST, SECOND = "203.0.113.13", "203.0.113.14"
OTHER = "203.0.113.15"
GUESTS = IPv4Network("192.168.61.0/24")
"""A libvirt network that others have to know a route to."""
ROUTED_NETWORK = f"""
<network>
  <name>routed</name>
  <forward mode="route"/>
  <bridge name="virbr6" stp="off" delay="0"/>
  <ip address="{GUESTS[1]}" netmask="{GUESTS.netmask}">
    <dhcp><range start="{GUESTS[100]}" end="{GUESTS[199]}"/></dhcp>
  </ip>
</network>
"""
LEASE = 6.0
"""Of the edge, so that a host soon hears that it is away."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """home1 is no member of the overlay, a gateway on its LAN is; home2 is one."""
    with Lab(behind_gateway=["home1"]) as lab:
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.20"})
        set_leases(lab, LEASE, 600)
        lab.edge.daemon.start()
        home1 = lab["home1"]
        enrol(lab, home1, via=home1.overlay_address)
        enrol(lab, lab["home2"])
        home1.run("virsh", "-q", "net-create", "/dev/stdin", stdin=ROUTED_NETWORK)
        lab.client.serve("internet")
        for host in lab.hosts.values():
            host.keep_tap_nodes()
        yield lab


@pytest.fixture(scope="module")
def home1(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def home2(lab: Lab) -> Host:
    return lab["home2"]


@pytest.fixture(scope="module")
def gateway(lab: Lab) -> Gateway:
    return lab.gateways["home1"]


@pytest.fixture(scope="module", autouse=True)
def guests(lab: Lab, home1: Host, home2: Host) -> dict[str, StandIn]:
    """Behind the gateway one on libvirt's network, one by macvtap; on home2 the odd ones."""
    legs = Interface("52:54:00:77:00:02", "shared0", "bridge")
    lab.join_hosts()
    home2.ip("addr add 10.77.0.2/24 dev shared0")
    taps = {"tap": (home1, TAP), "plain-tap": (home2, PLAIN_TAP)}
    made = [
        home1.stand_in("inside", network="routed", annotation=annotation(NETWORK)),
        home2.stand_in(
            "legs",
            second=legs,
            annotation=publish(address(FIRST), address(SECOND, interface=legs.mac)),
        ),
        *(
            host.stand_in(
                name,
                macvtap=True,
                address=f"{host.home.lan[50]}/24",
                gateway=str(host.home.router),
                annotation=annotation(public, private=str(host.home.lan[50])),
            )
            for name, (host, public) in taps.items()
        ),
    ]
    boot(*made)
    made[1].add_leg("10.77.0.9/24")
    assert home2.reaches("10.77.0.9")
    return {guest.name: guest for guest in made}


# Behind a gateway.


def test_what_the_gateway_lacks_is_named_and_with_it_a_guest_is_reached(
    lab: Lab, home1: Host, gateway: Gateway, guests: dict[str, StandIn]
) -> None:
    def said() -> str:
        return str(host_status(home1)["faults"]) + str(home1.agent.mappings("inside"))

    wanted = f"does not answer to {GUESTS}: it needs a route there by this host"
    wait_until(lambda: wanted in said(), 10, lambda: f"the route is missed: {said()}")
    assert not lab.client.reaches(NETWORK)
    gateway.learn_route(GUESTS)
    wait_until(lambda: lab.client.reaches(NETWORK), 10, "it is reached")


def test_a_guest_behind_the_gateway_is_reached_and_sees_an_address_of_its(
    lab: Lab, home1: Host, guests: dict[str, StandIn]
) -> None:
    wait_active(guests["inside"], NETWORK)
    assert seen_by("inside", lab.client, NETWORK) == str(home1.home.gateway)
    [row] = edge_mappings(lab, NETWORK)
    assert (row["client"], row["mode"]) == ("hide", "nat")
    with lab.client.stream(NETWORK) as stream:
        stream.wait_moves()
        assert stream.stop()


def test_a_gateway_that_does_not_masquerade_needs_a_route_at_the_guests_router(
    lab: Lab, home1: Host, gateway: Gateway, guests: dict[str, StandIn]
) -> None:
    gateway.masquerade(on=False)
    try:
        assert seen_by("inside", lab.client, NETWORK) == EDGE_ON_OVERLAY, "this host has the route"
        assert not lab.client.reaches(TAP)
        home1.line.namespace.ip(f"route add {OVERLAY} via {home1.home.gateway}")
        assert seen_by("tap", lab.client, TAP) == EDGE_ON_OVERLAY
        home1.line.namespace.ip(f"route del {OVERLAY}")
    finally:
        gateway.masquerade(on=True)


def test_a_macvtap_guest_is_reached_through_the_gateway(
    lab: Lab, home1: Host, guests: dict[str, StandIn]
) -> None:
    wait_active(guests["tap"], TAP)
    assert seen_by("tap", lab.client, TAP) == str(home1.home.gateway)


def test_what_such_a_guest_begins_leaves_by_the_home_line(
    home1: Host, guests: dict[str, StandIn]
) -> None:
    home1.line.namespace.ip(f"route add {GUESTS} via {home1.home.host}")
    for name in ("inside", "tap"):
        assert guests[name].fetch(CLIENT).saw == home1.line.outer


@pytest.mark.parametrize(
    "words", [("--mode", "routed"), ("--client", "keep"), ("--egress", "public")]
)
def test_what_can_not_be_behind_a_gateway_is_refused_and_says_so(
    home1: Host, words: tuple[str, str]
) -> None:
    try:
        said = home1.agent("assign", "inside", OTHER, *words, check=False)
        assert said.returncode == 1
        assert "can not work behind a LAN gateway" in said.stdout
    finally:
        home1.agent("unassign", "inside", OTHER)


def test_on_libvirts_nat_network_it_is_refused_with_what_would_help(home1: Host) -> None:
    guest = home1.stand_in("walled", annotation=annotation(OTHER))
    try:
        boot(guest)
        reason = home1.agent.wait_state("walled", "refused")["reason"]
        assert "lets nobody in from a LAN gateway" in reason
    finally:
        forget(guest)


def test_a_gateway_that_forwards_no_more_is_named(
    lab: Lab, home1: Host, gateway: Gateway, guests: dict[str, StandIn]
) -> None:
    gateway.forward(on=False)
    try:
        wait_until(
            lambda: any("it has to forward" in one for one in host_status(home1)["faults"]),
            30,
            lambda: f"it is named: {host_status(home1)['faults']}",
        )
    finally:
        gateway.forward(on=True)
    wait_until(lambda: not host_status(home1)["faults"], 30, "the edge is reached again")
    assert seen_by("inside", lab.client, NETWORK) == str(home1.home.gateway)


# By macvtap, without a gateway.


def test_a_macvtap_guest_is_refused_with_what_would_help(
    home2: Host, guests: dict[str, StandIn]
) -> None:
    row = home2.agent.wait_state("plain-tap", "refused")
    assert "a macvtap guest can not talk to its own host" in row["reason"]


# With a second interface.


def test_each_interface_may_have_its_address(lab: Lab, guests: dict[str, StandIn]) -> None:
    wait_active(guests["legs"], FIRST, SECOND)
    assert seen_by("legs", lab.client, FIRST) == CLIENT
    assert seen_by("legs", lab.client, SECOND) == "10.77.0.2", "the host's on that network"
    rows = {row["public"]: row for row in lab["home2"].agent.mappings("legs")}
    assert rows[SECOND]["private"] == "10.77.0.9"
    assert (rows[FIRST]["client"], rows[SECOND]["client"]) == ("keep", "hide")

"""IPv6 addresses, in both modes, and a machine that asked for none."""

import re
from collections.abc import Iterator

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.mapped import boot, connections, seen_by, silent, unreached, wait_active
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.domain import address, annotation, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.stand_in import MANAGED, StandIn
from tests.lab.topology import (
    CLIENT,
    CLIENT6,
    EDGE6_ON_OVERLAY,
    LINE_DEVICE,
    OVERLAY_DEVICE,
    UPLINK_DEVICE,
    UPLINKS,
)

pytestmark = pytest.mark.lab

NAT, ROUTED = "2001:db8:113::10", "2001:db8:113::11"
CONFIGURED, CONFIGURED_ROUTED = "2001:db8:113::20", "2001:db8:113::21"
FAR, FAR_ROUTED = "2001:db8:200::10", "2001:db8:200::11"
PORT, PORT_ROUTED = "2001:db8:113::12", "2001:db8:113::13"
OUT, OUT_ROUTED = "2001:db8:113::14", "2001:db8:113::15"
HIDDEN = "2001:db8:113::16"
BY_DHCP = "2001:db8:113::19"
OTHER_ROUTED = "2001:db8:113::17"
IPV4 = "203.0.113.10"
WHOLE = {
    "nat, on-link": NAT,
    "routed, on-link": ROUTED,
    "nat, configured": CONFIGURED,
    "routed, configured": CONFIGURED_ROUTED,
    "nat, routed to the edge": FAR,
    "routed, routed to the edge": FAR_ROUTED,
}
ROUTED_ONES = (ROUTED, CONFIGURED_ROUTED, FAR_ROUTED)
each = pytest.mark.parametrize("public", WHOLE.values(), ids=WHOLE)
GUESTS = {"out": OUT, "out-routed": OUT_ROUTED}
MARKER = 4242
NEIGHBOUR = str(UPLINKS[0].neighbour6)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two homes with one IPv6 subnet; the edge's default route is an advertised one."""
    with Lab(ipv6=True, same_guest_network=True) as lab:
        for public in (CONFIGURED, CONFIGURED_ROUTED):
            lab.edge.configure_address(public)
        lab.internet.route_to_edge("2001:db8:200::/64")
        lab.edge.ip(f"route del default via {UPLINKS[0].router6}")
        lab.internet.providers[0].advertise()
        wait_until(lambda: "proto ra" in default_route(lab), 10, "the edge hears its provider")
        pools = {
            "four": "203.0.113.10-203.0.113.14",
            "near": "2001:db8:113::10-2001:db8:113::2f",
            "far": "2001:db8:200::/64",
        }
        lab.edge.daemon.init(pools)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        lab.client.serve("internet", ports=f"tcp/{MARKER}")
        yield lab


def default_route(lab: Lab) -> str:
    return lab.edge.run("ip", "-6", "route", "show", "default").stdout


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def guests(lab: Lab, host: Host) -> dict[str, StandIn]:
    routed, out = {"mode": "routed"}, {"egress": "public"}
    modes = {public: "routed" if public in ROUTED_ONES else "nat" for public in WHOLE.values()}
    made = [
        host.stand_in(
            "web1",
            annotation=publish(
                *(address(public, mode=mode) for public, mode in modes.items()),
                address(PORT, "tcp/80:8080", "udp/27000-27003", f"{CLIENT6}/128"),
                address(PORT_ROUTED, "tcp/80:8080", "udp/27000-27003", **routed),
                address(HIDDEN, client="hide"),
                address(IPV4),
            ),
            ports="udp/27000-27002",
        ),
        host.stand_in("out", annotation=annotation(OUT, **out)),
        host.stand_in("out-routed", annotation=annotation(OUT_ROUTED, **routed, **out)),
        host.stand_in("plain"),
        lab["home2"].stand_in("far", annotation=annotation(OTHER_ROUTED, **routed)),
    ]
    boot(*made)
    for guest in made:
        assert guest.address6.startswith("fd00:122::")
        assert guest.pings(str(host.home.guests6[1])), "it has spoken"
    wait_active(made[0], *WHOLE.values(), PORT, PORT_ROUTED, HIDDEN, IPV4)
    for guest, public in zip(
        (made[1], made[2], made[4]), (OUT, OUT_ROUTED, OTHER_ROUTED), strict=True
    ):
        wait_active(guest, public)
    return {guest.name: guest for guest in made}


@pytest.fixture(autouse=True)
def all_run(guests: dict[str, StandIn]) -> None:
    """They serve."""


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Machine:
    machine = lab.add_neighbour()
    machine.serve()
    return machine


# In.


@each
def test_a_client_reaches_the_guest_which_sees_its_address(lab: Lab, public: str) -> None:
    assert seen_by("web1", lab.client, public) == CLIENT6
    with lab.client.stream(public) as stream:
        stream.wait_moves()
        assert (connections(lab.edge, public) == []) == (public in ROUTED_ONES)
        assert stream.stop()


@pytest.mark.parametrize("public", [NAT, ROUTED])
def test_whole_files_come_and_go(lab: Lab, public: str) -> None:
    for verb in ("get", "put"):
        with transfer(lab.client, verb, public, 2_000_000, 10_000_000) as file:
            assert file.stop() == 2_000_000


@pytest.mark.parametrize("public", [NAT, ROUTED, PORT_ROUTED])
def test_datagrams_in_fragments_arrive_whole_both_ways(lab: Lab, public: str) -> None:
    text = "fragments " * 500
    port = 27000 if public == PORT_ROUTED else 7
    assert lab.client.udp_echo(public, port, text=text) == text


def test_ipv4_beside_it_is_as_ever(lab: Lab) -> None:
    assert seen_by("web1", lab.client, IPV4) == CLIENT


@pytest.mark.parametrize("public", [NAT, ROUTED])
def test_a_neighbour_finds_it_at_once(neighbour: Machine, public: str) -> None:
    assert seen_by("web1", neighbour, public) == NEIGHBOUR


def test_two_hosts_with_one_prefix(lab: Lab) -> None:
    assert seen_by("far", lab.client, OTHER_ROUTED) == CLIENT6
    assert seen_by("web1", lab.client, ROUTED) == CLIENT6


def test_hidden_the_guest_sees_the_edge(lab: Lab) -> None:
    assert seen_by("web1", lab.client, HIDDEN) == EDGE6_ON_OVERLAY


def test_an_address_by_dhcpv6_is_the_guests(lab: Lab, host: Host) -> None:
    host.run("virsh", "-q", "net-create", "/dev/stdin", stdin=MANAGED)
    guest = host.stand_in("managed1", network="managed", annotation=annotation(BY_DHCP))
    boot(guest)
    given = guest.ask_dhcp6()
    wait_active(guest, BY_DHCP)
    [row] = host.agent.mappings("managed1")
    assert (row["private"], row["source"]) == (given, "DHCP lease")
    assert seen_by("managed1", lab.client, BY_DHCP) == CLIENT6
    guest.destroy()


# Parts.


@pytest.mark.parametrize("public", [PORT, PORT_ROUTED])
def test_ports(lab: Lab, public: str) -> None:
    page = lab.client.page(public)
    assert (page.name, page.saw, page.on) == ("web1", CLIENT6, 8080)
    assert lab.client.udp_page(public, 27002).on == 27002
    assert silent(lab.client, public, 8080)
    assert not lab.client.ping(public)


@pytest.mark.parametrize("public", [PORT, PORT_ROUTED])
def test_icmpv6_errors_about_a_mapped_port_pass(lab: Lab, public: str) -> None:
    with pytest.raises(Unreached) as error:
        lab.client.udp_echo(public, 27003, timeout=2)
    assert error.value.kind == "refused"


def test_who_is_not_allowed_is_not_let_in(lab: Lab, neighbour: Machine) -> None:
    assert silent(neighbour, PORT)
    assert neighbour.page(PORT_ROUTED).saw == NEIGHBOUR


# Out.


@pytest.mark.parametrize(("name", "public"), GUESTS.items())
def test_the_internet_sees_the_public_address(
    guests: dict[str, StandIn], name: str, public: str
) -> None:
    guest = guests[name]
    assert guest.fetch(CLIENT6).saw == guest.ask(CLIENT6).saw == public
    assert guest.pings(CLIENT6)
    assert guest.pings(str(UPLINKS[0].router6))


def test_nothing_of_it_is_seen_on_the_home_line(host: Host, guests: dict[str, StandIn]) -> None:
    with Capture(host, LINE_DEVICE, "6") as line:
        for name in GUESTS:
            guests[name].fetch(CLIENT6)
            guests[name].pings(CLIENT6)
        came = line.until(
            lambda: host.tcp_connect(CLIENT6, MARKER), lambda one: one.destination_port == MARKER
        )
    assert [one for one in came if CLIENT6 in (one.source, one.destination)] == []


def test_everybody_else_leaves_by_the_home_line(host: Host, guests: dict[str, StandIn]) -> None:
    for name in ("web1", "plain"):
        assert guests[name].fetch(CLIENT6).saw in addresses_of(host)
    assert host.page(CLIENT6).saw in addresses_of(host)
    assert host.page(CLIENT).saw == host.line.outer


def addresses_of(host: Host) -> set[str]:
    listed = host.run("ip", "-6", "-o", "addr", "show", "dev", LINE_DEVICE).stdout
    return {line.split()[3].split("/")[0] for line in listed.splitlines()}


# From inside.


@pytest.mark.parametrize("public", [NAT, ROUTED])
def test_hairpin(lab: Lab, host: Host, guests: dict[str, StandIn], public: str) -> None:
    bridge = str(host.home.guests6[1])
    for near in (guests["web1"].body, guests["plain"].body, host):
        page = near.page(public)
        assert page.name == "web1"
        assert page.saw in (addresses_of(host) if near is host else {bridge})
        assert near.ping(public, timeout=2)
    for far in (guests["far"].body, lab["home2"], lab.edge):
        page = far.page(public)
        assert (page.name, page.saw) == ("web1", EDGE6_ON_OVERLAY)


# What must go on as before.


def test_advertised_default_routes_live_on(lab: Lab, host: Host) -> None:
    """Forwarding makes a kernel deaf to advertisements, unless it is told otherwise."""
    assert "proto ra" in default_route(lab)
    setting = lab.edge.run("cat", f"/proc/sys/net/ipv6/conf/{UPLINK_DEVICE}/accept_ra").stdout
    assert setting.strip() == "2"
    assert "proto ra" in host.run("ip", "-6", "route", "show", "default").stdout


def test_an_edge_that_was_no_router_does_not_become_one(lab: Lab, neighbour: Machine) -> None:
    """Nothing but what is mapped is forwarded between its devices, and only for those."""
    far = lab["home1"].home.overlay6
    neighbour.ip(f"route add fd00:193::/64 via {UPLINKS[0].edge6}")
    with Capture(lab.edge, OVERLAY_DEVICE, "6") as seen:
        assert not neighbour.ping(far)
        came = seen.until(
            lambda: neighbour.tcp_connect(NAT, 8080), lambda one: one.destination_port == 8080
        )
    assert [one for one in came if one.destination == far] == []


def test_the_edge_answers_for_mapped_addresses_alone(neighbour: Machine) -> None:
    kind = unreached(neighbour, "2001:db8:113::2f", timeout=5)
    assert kind == "unreachable", "nobody answers its neighbour solicitation"


def test_the_way_to_a_host_is_its_macs_link_local_address(lab: Lab, host: Host) -> None:
    routes = lab.edge.run("ip", "-6", "route", "show", "proto", "123").stdout
    assert f"{ROUTED} via fe80::" in routes
    pinned = lab.edge.run("ip", "-6", "neigh", "show", "dev", OVERLAY_DEVICE).stdout
    link = host.run("cat", f"/sys/class/net/{OVERLAY_DEVICE}/address").stdout.strip()
    assert f"lladdr {link}" in pinned


@each
def test_unassigned_its_connections_end_and_nobody_answers(
    lab: Lab, host: Host, public: str
) -> None:
    with lab.client.stream(public, timeout=3) as stream:
        stream.wait_moves()
        host.agent("unassign", "web1", public)
        assert stream.wait_broken() in {"timeout", "reset", "unreachable", "refused"}
    if public not in {CONFIGURED, CONFIGURED_ROUTED}:
        assert silent(lab.client, public)
    table = lab.edge.run("nft", "list", "table", "inet", "zthook").stdout
    assert not re.search(rf"{public}(?!-)\b", table), "but in its pool"


def test_hide_without_an_ipv6_address_on_the_overlay_is_refused(lab: Lab, host: Host) -> None:
    lab.edge.ip(f"addr del {EDGE6_ON_OVERLAY}/64 dev {OVERLAY_DEVICE}")
    try:
        wait_until(
            lambda: any(
                row["public"] == HIDDEN and row["state"] == "refused" and "IPv6" in row["reason"]
                for row in host.agent.mappings("web1")
            ),
            20,
            lambda: f"{HIDDEN} is refused: {host.agent.mappings('web1')}",
        )
    finally:
        lab.edge.ip(f"addr add {EDGE6_ON_OVERLAY}/64 dev {OVERLAY_DEVICE}")


def test_a_network_without_a_prefix_is_refused_with_that_reason(host: Host) -> None:
    network = '<network><name>four</name><forward mode="nat"/><bridge name="virbr4" stp="off"/>'
    network += '<ip address="10.44.0.1" netmask="255.255.255.0"/></network>'
    host.run("virsh", "-q", "net-create", "/dev/stdin", stdin=network)
    guest = host.stand_in(
        "only4",
        network="four",
        address="10.44.0.9/24",
        gateway="10.44.0.1",
        annotation=annotation("2001:db8:113::18"),
    )
    try:
        boot(guest)
        row = host.agent.wait_state("only4", "refused")
        assert "IPv6" in row["reason"]
        assert "prefix" in row["reason"]
    finally:
        forget(guest)
        host.virsh("net-destroy", "four")

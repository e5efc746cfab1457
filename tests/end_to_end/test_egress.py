"""By which line a guest's own connections leave, as the internet sees them."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, connections, seen_by, wait_active
from tests.lab.commands import wait_until
from tests.lab.domain import address, annotation, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, LINE_DEVICE, NEIGHBOUR_ON_UPLINK

pytestmark = pytest.mark.lab

NAT, ROUTED, AT_HOME, PARTLY, HOME2 = (f"203.0.113.{number}" for number in range(10, 15))
GUESTS = {"nat": NAT, "routed": ROUTED, "partly": PARTLY}
"""Who leaves as whom: partly has one port of its address, and who may use it is said too."""
SAME = "192.168.122.50"
MARKER = 4242
"""The port of what is sent last: whatever was sent before it and was not seen did not come."""
each = pytest.mark.parametrize(("name", "public"), GUESTS.items(), ids=GUESTS)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two homes with one subnet, and an internet that tells who came."""
    with Lab(same_guest_network=True) as lab:
        lab.edge.daemon.init()
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        lab.client.serve("internet", ports=f"tcp/{MARKER}")
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def guests(lab: Lab, host: Host) -> dict[str, StandIn]:
    """On home1 one of each kind and one that is not mapped; on home2 one with routed's address."""
    out = {"egress": "public"}
    made = [
        host.stand_in("nat", annotation=annotation(NAT, **out)),
        host.stand_in("routed", annotation=annotation(ROUTED, mode="routed", **out)),
        host.stand_in(
            "partly",
            annotation=annotation(PARTLY, "tcp/80", f"{CLIENT}/32", mode="routed", **out),
        ),
        host.stand_in("home", annotation=publish(address(AT_HOME))),
        host.stand_in("unmapped"),
        lab["home2"].stand_in("home2", annotation=annotation(HOME2, mode="routed", **out)),
    ]
    for guest in (made[1], made[-1]):
        guest.host.fix_lease(guest.mac, SAME)  # type: ignore[attr-defined]
    boot(*made)
    for guest, public in zip(made, (NAT, ROUTED, PARTLY, AT_HOME, "", HOME2), strict=True):
        wait_active(guest, *([public] if public else []))
    return {guest.name: guest for guest in made}


@each
def test_the_internet_sees_the_public_address(
    guests: dict[str, StandIn], name: str, public: str
) -> None:
    guest = guests[name]
    assert guest.fetch(CLIENT).saw == public
    assert guest.ask(CLIENT).saw == public
    assert guest.pings(CLIENT)


def test_two_guests_with_one_private_address_leave_as_themselves(
    guests: dict[str, StandIn],
) -> None:
    with guests["routed"].body.stream(CLIENT) as one, guests["home2"].body.stream(CLIENT) as two:
        one.wait_moves()
        two.wait_moves()
        assert guests["routed"].fetch(CLIENT).saw == ROUTED
        assert guests["home2"].fetch(CLIENT).saw == HOME2
        assert one.stop()
        assert two.stop()


def test_a_neighbour_of_the_edge_sees_it_too(lab: Lab, guests: dict[str, StandIn]) -> None:
    neighbour = lab.add_neighbour()
    neighbour.serve()
    for name in ("nat", "routed"):
        assert guests[name].fetch(NEIGHBOUR_ON_UPLINK).saw == GUESTS[name]


def test_nothing_of_it_is_seen_on_the_home_line(host: Host, guests: dict[str, StandIn]) -> None:
    with Capture(host, LINE_DEVICE) as line:
        for name in GUESTS:
            guests[name].fetch(CLIENT)
            guests[name].ask(CLIENT)
            guests[name].pings(CLIENT)
        came = line.until(
            lambda: host.tcp_connect(CLIENT, MARKER), lambda one: one.destination_port == MARKER
        )
    assert [one for one in came if CLIENT in (one.source, one.destination)] == []


def test_everybody_else_leaves_by_the_home_line(host: Host, guests: dict[str, StandIn]) -> None:
    for name in ("home", "unmapped"):
        assert guests[name].fetch(CLIENT).saw == guests[name].ask(CLIENT).saw == host.line.outer
        assert guests[name].pings(CLIENT)
    assert host.page(CLIENT).saw == host.udp_page(CLIENT).saw == host.line.outer
    assert host.ping(CLIENT)


@each
def test_what_is_near_stays_near(
    host: Host, guests: dict[str, StandIn], name: str, public: str
) -> None:
    """The host, the home LAN, a sibling: none of them takes the default route."""
    guest = guests[name]
    assert guest.pings(str(host.home.guests[1]))
    assert guest.pings(str(host.home.host))
    assert guest.pings(str(host.home.router))
    assert guest.fetch(guests["unmapped"].address).saw == guest.address


@each
def test_it_is_reached_as_ever_meanwhile(
    lab: Lab, guests: dict[str, StandIn], name: str, public: str
) -> None:
    with guests[name].body.stream(CLIENT) as outward:
        outward.wait_moves()
        page = lab.client.page(public)
        assert (page.name, page.saw) == (name, CLIENT)
        outward.wait_moves()
        assert outward.stop()


def test_the_whole_address_is_reached_every_way(lab: Lab, guests: dict[str, StandIn]) -> None:
    for name in ("nat", "routed"):
        assert seen_by(name, lab.client, GUESTS[name]) == CLIENT


def test_the_edge_tracks_nothing_of_a_whole_routed_address(
    lab: Lab, guests: dict[str, StandIn]
) -> None:
    lab.edge.run("conntrack", "-F", check=False)
    with guests["routed"].body.stream(CLIENT) as outward:
        outward.wait_moves()
        assert connections(lab.edge, ROUTED, SAME) == []
        assert outward.stop()


def test_who_came_in_is_no_reason_to_let_others_in(lab: Lab, guests: dict[str, StandIn]) -> None:
    """partly has one port; that it speaks with the client itself opens no other."""
    with guests["partly"].body.stream(CLIENT) as outward:
        outward.wait_moves()
        assert not lab.client.reaches(PARTLY, 8080)
        assert not lab.client.ping(PARTLY)
        assert outward.stop()


def test_a_whole_file_comes_at_its_speed(lab: Lab, guests: dict[str, StandIn]) -> None:
    for name in GUESTS:
        body = guests[name].body.http(CLIENT, path="/bytes?3000000", timeout=20)
        assert len(body) == 3_000_000


def test_changed_live_the_next_connection_leaves_the_other_way(
    host: Host, guests: dict[str, StandIn]
) -> None:
    guest = guests["home"]
    host.agent("assign", "home", AT_HOME, "--egress", "public")
    wait_until(lambda: guest.fetch(CLIENT).saw == AT_HOME, 2, "it leaves by the edge")
    host.agent("assign", "home", AT_HOME)
    wait_until(lambda: guest.fetch(CLIENT).saw == host.line.outer, 2, "it leaves by the home line")


def test_with_the_edge_away_it_leaves_by_no_other_line(
    lab: Lab, host: Host, guests: dict[str, StandIn]
) -> None:
    with Capture(host, LINE_DEVICE) as line:
        lab.cut_overlay("home1")
        try:
            for name in GUESTS:
                assert not guests[name].body.reaches(CLIENT, timeout=0.7)
                assert not guests[name].body.ping(CLIENT)
            came = line.until(
                lambda: host.tcp_connect(CLIENT, MARKER), lambda one: one.destination_port == MARKER
            )
        finally:
            lab.mend_overlay("home1")
    assert [one for one in came if one.destination == CLIENT] == []
    wait_until(lambda: lab.edge.ping(host.overlay_address), 10, "the overlay is whole again")
    for name, public in GUESTS.items():
        assert guests[name].fetch(CLIENT).saw == public


def test_unassigned_it_leaves_by_the_home_line_and_its_old_connections_end(
    host: Host, guests: dict[str, StandIn]
) -> None:
    """The last test of this module: it takes addresses away."""
    for name in ("nat", "routed"):
        with guests[name].body.stream(CLIENT, timeout=3) as outward:
            outward.wait_moves()
            host.agent("unassign", name)
            assert outward.wait_broken() in {"timeout", "reset", "unreachable"}
        guest = guests[name]
        wait_until(
            lambda guest=guest: guest.fetch(CLIENT).saw == host.line.outer,
            5,
            "it leaves by the home line",
        )
    assert guests["partly"].fetch(CLIENT).saw == PARTLY

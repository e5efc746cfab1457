"""Public addresses from inside: from wherever somebody asks, the guest answers."""

from collections.abc import Callable, Iterator

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, wait_active
from tests.lab.domain import address, annotation, publish
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY, LINE_DEVICE, OVERLAY_DEVICE

pytestmark = pytest.mark.lab

NAT, ROUTED = "203.0.113.10", "203.0.113.11"
NAT_PORT, ROUTED_PORT = "203.0.113.12", "203.0.113.13"
"""Port 80 is the guest's 8080."""
GUARDED = "203.0.113.14"
"""For the client of the internet alone."""
OUT, OUT_ROUTED = "203.0.113.15", "203.0.113.16"
"""Those of guests with egress="public" on the other host."""
WHOLE = {"nat": NAT, "routed": ROUTED}
PORTS = {"nat": NAT_PORT, "routed": ROUTED_PORT}
MARKER = 4242
PLACES = ("itself", "sibling", "other host's guest", "host", "other host", "edge", "internet")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.20"})
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        lab.client.serve("internet", ports=f"tcp/{MARKER}")
        yield lab


@pytest.fixture(scope="module")
def guests(lab: Lab) -> dict[str, StandIn]:
    """web on home1 with a sibling; on home2 one that leaves by its home line, two by the edge."""
    home1, home2 = lab["home1"], lab["home2"]
    routed, out = {"mode": "routed"}, {"egress": "public"}
    made = [
        home1.stand_in(
            "web",
            annotation=publish(
                address(NAT),
                address(ROUTED, **routed),
                address(NAT_PORT, "tcp/80:8080"),
                address(ROUTED_PORT, "tcp/80:8080", **routed),
                address(GUARDED, f"{CLIENT}/32"),
            ),
        ),
        home1.stand_in("sibling"),
        home2.stand_in("other"),
        home2.stand_in("out", annotation=annotation(OUT, **out)),
        home2.stand_in("out-routed", annotation=annotation(OUT_ROUTED, **routed, **out)),
    ]
    boot(*made)
    wait_active(made[0], NAT, ROUTED, NAT_PORT, ROUTED_PORT, GUARDED)
    wait_active(made[3], OUT)
    wait_active(made[4], OUT_ROUTED)
    return {guest.name: guest for guest in made}


@pytest.fixture(scope="module")
def places(lab: Lab, guests: dict[str, StandIn]) -> dict[str, Machine]:
    """Where somebody may ask from."""
    machines = (
        guests["web"].body,
        guests["sibling"].body,
        guests["other"].body,
        lab["home1"],
        lab["home2"],
        lab.edge,
        lab.client,
    )
    return dict(zip(PLACES, machines, strict=True))


def whom_it_sees(lab: Lab, place: str) -> str:
    """The source that the guest sees of each place: the bridge's address of who is on it too."""
    bridge = str(lab["home1"].home.guests[1])
    return {
        "itself": bridge,
        "sibling": bridge,
        "host": str(lab["home1"].home.host),
        "other host's guest": EDGE_ON_OVERLAY,
        "other host": EDGE_ON_OVERLAY,
        "edge": EDGE_ON_OVERLAY,
        "internet": CLIENT,
    }[place]


@pytest.mark.parametrize("mode", WHOLE)
@pytest.mark.parametrize("place", PLACES)
def test_the_public_address_works_from(
    lab: Lab, places: dict[str, Machine], place: str, mode: str
) -> None:
    machine, public = places[place], WHOLE[mode]
    pages = [machine.page(public), machine.page(public, 8080), machine.udp_page(public)]
    assert [page.name for page in pages] == ["web"] * 3
    assert machine.ping(public, timeout=2)
    assert {page.saw for page in pages} == {whom_it_sees(lab, place)}


@pytest.mark.parametrize("mode", PORTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_port_of_it_works_and_no_other_from(
    places: dict[str, Machine], place: str, mode: str
) -> None:
    page = places[place].page(PORTS[mode])
    assert (page.name, page.on) == ("web", 8080)
    assert not places[place].reaches(PORTS[mode], 81, timeout=0.5)


@pytest.mark.parametrize("mode", WHOLE)
@pytest.mark.parametrize(("name", "public"), [("out", OUT), ("out-routed", OUT_ROUTED)])
def test_a_guest_that_leaves_by_its_public_address_is_seen_as_that(
    guests: dict[str, StandIn], name: str, public: str, mode: str
) -> None:
    assert guests[name].fetch(WHOLE[mode]).saw == public
    assert guests[name].ask(WHOLE[mode]).saw == public


@pytest.mark.parametrize("name", ["out", "out-routed"])
def test_such_a_guest_is_reached_from_the_other_host(
    lab: Lab, guests: dict[str, StandIn], name: str
) -> None:
    public = {"out": OUT, "out-routed": OUT_ROUTED}[name]
    for machine in (guests["sibling"].body, guests["web"].body, lab["home1"], lab["home2"]):
        assert machine.page(public).name == name


def test_long_connections_from_each_place(places: dict[str, Machine]) -> None:
    for place in ("sibling", "other host's guest", "host", "edge"):
        for public in WHOLE.values():
            with places[place].stream(public) as stream:
                stream.wait_moves(200_000)
                assert stream.stop()


def seen_on(lab: Lab, device: str, host: str, ask: Callable[[], object]) -> list[tuple[str, str]]:
    """Sources and destinations of what passes ``device`` while somebody asks."""
    machine = lab[host]
    with Capture(machine, device) as seen:
        ask()
        peer = CLIENT if device == LINE_DEVICE else EDGE_ON_OVERLAY
        marker = MARKER if device == LINE_DEVICE else 9443
        came = seen.until(
            lambda: machine.reaches(peer, marker), lambda one: one.destination_port == marker
        )
    return [(one.source, one.destination) for one in came]


@pytest.mark.parametrize("mode", WHOLE)
@pytest.mark.parametrize("place", ["itself", "sibling", "host"])
def test_on_the_same_host_it_never_leaves(
    lab: Lab, places: dict[str, Machine], place: str, mode: str
) -> None:
    machine, public = places[place], WHOLE[mode]

    def ask() -> None:
        machine.page(public)
        machine.udp_page(public)
        machine.ping(public)

    for device in (LINE_DEVICE, OVERLAY_DEVICE):
        came = seen_on(lab, device, "home1", ask)
        assert [one for one in came if public in one] == []
        assert [one for one in came if lab["home1"].home.guests[1] in one] == []


@pytest.mark.parametrize("mode", WHOLE)
@pytest.mark.parametrize("place", ["other host's guest", "other host"])
def test_from_another_host_it_takes_the_overlay_and_never_the_home_line(
    lab: Lab, places: dict[str, Machine], place: str, mode: str
) -> None:
    machine, public = places[place], WHOLE[mode]

    def ask() -> None:
        machine.page(public)
        machine.udp_page(public)
        machine.ping(public)

    for host in ("home1", "home2"):
        came = seen_on(lab, LINE_DEVICE, host, ask)
        assert [one for one in came if public in one] == []


@pytest.mark.parametrize("place", PLACES)
def test_who_is_not_allowed_from_outside_is_not_allowed_from_inside(
    places: dict[str, Machine], place: str
) -> None:
    machine = places[place]
    if place == "internet":
        assert machine.page(GUARDED).name == "web"
        return
    with pytest.raises(Unreached):
        machine.page(GUARDED, timeout=0.7)
    assert not machine.ping(GUARDED)


def test_an_address_of_the_pool_that_nobody_has_is_nobodys_from_inside_too(
    places: dict[str, Machine],
) -> None:
    for place in PLACES:
        assert not places[place].reaches("203.0.113.20", timeout=0.5)


def test_everything_else_goes_where_it_went(lab: Lab, guests: dict[str, StandIn]) -> None:
    for host, name in (("home1", "sibling"), ("home2", "other")):
        assert guests[name].fetch(CLIENT).saw == lab[host].line.outer
        assert lab[host].page(CLIENT).saw == lab[host].line.outer

"""What a running guest's annotation says counts within a second; what virsh edit says, later."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.mapped import boot, connections, seen_by, silent, unreached, wait_active
from tests.end_to_end.seen import Stopwatch, host_status
from tests.lab.commands import wait_until
from tests.lab.domain import address, annotation, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Unreached
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY

pytestmark = pytest.mark.lab

PUBLIC, OTHER, ROUTED = "203.0.113.10", "203.0.113.11", "203.0.113.12"
SECONDS = 1.0
"""From the command's end until a client sees what it changed (the issue's promise)."""


@pytest.fixture(scope="module")
def host(home: Lab) -> Host:
    home.client.serve("internet")
    return home["home1"]


@pytest.fixture(scope="module")
def web(host: Host) -> StandIn:
    guest = host.stand_in("web1", annotation=annotation(PUBLIC), ports="tcp/2000")
    boot(guest)
    return guest


@pytest.fixture(autouse=True)
def as_defined(home: Lab, host: Host, web: StandIn) -> Iterator[None]:
    """It has PUBLIC, in mode nat, at the beginning and at the end."""
    wait_active(web, PUBLIC)
    yield
    web.define()
    live(web, annotation(PUBLIC))
    wait_active(web, PUBLIC)


def live(guest: StandIn, xml: str) -> None:
    """`virsh metadata --live`, of an annotation as it stands in a domain's XML."""
    bare = xml.replace(' xmlns:zthook="urn:zthook:1"', "").replace("zthook:", "")
    words = ("--uri", "urn:zthook:1", "--key", "zthook", "--set", bare)
    guest.virsh("metadata", "--live", *words)


def within(seconds: float, what: str, condition: object) -> None:
    """The condition comes true in time; what that took is printed."""
    watch = Stopwatch()
    wait_until(condition, 10, what)  # type: ignore[arg-type]
    assert watch.tell(what) < seconds


def reached(lab: Lab, public: str, port: int = 80, *, on: int = 80, saw: str = CLIENT) -> bool:
    """Whether the client is answered there, and all is as it should be."""
    try:
        page = lab.client.page(public, port, timeout=0.3)
    except Unreached:
        return False
    return (page.name, page.on, page.saw) == ("web1", on, saw)


EDITS = {
    "a second address": (
        publish(address(PUBLIC), address(OTHER)),
        {"public": OTHER},
    ),
    "another address": (annotation(OTHER), {"public": OTHER}),
    "a port": (annotation(PUBLIC, "tcp/81:2000"), {"public": PUBLIC, "port": 81, "on": 2000}),
    "a hidden client": (
        annotation(PUBLIC, client="hide"),
        {"public": PUBLIC, "saw": EDGE_ON_OVERLAY},
    ),
    "routed, an address beside": (
        publish(address(PUBLIC), address(ROUTED, mode="routed")),
        {"public": ROUTED},
    ),
}


@pytest.mark.parametrize(("xml", "expected"), EDITS.values(), ids=EDITS)
def test_virsh_metadata_live_counts_within_a_second(
    home: Lab, web: StandIn, xml: str, expected: dict[str, object]
) -> None:
    live(web, xml)
    within(SECONDS, "edited live until it counts", lambda: reached(home, **expected))  # type: ignore[arg-type]


def test_taken_away_it_is_silent_within_a_second(home: Lab, web: StandIn) -> None:
    web.virsh("metadata", "--live", "--uri", "urn:zthook:1", "--remove")
    within(SECONDS, "removed until nobody answers", lambda: not reached(home, PUBLIC))


def test_the_mode_changes_both_ways_within_a_second(home: Lab, host: Host, web: StandIn) -> None:
    for mode in ("routed", "nat"):
        watch = Stopwatch()
        assert "is active" in host.agent("assign", "web1", PUBLIC, "--mode", mode).stdout
        lost = watch.tell(f"zthook assign --mode {mode}")
        assert lost < 5
        assert reached(home, PUBLIC)
        [row] = host.agent.mappings("web1")
        assert row["mode"] == mode
        with home.client.stream(PUBLIC) as stream:
            stream.wait_moves()
            assert (connections(home.edge, PUBLIC) == []) == (mode == "routed")
            assert stream.stop()
        assert seen_by("web1", home.client, PUBLIC) == CLIENT


def test_an_allow_list_counts_within_a_second(home: Lab, web: StandIn) -> None:
    live(web, annotation(PUBLIC, "192.0.2.0/24"))
    within(SECONDS, "disallowed until nobody answers", lambda: not reached(home, PUBLIC))
    live(web, annotation(PUBLIC, "198.51.100.0/24"))
    within(SECONDS, "allowed until it answers", lambda: reached(home, PUBLIC))


def test_egress_counts_within_a_second(home: Lab, host: Host, web: StandIn) -> None:
    for egress, public in (("public", PUBLIC), ("home", host.line.outer)):
        live(web, annotation(PUBLIC, egress=egress))
        within(SECONDS, f"egress {egress} until it counts", lambda public=public: seen(web, public))


def seen(guest: StandIn, public: str) -> bool:
    """Whether the internet sees it as that."""
    try:
        return guest.body.page(CLIENT, timeout=0.3).saw == public
    except Unreached:
        return False


def test_an_edited_definition_counts_from_the_next_start_and_status_says_so(
    home: Lab, host: Host, web: StandIn
) -> None:
    edited = annotation(PUBLIC, "tcp/81:2000", mode="routed")
    host.run("virsh", "-q", "define", "/dev/stdin", stdin=with_annotation(web, edited))
    wait_until(
        lambda: (
            "next start" in host.agent("status", "web1", check=False).stdout
            or "next start" in str(host_status(host))
        ),
        5,
        lambda: f"status says that they differ: {host.agent('status', check=False).stdout}",
    )
    assert reached(home, PUBLIC)
    assert unreached(home.client, PUBLIC, 81)
    assert "is active" in host.agent("apply", "web1").stdout
    within(SECONDS, "applied until it counts", lambda: reached(home, PUBLIC, 81, on=2000))
    assert silent(home.client, PUBLIC)
    assert "next start" not in host.agent("status", "web1", check=False).stdout


def with_annotation(guest: StandIn, xml: str) -> str:
    """Its definition with another annotation."""
    before = guest.domain.xml()
    head, rest = before.split("<metadata>", 1)
    return f"{head}<metadata>{xml}</metadata>{rest.split('</metadata>', 1)[1]}"


def test_edits_in_quick_succession_end_in_the_last_one(home: Lab, web: StandIn) -> None:
    """Each is begun before the one before it counts."""
    for number in range(10):
        live(web, annotation(OTHER if number % 2 else PUBLIC, "tcp/81:2000"))
    live(web, publish(address(PUBLIC), address(OTHER, mode="routed")))
    wait_until(lambda: reached(home, OTHER), 10, "the last of ten edits counts")
    wait_active(web, PUBLIC, OTHER)
    assert seen_by("web1", home.client, PUBLIC) == CLIENT
    assert unreached(home.client, OTHER, 81)


def test_what_goes_on_beside_an_edit_is_not_disturbed(home: Lab, web: StandIn) -> None:
    live(web, publish(address(PUBLIC), address(ROUTED, mode="routed")))
    wait_active(web, PUBLIC, ROUTED)
    with home.client.stream(PUBLIC) as one, home.client.stream(ROUTED) as two:
        for more in ([], [address(OTHER, "tcp/80")], [address(OTHER, "tcp/81:80")], []):
            live(web, publish(address(PUBLIC), address(ROUTED, mode="routed"), *more))
            one.wait_moves()
            two.wait_moves()
        assert one.stop()
        assert two.stop()

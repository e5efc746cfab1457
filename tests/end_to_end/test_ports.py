"""Parts of an address: ports, ranges, several guests that share one, and who may come."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, connections, silent, unreached, wait_active
from tests.lab.commands import wait_until
from tests.lab.domain import address, annotation, publish
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, NEIGHBOUR_ON_UPLINK

pytestmark = pytest.mark.lab

SHARED, GUARDED = "203.0.113.10", "203.0.113.11"
"""In mode nat, by guests of two hosts; for the client alone."""
ROUTED, ROUTED_GUARDED = "203.0.113.12", "203.0.113.13"
WHOLE = "203.0.113.14"
"""All of it is web1's, who can be seen there whatever a port mapping lets through."""
ICMP, UDP = 1, 17
NOBODY_LISTENS = 9009
REJECT = """
table ip no {
    chain in {
        type filter hook input priority 0
        udp dport 27001 reject
    }
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.edge.daemon.init()
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        yield lab


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Machine:
    """Whom nobody has allowed."""
    return lab.add_neighbour()


@pytest.fixture(scope="module")
def guests(lab: Lab) -> dict[str, StandIn]:
    """web1 on home1 with web3 beside it, web2 on home2."""
    home1, home2 = lab["home1"], lab["home2"]
    allowed = f"{CLIENT}/32"
    made = [
        home1.stand_in(
            "web1",
            annotation=publish(
                address(SHARED, "tcp/80", "tcp/1000-1003:2000", f"udp/{NOBODY_LISTENS}"),
                address(GUARDED, "tcp/80:8080", allowed),
                address(ROUTED, "tcp/80", "tcp/1000-1003:2000", "udp/53:27001", mode="routed"),
                address(ROUTED_GUARDED, allowed, mode="routed"),
                address(WHOLE),
            ),
            ports="tcp/2000-2003,udp/27000-27003",
        ),
        home2.stand_in(
            "web2",
            annotation=annotation(SHARED, "tcp/8080", "udp/27000-27003", "udp/7", allowed),
            ports="udp/27000-27003",
        ),
        home1.stand_in("web3", annotation=annotation(ROUTED, "tcp/8080", mode="routed")),
    ]
    boot(*made)
    for guest, publics in zip(
        made,
        ((SHARED, GUARDED, ROUTED, ROUTED_GUARDED, WHOLE), (SHARED,), (ROUTED,)),
        strict=True,
    ):
        wait_active(guest, *publics)
    return {guest.name: guest for guest in made}


@pytest.fixture(autouse=True)
def all_run(guests: dict[str, StandIn]) -> None:
    """They serve."""


# The same and translated ports.


@pytest.mark.parametrize("public", [SHARED, ROUTED])
def test_the_same_and_translated_ports(lab: Lab, public: str) -> None:
    page = lab.client.page(public)
    assert (page.name, page.saw, page.on) == ("web1", CLIENT, 80)
    for listen in (1000, 1003):
        page = lab.client.page(public, listen)
        assert (page.name, page.saw, page.on) == ("web1", CLIENT, listen + 1000)


@pytest.mark.parametrize("public", [SHARED, ROUTED])
def test_no_other_port_and_no_ping_is_let_through(
    lab: Lab, guests: dict[str, StandIn], public: str
) -> None:
    with Capture(lab["home1"], "virbr0") as seen:
        for port in (999, 1004, 2000, 7):
            assert silent(lab.client, public, port)
        assert not lab.client.ping(public)
        with pytest.raises(Unreached):
            lab.client.udp_echo(public, 80, timeout=0.5)
        came = seen.until(
            lambda: lab.client.tcp_connect(WHOLE, 8080), lambda one: one.destination_port == 8080
        )
    assert [one for one in came if one.source == CLIENT] == []


def test_guests_of_two_hosts_share_an_address(lab: Lab, guests: dict[str, StandIn]) -> None:
    assert lab.client.page(SHARED, 80).name == "web1"
    page = lab.client.page(SHARED, 8080)
    assert (page.name, page.saw, page.on) == ("web2", CLIENT, 8080)
    for port in (27000, 27003):
        page = lab.client.udp_page(SHARED, port)
        assert (page.name, page.saw, page.on) == ("web2", CLIENT, port)


def test_in_routed_mode_guests_of_one_host_share_an_address(lab: Lab) -> None:
    assert lab.client.page(ROUTED, 8080).name == "web3"
    assert lab.client.page(ROUTED, 80).name == "web1"
    page = lab.client.udp_page(ROUTED, 53)
    assert (page.name, page.saw, page.on) == ("web1", CLIENT, 27001)
    assert connections(lab.edge, ROUTED) == []


@pytest.mark.parametrize("public", [SHARED, ROUTED])
def test_that_nobody_listens_is_told_by_icmp(
    lab: Lab, guests: dict[str, StandIn], public: str
) -> None:
    """An error about a connection that is let through passes, though a ping does not."""
    port = NOBODY_LISTENS if public == SHARED else 53
    if public == ROUTED:
        guests["web1"].body.run("nft", "-f", "-", stdin=REJECT)
    try:
        with pytest.raises(Unreached) as error:
            lab.client.udp_echo(public, port, timeout=2)
        assert error.value.kind == "refused"
    finally:
        if public == ROUTED:
            guests["web1"].body.run("nft", "flush", "ruleset")


def test_datagrams_in_fragments_to_a_mapped_port(lab: Lab) -> None:
    text = "fragments " * 500
    assert lab.client.udp_echo(SHARED, 27001, text=text) == text
    assert lab.client.udp_echo(ROUTED, 53, text=text) == text


def test_connections_of_one_client_to_both_guests_from_one_port(lab: Lab) -> None:
    source = (CLIENT, 40_777)
    assert lab.client.udp_echo(SHARED, 27000, source=source) == "hello"
    assert lab.client.udp_echo(SHARED, 7, source=source) == "hello"


# Who wants what is taken.


@pytest.mark.parametrize(
    ("port", "held"),
    [("tcp/80", "web1"), ("tcp/1002:80", "web1"), ("udp/27003-27005", "web2"), ("", "web")],
)
def test_an_overlap_is_a_conflict_with_who_has_it(
    lab: Lab, guests: dict[str, StandIn], port: str, held: str
) -> None:
    host = lab["home1"]
    words = ("--port", port) if port else ()
    try:
        said = host.agent("assign", "web3", SHARED, *words, check=False)
        assert said.returncode == 1
        assert f"held by {held}" in said.stdout
        assert lab.client.page(SHARED, 80).name == "web1"
    finally:
        host.agent("unassign", "web3", SHARED)


def test_a_port_beside_it_is_given(lab: Lab, guests: dict[str, StandIn]) -> None:
    host = lab["home1"]
    assert "is active" in host.agent("assign", "web3", SHARED, "--port", "tcp/81:80").stdout
    assert lab.client.page(SHARED, 81).name == "web3"
    host.agent("unassign", "web3", SHARED)
    wait_until(lambda: silent(lab.client, SHARED, 81), 5, "it is let go of")
    assert lab.client.page(SHARED, 80).name == "web1"


def test_routed_an_address_is_one_hosts(lab: Lab, guests: dict[str, StandIn]) -> None:
    host = lab["home2"]
    try:
        words = ("--mode", "routed", "--port", "tcp/99:80")
        said = host.agent("assign", "web2", ROUTED, *words, check=False)
        assert said.returncode == 1
        rows = [row for row in host.agent.mappings("web2") if row["public"] == ROUTED]
        assert rows[0]["state"] in {"conflict", "refused"}
        assert "home1" in rows[0]["reason"]
    finally:
        host.agent("unassign", "web2", ROUTED)


# Who may come.


@pytest.mark.parametrize("public", [GUARDED, ROUTED_GUARDED])
def test_who_is_allowed_comes_in(lab: Lab, public: str) -> None:
    page = lab.client.page(public)
    assert (page.name, page.saw) == ("web1", CLIENT)


@pytest.mark.parametrize(("public", "port"), [(GUARDED, 80), (ROUTED_GUARDED, 80), (SHARED, 8080)])
def test_who_is_not_allowed_gets_no_packet_to_the_overlay(
    lab: Lab, neighbour: Machine, public: str, port: int
) -> None:
    with Capture(lab.edge, "overlay0") as seen:
        assert silent(neighbour, public, port)
        assert not neighbour.ping(public)
        with pytest.raises(Unreached):
            neighbour.udp_echo(public, timeout=0.5)
        came = seen.until(
            lambda: neighbour.tcp_connect(WHOLE, 8080), lambda one: 8080 in ports_of(one)
        )
    strangers = [one for one in came if NEIGHBOUR_ON_UPLINK in (one.source, one.destination)]
    assert strangers == []


def ports_of(one: object) -> set[int]:
    return {one.source_port, one.destination_port}  # type: ignore[attr-defined]


@pytest.mark.parametrize("public", [GUARDED, ROUTED_GUARDED])
def test_a_list_changed_live_ends_who_is_no_longer_on_it(
    lab: Lab, neighbour: Machine, guests: dict[str, StandIn], public: str
) -> None:
    host = lab["home1"]
    words = ["--mode", "routed"] if public == ROUTED_GUARDED else ["--port", "tcp/7"]
    allow = lambda *who: [word for one in who for word in ("--allow", one)]  # noqa: E731
    both = allow(f"{CLIENT}/32", "203.0.113.0/24")
    assert "is active" in host.agent("assign", "web1", public, *words, *both).stdout
    with neighbour.stream(public, timeout=3) as theirs, lab.client.stream(public) as mine:
        theirs.wait_moves()
        mine.wait_moves()
        host.agent("assign", "web1", public, *words, *allow(f"{CLIENT}/32"))
        assert theirs.wait_broken() in {"timeout", "reset", "unreachable"}
        mine.wait_moves()
        assert mine.stop()
    assert unreached(neighbour, public, 7)

"""Floods of connections whose senders never answer: they take no guest's port away."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel import second_provider
from tests.kernel.driver import CONFIGURED, ON_LINK, ROUTED, TRANSLATED, Edge
from tests.kernel.namespace import Namespace, mac
from tests.kernel.questions import (
    FIRST_TRY,
    SILENCE,
    Stream,
    connection,
    eventually,
    reaches,
    tells,
)
from tests.kernel.topology import Topology
from zthook.model.publication import Mode

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]
RATE = 20_000
SECONDS = 3.6
PORTS = 64_512
"""Of one address; rate and seconds together are more, also where the machine is slower."""


@contextmanager
def flood(
    where: Namespace,
    top: Topology,
    public: str,
    port: int = 80,
    *,
    rate: int = RATE,
    seconds: float = SECONDS,
    uplink: str = "eth0",
) -> Iterator["subprocess.Popen[str]"]:
    """SYNs for a port of a public address, put on the uplink's wire by ``where``."""
    arrives_as = "203.0.113.40" if public == TRANSLATED else public
    least = PORTS + 1 if rate * seconds > PORTS else 0
    words = ("eth0", mac(top.edge, uplink), arrives_as, *map(str, (port, rate, seconds, least)))
    with subprocess.Popen(
        ["ip", "netns", "exec", where.name, sys.executable, "-m", "bench.syns", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdin is not None
        assert sender.stdout.readline() == "ready\n"
        sender.stdin.write("\n")
        sender.stdin.flush()
        yield sender
        sender.wait(60)


def besieged(edge: Edge) -> bool:
    return "elements" in edge.inside.run("nft list set inet zthook besieged")


def connections(edge: Edge) -> int:
    return int(edge.inside.run("cat /proc/sys/net/netfilter/nf_conntrack_count"))


def test_honest_clients_of_a_hidden_port_come_through(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK, hide=True))
    asked = answered = 0
    with flood(top.neighbour, top, ON_LINK) as sender:
        assert eventually(lambda: besieged(edge))
        while sender.poll() is None:
            asked += 1
            answered += reaches(top.client, ON_LINK, wait=FIRST_TRY)
        assert sender.stdout is not None
        assert int(sender.stdout.read()) > PORTS
    assert answered == asked > 0
    assert reaches(top.client, ON_LINK), "and after it"
    assert connections(edge) < asked * 2 + 2_000, "nothing was remembered of the rest"


@pytest.mark.parametrize("public", [CONFIGURED, ROUTED, TRANSLATED])
def test_also_where_the_address_arrives_in_other_ways(
    top: Topology, edge: Edge, public: str
) -> None:
    edge.apply(edge.mapping(public, hide=True))
    with flood(top.neighbour, top, public, rate=2_000, seconds=1):
        assert eventually(lambda: besieged(edge))
    assert all(reaches(top.client, public) for _ in range(10))


@pytest.mark.parametrize("mode", [Mode.NAT, Mode.ROUTED])
def test_those_who_see_their_clients_need_no_shelter(top: Topology, edge: Edge, mode: Mode) -> None:
    edge.apply(edge.mapping(ON_LINK, mode=mode))
    top.translate(top.home1, ON_LINK)
    with flood(top.neighbour, top, ON_LINK) as sender:
        while sender.poll() is None:
            assert reaches(top.client, ON_LINK)
    assert reaches(top.client, ON_LINK)
    assert not besieged(edge)


def test_other_ports_and_other_guests_notice_nothing(top: Topology, edge: Edge) -> None:
    top.serve(top.guest1, 81, b"other port ")
    top.serve(top.guest1, 82)
    edge.apply(edge.mapping(ON_LINK, hide=True), edge.mapping(ROUTED, 2, "192.168.122.51"))
    with connection(top.client, ON_LINK, 82) as before:
        stream = Stream(before)
        with flood(top.neighbour, top, ON_LINK) as sender:
            assert eventually(lambda: besieged(edge))
            while sender.poll() is None:
                assert reaches(top.client, ON_LINK, 81)
                assert reaches(top.client, ROUTED)
                assert stream.grew()
        assert stream.end(), "what was there goes on"


def test_what_begins_under_siege_carries_whole_transfers(top: Topology, edge: Edge) -> None:
    top.serve(top.guest1, 82)
    edge.apply(edge.mapping(ON_LINK, hide=True))
    with flood(top.neighbour, top, ON_LINK, 82, rate=2_000, seconds=1):
        assert eventually(lambda: besieged(edge))
    with connection(top.client, ON_LINK, 82) as one:
        stream = Stream(one)
        for _ in range(20):
            assert stream.grew()
        assert stream.end()


def test_under_siege_only_mapped_ports_and_allowed_clients_get_through(
    top: Topology, edge: Edge
) -> None:
    edge.apply(
        edge.mapping(
            CONFIGURED, hide=True, ports=["tcp/80"], allow=["198.51.100.7", "198.18.0.0/15"]
        )
    )
    with flood(top.neighbour, top, CONFIGURED, rate=2_000, seconds=1):
        assert eventually(lambda: besieged(edge))
    assert reaches(top.client, CONFIGURED)
    top.server1.peers.clear()
    assert tells(top.client, CONFIGURED, source="198.51.100.8") == b""
    assert not top.server1.peers
    top.serve(top.edge, 22, b"the edge's ")
    assert tells(top.client, CONFIGURED, 22).startswith(b"the edge's ")


def test_a_mapping_that_ends_under_siege_is_ended(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK, hide=True), other := edge.mapping(ROUTED))
    with flood(top.neighbour, top, ON_LINK, rate=2_000, seconds=1):
        assert eventually(lambda: besieged(edge))
    edge.apply(other)
    with pytest.raises(TimeoutError), connection(top.client, ON_LINK, 80, wait=SILENCE):
        pass
    edge.apply(other, edge.mapping(ON_LINK))
    assert reaches(top.client, ON_LINK), "another guest's need not wait for the siege's end"


def test_a_host_that_hides_is_sheltered_too(top: Topology, edge: Edge) -> None:
    """It has one address for all clients as well, and the flood would reach it by the overlay."""
    edge.apply(edge.mapping(ON_LINK, host_hides=True))
    top.home1.nft(
        "table ip hiding { chain out { type nat hook postrouting priority srcnat;"
        " oifname virbr0 masquerade;\n }\n}"
    )
    with flood(top.neighbour, top, ON_LINK) as sender:
        assert eventually(lambda: besieged(edge))
        while sender.poll() is None:
            assert reaches(top.client, ON_LINK)
    assert reaches(top.client, ON_LINK)


def test_the_rules_stay_when_the_kernel_counts(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK, hide=True))
    with flood(top.neighbour, top, ON_LINK, rate=2_000, seconds=1):
        assert eventually(lambda: besieged(edge))
    assert not edge.drifted()
    assert edge.apply() == []
    assert besieged(edge)


def test_cookies_leave_by_the_uplink_that_was_asked(top: Topology, edge: Edge) -> None:
    second = second_provider.SecondProvider(top)
    second_provider.join(edge)
    public = second_provider.ON_LINK
    edge.apply(second_provider.mapping(edge, public, hide=True))
    with flood(second.neighbour, top, public, rate=2_000, seconds=1, uplink="eth1"):
        assert eventually(lambda: besieged(edge))
    for asking in (top.client, top.neighbour, second.neighbour):
        assert reaches(asking, public)
    assert second.strays() == []

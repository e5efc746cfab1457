"""The ways in which public addresses reach an edge, each with a client's packets to a guest."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.traces import edge_rows
from tests.lab.commands import wait_until
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.topology import CLIENT, NEIGHBOUR_ON_UPLINK, UPLINK_DEVICE

pytestmark = pytest.mark.lab

CONFIGURED = "203.0.113.20"
ON_LINK = "203.0.113.10"
ROUTED = "192.0.2.200"
TRANSLATED = "192.0.2.240"
TRANSLATED_TO_CONFIGURED = "192.0.2.241"
ARRIVES_AS = {TRANSLATED: "10.66.0.5", TRANSLATED_TO_CONFIGURED: "10.66.0.6"}
WAYS = {
    "configured on the uplink": CONFIGURED,
    "on-link but not configured": ON_LINK,
    "routed to the edge": ROUTED,
    "translated by the provider": TRANSLATED,
    "translated by the provider, configured": TRANSLATED_TO_CONFIGURED,
}
MARKER = "203.0.113.13"
"""One more that stays, by which packets can be sent that do arrive."""
way = pytest.mark.parametrize("public", WAYS.values(), ids=WAYS)

PROVIDERS_POOL = """
[[pool]]
name = "cloud"
addresses = ["192.0.2.240/31"]
arrives_as = ["10.66.0.5-10.66.0.6"]
uplink = "uplink0"
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """An edge with addresses that come in every way, and a host."""
    with Lab(hosts=("home1",)) as lab:
        edge = lab.edge
        edge.configure_address(CONFIGURED)
        edge.configure_address(ARRIVES_AS[TRANSLATED_TO_CONFIGURED])
        lab.internet.route_to_edge("192.0.2.192/28")
        for public, arrives_as in ARRIVES_AS.items():
            lab.internet.translate(public, arrives_as)
        edge.daemon.init({"near": "203.0.113.10-203.0.113.20", "far": "192.0.2.192/28"})
        with (edge.daemon.config / "edge.toml").open("a") as settings:
            settings.write(PROVIDERS_POOL)
        edge.daemon.start()
        enrol(lab, lab["home1"])
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Machine:
    return lab.add_neighbour()


@pytest.fixture(scope="module")
def web(host: Host) -> Iterator[Guest]:
    """A guest with one address of each way."""
    addresses = "".join(f'<zthook:address public="{one}"/>' for one in (*WAYS.values(), MARKER))
    guest = host.stand_in(
        "web1",
        annotation=f'<zthook:publish xmlns:zthook="urn:zthook:1">{addresses}</zthook:publish>',
    )
    guest.boot()
    wait_until(
        lambda: (
            [row["state"] for row in host.agent.mappings("web1")] == ["active"] * (len(WAYS) + 1)
        ),
        30,
        lambda: f"all are active; they are {host.agent.mappings('web1')}",
    )
    yield guest
    forget(guest)


@way
def test_a_client_reaches_the_guest_and_is_seen(
    lab: Lab, host: Host, web: Guest, public: str
) -> None:
    page = lab.client.page(public)
    assert (page.name, page.saw) == ("web1", CLIENT)
    assert lab.client.udp_echo(public) == "hello"
    with lab.client.stream(public) as transfer:
        transfer.wait_moves()
    with Capture(host, "virbr0") as seen:
        assert lab.client.ping(public)
        wait_until(
            lambda: (
                {(one.source, one.destination) for one in seen.packets if one.protocol == 1}
                >= {(CLIENT, web.address), (web.address, CLIENT)}
            ),
            10,
            lambda: f"the guest itself answers the ping; {seen.packets} passed",
        )


@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK, ROUTED])
def test_a_neighbour_on_the_uplink_reaches_the_guest_too(
    neighbour: Machine, web: Guest, public: str
) -> None:
    page = neighbour.page(public)
    assert (page.name, page.saw) == ("web1", NEIGHBOUR_ON_UPLINK)


def test_the_edge_answers_for_the_mapped_address_alone_and_at_once(
    lab: Lab, neighbour: Machine, web: Guest
) -> None:
    def setting(path: str) -> str:
        return lab.edge.run("cat", f"/proc/sys/net/ipv4/{path}").stdout.strip()

    neighbour.ip("neigh flush all")
    assert neighbour.reaches(ON_LINK)
    neighbour.namespace.sysctl(**{f"ipv4__neigh__{UPLINK_DEVICE}__mcast_solicit": 1})
    for unmapped in ("203.0.113.11", "203.0.113.30"):
        with pytest.raises(Unreached) as silence:
            neighbour.tcp_connect(unmapped, 80, timeout=6)
        assert silence.value.kind == "unreachable", "nobody answers ARP for it"
    assert setting(f"conf/{UPLINK_DEVICE}/proxy_arp") == setting("conf/all/proxy_arp") == "0"
    assert setting(f"neigh/{UPLINK_DEVICE}/proxy_delay") == "0"


def test_a_router_that_remembers_another_machine_there_is_told(
    lab: Lab, host: Host, web: Guest
) -> None:
    """As after another edge, or the owner's own machine, had the address."""
    router, public = lab.internet.router, "203.0.113.12"
    router.sysctl(**{f"ipv4__neigh__{UPLINK_DEVICE}__locktime": 0})
    router.ip(f"neigh replace {public} lladdr 02:00:00:00:00:99 nud reachable dev {UPLINK_DEVICE}")
    host.agent("assign", "web1", public)
    assert lab.client.page(public, timeout=2).name == "web1"
    host.agent("unassign", "web1", public)


def test_an_address_may_be_configured_on_the_uplink_and_taken_from_it_while_it_is_mapped(
    lab: Lab, web: Guest
) -> None:
    with lab.client.stream(ON_LINK) as transfer:
        transfer.wait_moves()
        for verb, answered in (("add", False), ("del", True)):
            lab.edge.ip(f"addr {verb} {ON_LINK}/32 dev {UPLINK_DEVICE}")
            wait_until(
                lambda answered=answered: answers_arp(lab, ON_LINK) == answered,
                2,
                f"by proxy it is answered for: {answered}",
            )
            transfer.wait_moves()
            assert lab.client.page(ON_LINK).saw == CLIENT
        assert transfer.stop()


def answers_arp(lab: Lab, public: str) -> bool:
    """Whether the edge answers for the address though it is not its own."""
    return public in lab.edge.run("ip", "neigh", "show", "proxy").stdout


@way
def test_unassigned_no_packet_of_it_reaches_the_guest(
    lab: Lab, host: Host, web: Guest, public: str
) -> None:
    host.agent("unassign", "web1", public)
    assert edge_rows(lab, public) == []
    with Capture(host, "virbr0") as seen:
        with pytest.raises(Unreached) as silence:
            lab.client.tcp_connect(public, 80, timeout=1)
        with pytest.raises(Unreached):
            lab.client.udp_echo(public, timeout=1)
        came = seen.until(
            lambda: lab.client.tcp_connect(MARKER, 8080),
            lambda one: one.destination_port == 8080,
        )
    assert [one for one in came if one.source == CLIENT] == []
    own = public in {CONFIGURED, TRANSLATED_TO_CONFIGURED}
    assert silence.value.kind in ({"refused"} if own else {"timeout", "unreachable"})

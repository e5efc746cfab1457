"""What must not reach a guest, leave by the edge or be given away, tried with real packets."""

import json
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.capture import Capture, Packet
from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.traces import edge_rows, traces
from tests.lab.commands import wait_until
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.pulse import Pulse
from tests.lab.topology import (
    CLIENT,
    EDGE_ON_OVERLAY,
    EDGE_ON_UPLINK,
    MEMBER_ON_OVERLAY,
    NEIGHBOUR_ON_UPLINK,
    OVERLAY_DEVICE,
    UPLINK_DEVICE,
)

pytestmark = pytest.mark.lab

FORGE = Path(__file__).with_name("forge.py")
IMPOSTOR = Path(__file__).parents[1] / "lab" / "impostor.py"
PUBLIC = "203.0.113.10"
ROUTED = "192.0.2.200"
UNMAPPED = {"on-link": "203.0.113.11", "routed": "192.0.2.201"}
LOGIN = "203.0.113.12"
TRANSLATED = "198.18.0.9"
API, SSH, ECHO, MARKED, FORGED = 9443, 22, 7, 8080, 40404
ICMP, TCP, UDP = 1, 6, 17


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A host, an edge with a service of its own, another member, a neighbour on the uplink."""
    with Lab(hosts=("home1",)) as lab:
        lab.internet.route_to_edge("192.0.2.192/28")
        lab.edge.configure_address(LOGIN)
        lab.edge.daemon.init({"near": "203.0.113.10-203.0.113.14", "far": "192.0.2.192/28"})
        lab.edge.daemon.start()
        lab.edge.serve("edge")
        enrol(lab, lab["home1"])
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def member(lab: Lab) -> Machine:
    """Another member of the overlay; it listens to whoever reaches it."""
    machine = lab.add_member()
    machine.serve()
    return machine


@pytest.fixture(scope="module")
def neighbour(lab: Lab) -> Machine:
    """Another customer of the provider, who knows what lies behind the edge."""
    machine = lab.add_neighbour()
    machine.serve()
    machine.ip(f"route add 192.168.0.0/16 via {EDGE_ON_UPLINK}")
    return machine


@pytest.fixture(scope="module")
def guest(host: Host) -> Iterator[Guest]:
    addresses = "".join(f'<zthook:address public="{one}"/>' for one in (PUBLIC, ROUTED))
    guest = host.stand_in(
        "web1",
        annotation=f'<zthook:publish xmlns:zthook="urn:zthook:1">{addresses}</zthook:publish>',
    )
    yield guest
    forget(guest)


@pytest.fixture
def web(guest: Guest, host: Host) -> Guest:
    """The guest, with both its addresses."""
    if guest.state() != "running":
        guest.boot()
    wait_until(
        lambda: [row["state"] for row in host.agent.mappings("web1")] == ["active"] * 2,
        30,
        lambda: f"both are active; they are {host.agent.mappings('web1')}",
    )
    return guest


def answers(machine: Machine, address: str) -> list[str]:
    """What comes back from there, of TCP, UDP and ping; also a refusal is an answer."""

    def tcp() -> str:
        try:
            machine.tcp_connect(address, 80, timeout=0.7)
        except Unreached as error:
            return "" if error.kind in {"timeout", "unreachable"} else error.kind
        return "TCP"

    def udp() -> str:
        try:
            return machine.udp_echo(address, timeout=0.7)
        except Unreached as error:
            return "" if error.kind in {"timeout", "unreachable"} else error.kind

    def ping() -> str:
        return "ping" if machine.ping(address) else ""

    with ThreadPoolExecutor() as threads:
        return [text for text in threads.map(lambda ask: ask(), (tcp, udp, ping)) if text]


def forge(
    machine: Machine, device: str, gateway: str, packets: Iterable[dict[str, object]]
) -> None:
    """Send packets to ``gateway`` whatever this machine's own routes and addresses are."""
    machine.ping(gateway)
    listed = json.loads(machine.run("ip", "-j", "neigh", "show", gateway, "dev", device).stdout)
    machine.run(sys.executable, FORGE, device, listed[0]["lladdr"], json.dumps(list(packets)))


class Watch:
    """Captures of some devices, and a client's own connection to tell when all has come."""

    def __init__(self, lab: Lab, way: str, *seen: Capture) -> None:
        self._lab = lab
        self._way = way
        self._seen = seen

    def came(self) -> list[Packet]:
        """What passed until a connection that is let through, on any of the devices."""

        def connect() -> None:
            self._lab.client.tcp_connect(self._way, MARKED)

        def is_it(one: Packet) -> bool:
            return MARKED in ports(one)

        return [one for seen in self._seen for one in seen.until(connect, is_it)]


@contextmanager
def watching(lab: Lab, *places: tuple[Machine, str], way: str = PUBLIC) -> Iterator[Watch]:
    """See what passes these devices; ``way`` is a public address that is let through."""
    captures = [Capture(*place) for place in places]
    try:
        yield Watch(lab, way, *captures)
    finally:
        for one in captures:
            one.__exit__(None, None, None)


def ports(one: Packet) -> set[int]:
    return {one.source_port, one.destination_port}


def from_elsewhere(some: Iterable[Packet]) -> list[Packet]:
    """Without what the guest and its own network exchange."""
    return [one for one in some if not one.source.startswith("192.168.122.")]


# Past the mapping.


@pytest.mark.parametrize("gateway", ["192.168.193.2", EDGE_ON_OVERLAY], ids=["host", "edge"])
def test_a_member_does_not_reach_a_mapped_guest_by_its_private_address(
    lab: Lab, host: Host, member: Machine, web: Guest, gateway: str
) -> None:
    member.ip(f"route replace 192.168.122.0/24 via {gateway}")
    with watching(lab, (host, "virbr0")) as seen:
        assert answers(member, web.address) == []
        assert from_elsewhere(seen.came()) == []


@pytest.mark.parametrize("public", [PUBLIC, ROUTED])
def test_a_member_reaches_its_public_address_by_the_edge_as_the_edge_alone(
    lab: Lab, host: Host, member: Machine, web: Guest, public: str
) -> None:
    """As anybody on the internet does; with the member's own address the answer would go astray."""
    member.ip(f"route replace {public} via {EDGE_ON_OVERLAY}")
    with watching(lab, (host, "virbr0")) as seen:
        assert answers(member, public) == ["TCP", "hello", "ping"]
        assert {one.source for one in from_elsewhere(seen.came())} == {EDGE_ON_OVERLAY}


@pytest.mark.parametrize("gateway", ["192.168.193.2", EDGE_ON_OVERLAY], ids=["host", "edge"])
def test_a_member_does_not_reach_it_under_a_forged_address(
    lab: Lab, host: Host, member: Machine, web: Guest, gateway: str
) -> None:
    packets = [
        {"source": source, "destination": web.address, "protocol": protocol}
        for source in (CLIENT, EDGE_ON_OVERLAY, "192.168.122.1", PUBLIC, "10.1.2.3")
        for protocol in (TCP, UDP, ICMP)
    ]
    with watching(lab, (host, "virbr0")) as seen:
        forge(member, OVERLAY_DEVICE, gateway, packets)
        came = seen.came()
    assert from_elsewhere(came) == []
    assert not [one for one in came if one.source_port == FORGED]


@pytest.mark.parametrize("gateway", ["192.168.193.2", EDGE_ON_OVERLAY], ids=["host", "edge"])
def test_a_member_can_not_speak_in_a_clients_connection(
    lab: Lab, host: Host, member: Machine, web: Guest, gateway: str
) -> None:
    with Pulse(lab.client, "udp", PUBLIC) as flow:
        flow.wait_moves()
    forged = {
        "source": CLIENT,
        "source_port": flow.port,
        "destination": web.address,
        "destination_port": ECHO,
        "protocol": UDP,
    }
    with watching(lab, (host, "virbr0")) as seen:
        forge(member, OVERLAY_DEVICE, gateway, [forged])
        assert from_elsewhere(seen.came()) == []


def test_a_member_can_not_answer_in_the_guests_place(lab: Lab, member: Machine, web: Guest) -> None:
    with Pulse(lab.client, "udp", PUBLIC) as flow:
        flow.wait_moves()
    forged = [
        {
            "source": source,
            "source_port": ECHO,
            "destination": CLIENT,
            "destination_port": flow.port,
            "protocol": UDP,
        }
        for source in (web.address, PUBLIC)
    ]
    with watching(lab, (lab.client, "eth0")) as seen:
        forge(member, OVERLAY_DEVICE, EDGE_ON_OVERLAY, forged)
        assert [one for one in seen.came() if one.destination_port == flow.port] == []


def test_a_member_that_answers_arp_for_edge_and_host_draws_nothing(
    lab: Lab, host: Host, member: Machine, web: Guest
) -> None:
    """Neither what goes to the guest nor what it answers; and doctor says who it is."""
    places = (lab.edge, EDGE_ON_OVERLAY), (host, host.overlay_address)
    own = mac_of(member, OVERLAY_DEVICE)
    victims = [(mac_of(machine, OVERLAY_DEVICE), address) for machine, address in places]
    pairs = [(victims[0][0], victims[1][1]), (victims[1][0], victims[0][1])]
    try:
        member.ip(*(f"addr add {address}/32 dev {OVERLAY_DEVICE}" for _, address in places))
        with Capture(member, OVERLAY_DEVICE) as drawn:
            for public in (PUBLIC, ROUTED):
                with Pulse(lab.client, "udp", public) as flow:
                    for victim, address in pairs:
                        member.run(sys.executable, IMPOSTOR, OVERLAY_DEVICE, victim, address)
                    flow.wait_moves()
                assert lab.client.page(public).name == "web1"
            mine = {CLIENT, web.address, PUBLIC, ROUTED}
            assert [one for one in drawn.packets if mine & {one.source, one.destination}] == []
        said = json.loads(host.agent("doctor", "--json", check=False, timeout=90).stdout)
        [found] = [one for one in said["checks"] if one["check"] == "neighbour"]
        assert found["outcome"] == "warn"
        assert own in found["seen"]
    finally:
        member.ip(*(f"addr del {address}/32 dev {OVERLAY_DEVICE}" for _, address in places))


def mac_of(machine: Machine, device: str) -> str:
    return machine.run("cat", f"/sys/class/net/{device}/address").stdout.strip()


def test_a_neighbour_reaches_nothing_behind_the_edge(
    lab: Lab, host: Host, member: Machine, neighbour: Machine, web: Guest
) -> None:
    forged = [
        {"source": source, "destination": destination, "protocol": UDP}
        for source in (CLIENT, EDGE_ON_OVERLAY, host.overlay_address, web.address)
        for destination in (web.address, host.overlay_address, MEMBER_ON_OVERLAY)
    ]
    with watching(lab, (lab.edge, OVERLAY_DEVICE)) as seen:
        for address in (web.address, host.overlay_address, MEMBER_ON_OVERLAY):
            assert answers(neighbour, address) == []
        forge(neighbour, UPLINK_DEVICE, EDGE_ON_UPLINK, forged)
        came = seen.came()
    assert [one for one in came if NEIGHBOUR_ON_UPLINK in (one.source, one.destination)] == []
    assert [one for one in came if one.source_port == FORGED] == []


# Out by the edge.


def test_nobody_on_the_overlay_uses_the_edge_to_leave(
    lab: Lab, host: Host, member: Machine, neighbour: Machine, web: Guest
) -> None:
    for far in (CLIENT, NEIGHBOUR_ON_UPLINK):
        member.ip(f"route replace {far} via {EDGE_ON_OVERLAY}")
    forged = [
        {"source": source, "destination": NEIGHBOUR_ON_UPLINK, "protocol": UDP}
        for source in (MEMBER_ON_OVERLAY, web.address, PUBLIC, EDGE_ON_UPLINK)
    ]
    with watching(lab, (lab.edge, UPLINK_DEVICE)) as seen:
        assert answers(member, NEIGHBOUR_ON_UPLINK) == []
        assert answers(member, CLIENT) == []
        forge(member, OVERLAY_DEVICE, EDGE_ON_OVERLAY, forged)
        assert seen.came() == []


def test_the_guests_own_connections_leave_by_the_home_line(
    host: Host, neighbour: Machine, web: Guest
) -> None:
    assert web.fetch(NEIGHBOUR_ON_UPLINK).saw == host.line.outer


# The edge stays its owner's.


def test_the_edges_own_services_are_untouched(
    lab: Lab, member: Machine, neighbour: Machine, web: Guest
) -> None:
    for machine, address in (
        (lab.client, EDGE_ON_UPLINK),
        (neighbour, EDGE_ON_UPLINK),
        (member, EDGE_ON_OVERLAY),
    ):
        assert machine.page(address).name == "edge"
        assert answers(machine, address) == ["TCP", "hello", "ping"]
    assert lab.client.page(LOGIN).name == "edge", "of a pool, but nobody's"
    assert lab.edge.page(NEIGHBOUR_ON_UPLINK).saw == EDGE_ON_UPLINK


def test_the_api_is_there_for_the_overlay_alone(
    lab: Lab, member: Machine, neighbour: Machine, web: Guest
) -> None:
    assert member.reaches(EDGE_ON_OVERLAY, API)
    for machine, address in (
        (lab.client, EDGE_ON_UPLINK),
        (lab.client, LOGIN),
        (neighbour, EDGE_ON_UPLINK),
        (neighbour, EDGE_ON_OVERLAY),
    ):
        with pytest.raises(Unreached) as closed:
            machine.tcp_connect(address, API, timeout=0.7)
        assert closed.value.kind == "timeout", "dropped, not refused"


@pytest.mark.parametrize("public", UNMAPPED.values(), ids=UNMAPPED)
def test_a_pools_address_that_is_nobodys_is_silent(
    lab: Lab, member: Machine, neighbour: Machine, web: Guest, public: str
) -> None:
    with watching(lab, (lab.edge, UPLINK_DEVICE), (lab.edge, OVERLAY_DEVICE)) as seen:
        assert answers(lab.client, public) == []
        came = seen.came()
    assert [one for one in came if one.source in {public, EDGE_ON_UPLINK}] == [], (
        "not even an error"
    )
    assert len([one for one in came if one.protocol == ICMP]) <= 1, "it goes in circles"


@contextmanager
def edited(lab: Lab, more: str) -> Iterator[None]:
    """The edge goes by an edge.toml with ``more`` at its end."""
    path = lab.edge.daemon.config / "edge.toml"
    before = path.read_text()
    read_again(lab, path, before + more)
    try:
        yield
    finally:
        read_again(lab, path, before)


def read_again(lab: Lab, path: Path, text: str) -> None:
    process = lab.edge.daemon.process
    already = process.log_text().count("edge.toml again")
    path.write_text(text)
    process.send(signal.SIGHUP)
    wait_until(
        lambda: process.log_text().count("edge.toml again") > already,
        10,
        lambda: f"the edge reads it again; it says {process.log_text()[-500:]}",
    )


def refused(host: Host, public: str) -> str:
    """Why the guest is not given ``public``."""
    said = host.agent("assign", "web1", public, check=False)
    rows = [row for row in host.agent.mappings("web1") if row["public"] == public]
    assert [row["state"] for row in rows] == ["refused"], said.stdout + said.stderr
    assert said.returncode == 1
    return str(rows[0]["reason"])


def test_a_pool_of_what_the_edge_needs_is_not_taken(lab: Lab, web: Guest) -> None:
    for own in (EDGE_ON_UPLINK, EDGE_ON_OVERLAY):
        said = lab.edge.daemon("edge", "pool", "add", f"own={own}", check=False)
        assert said.returncode == 1
        assert "can not give away what it needs itself" in said.stderr


@pytest.mark.parametrize(
    ("public", "arrives_as"),
    [(EDGE_ON_UPLINK, ""), (TRANSLATED, EDGE_ON_UPLINK), (EDGE_ON_OVERLAY, "")],
    ids=["on the uplink", "as the provider translates it", "on the overlay"],
)
def test_an_address_that_the_edge_needs_is_given_to_nobody(
    lab: Lab, host: Host, web: Guest, public: str, arrives_as: str
) -> None:
    pool = f'\n[[pool]]\nname = "own"\naddresses = ["{public}"]\nuplink = "uplink0"\n'
    pool += f'arrives_as = ["{arrives_as}"]\n' if arrives_as else ""
    with edited(lab, pool):
        try:
            why = refused(host, public)
            assert "stays the edge's own" in why
            assert (arrives_as or public) in why
            assert lab.client.page(EDGE_ON_UPLINK).name == "edge"
        finally:
            host.agent("unassign", "web1", public)


def test_an_address_with_a_login_on_it_is_given_away_when_that_has_ended(
    lab: Lab, host: Host, web: Guest
) -> None:
    sshd = lab.edge.start("sshd", "busybox", "nc", "-ll", "-p", str(SSH), "-e", "cat")
    wait_until(lambda: lab.client.reaches(LOGIN, SSH), 10, "the login port answers")
    login = lab.client.stream(LOGIN, SSH)
    try:
        login.wait_moves(4096)
        assert "in use by a login session" in refused(host, LOGIN)
        login.wait_moves(4096)
        login.stop()
        wait_until(
            lambda: [one["state"] for one in edge_rows(lab, LOGIN)] == ["active"],
            15,
            lambda: f"{LOGIN} is given away; it is {edge_rows(lab, LOGIN)}",
        )
        assert lab.client.page(LOGIN).name == "web1"
    finally:
        login.__exit__(None, None, None)
        host.agent("unassign", "web1", LOGIN)
        sshd.kill()
    assert lab.client.page(LOGIN).name == "edge"


# Withdrawn is over.


def tracked(lab: Lab, public: str) -> set[int]:
    """The clients' ports of the edge's connections to a public address."""
    listed = lab.edge.run("conntrack", "-L", "-d", public, check=False).stdout
    return {int(port) for port in re.findall(rf"dst={public} sport=(\d+)", listed)}


def dies(transfer: Any) -> bool:
    return transfer.wait_broken() in {"timeout", "reset", "unreachable"}


@pytest.mark.parametrize("public", [PUBLIC, ROUTED])
def test_unassigned_ends_established_connections_at_once(
    lab: Lab, host: Host, web: Guest, public: str
) -> None:
    other = ROUTED if public == PUBLIC else PUBLIC
    with (
        lab.client.stream(other) as kept,
        lab.client.stream(public, timeout=3) as transfer,
        Pulse(lab.client, "udp", public) as flow,
    ):
        for one in (kept, transfer, flow):
            one.wait_moves()
        theirs = tracked(lab, public)
        assert flow.port in theirs
        host.agent("unassign", "web1", public)
        assert tracked(lab, public) == set()
        with watching(lab, (host, OVERLAY_DEVICE), (lab.client, "eth0"), way=other) as seen:
            flow.wait_sends(20)
            came = seen.came()
        assert [one for one in came if one.source == public] == []
        assert [
            one for one in came if one.destination == web.address and one.source_port in theirs
        ] == []
        assert dies(transfer)
        kept.wait_moves()
    host.agent("assign", "web1", public)


def test_destroyed_the_guest_leaves_nothing_that_could_pass(
    lab: Lab, host: Host, web: Guest
) -> None:
    with (
        lab.client.stream(ROUTED, timeout=3) as transfer,
        Pulse(lab.client, "udp", ROUTED) as flow,
    ):
        transfer.wait_moves()
        flow.wait_moves()
        web.destroy()
        left: Callable[[], list[str]] = lambda: [  # noqa: E731
            place for one in (PUBLIC, ROUTED) for place in traces(lab, host, one, web.address)
        ]
        wait_until(lambda: not left(), 10, lambda: f"nothing is left of it; there is {left()}")
        with Capture(host, OVERLAY_DEVICE) as overlay:
            flow.wait_sends(20)
            came = overlay.until(
                lambda: host.udp_echo(EDGE_ON_OVERLAY), lambda one: ECHO in ports(one)
            )
        assert [one for one in came if one.protocol == UDP] == []
        assert dies(transfer)

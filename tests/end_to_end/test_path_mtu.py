"""Overlays that carry less than the internet, and more: whole transfers, and what is told."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, wait_active
from tests.end_to_end.transfer import transfer
from tests.lab.domain import address, publish
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, CLIENT6

pytestmark = pytest.mark.lab

PUBLICS = {
    "nat": "203.0.113.10",
    "routed": "203.0.113.11",
    "nat, IPv6": "2001:db8:113::10",
    "routed, IPv6": "2001:db8:113::11",
}
OUT = {
    "out": ("203.0.113.12", "2001:db8:113::12", "nat"),
    "out-routed": ("203.0.113.13", "2001:db8:113::13", "routed"),
}
each = pytest.mark.parametrize("public", PUBLICS.values(), ids=PUBLICS)

# What came back, and its largest segment, of one connection to the echo.
SEGMENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7), 5) as peer:
    peer.sendall(b"x" * 100_000)
    left = 100_000
    while left:
        left -= len(peer.recv(left))
    print(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
"""
# What the path carries, as the kernel learns it: a datagram of the uplink's size that must not be
# fragmented is refused by somebody, and the kernel remembers what he said.
LEARN = """
import errno, socket, sys, time
six = ":" in sys.argv[1]
family, level = (socket.AF_INET6, 41) if six else (socket.AF_INET, 0)
discover, mtu = (23, 24) if six else (10, 14)
peer = socket.socket(family, socket.SOCK_DGRAM)
peer.setsockopt(level, discover, 2)
peer.connect((sys.argv[1], 7))
peer.settimeout(0.3)
head = 48 if six else 28
end = time.monotonic() + 5
while time.monotonic() < end:
    size = peer.getsockopt(level, mtu) - head
    try:
        peer.send(b"x" * size)
        if len(peer.recv(2000)) == size:
            break
    except OSError as error:
        if error.errno not in (errno.EMSGSIZE, None):
            raise
print(size + head)
"""


@pytest.fixture(scope="module", params=[1420, 2800])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(hosts=["home1"], ipv6=True, overlay_mtu=request.param) as lab:
        pools = {"four": "203.0.113.10-203.0.113.20", "six": "2001:db8:113::10-2001:db8:113::1f"}
        lab.edge.daemon.init(pools)
        lab.edge.daemon.start()
        enrol(lab, lab["home1"])
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module")
def mtu(request: pytest.FixtureRequest, lab: Lab) -> int:
    """What the smallest device on the way carries."""
    return min(1500, int(lab.edge.run("cat", "/sys/class/net/overlay0/mtu").stdout))


@pytest.fixture(scope="module", autouse=True)
def guests(lab: Lab) -> dict[str, StandIn]:
    host = lab["home1"]
    modes = {public: name.split(",")[0] for name, public in PUBLICS.items()}
    every = publish(*(address(public, mode=mode) for public, mode in modes.items()))
    made = [host.stand_in("web1", annotation=every)]
    for name, (four, six, mode) in OUT.items():
        asked = [address(public, mode=mode, egress="public") for public in (four, six)]
        made.append(host.stand_in(name, annotation=publish(*asked)))
    boot(*made)
    for guest in made:
        assert guest.pings(str(host.home.guests6[1])), "it has spoken"
    wait_active(made[0], *PUBLICS.values())
    for guest in made[1:]:
        wait_active(guest, *OUT[guest.name][:2])
    return {guest.name: guest for guest in made}


def headers(address: str) -> int:
    """Of IP and TCP, with its timestamps counted out."""
    return 60 if ":" in address else 40


@each
def test_segments_fit_the_overlay_both_ways(lab: Lab, mtu: int, public: str) -> None:
    said = lab.client.run("python3", "-c", SEGMENT, public).stdout
    # TCP_MAXSEG is without options, of which timestamps (12 bytes) are used here.
    assert mtu - headers(public) - 12 <= int(said) <= mtu - headers(public)
    for verb in ("get", "put"):
        with transfer(lab.client, verb, public, 1_000_000, 20_000_000) as file:
            assert file.stop() == 1_000_000


@each
def test_the_client_is_told_what_the_path_carries(lab: Lab, mtu: int, public: str) -> None:
    assert int(lab.client.run("python3", "-c", LEARN, public).stdout) == mtu


@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
@pytest.mark.parametrize("name", OUT)
def test_a_guest_that_leaves_by_the_edge_is_told_too(
    guests: dict[str, StandIn], mtu: int, name: str, client: str
) -> None:
    body = guests[name].body
    assert int(body.run("python3", "-c", LEARN, client).stdout) == mtu
    said = body.run("python3", "-c", SEGMENT, client).stdout
    assert mtu - headers(client) - 12 <= int(said) <= mtu - headers(client)
    assert len(body.http(client, path="/bytes?1000000")) == 1_000_000

"""Which of the machine's own addresses may not be given away."""

import socket
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.kernel.driver import CONFIGURED, Edge
from tests.kernel.questions import connection
from tests.kernel.topology import Topology
from zthook.kernel.protected import Served, login_addresses, reasons, served_ports
from zthook.model.publication import Protocol

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode"


def line(local: str, state: str, inode: int) -> str:
    return (
        f"   0: {local} 0764A8C0:C000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1"
    )


def proc(folder: Path, tcp: list[str], tcp6: list[str], **processes: list[int]) -> Path:
    """A /proc with these lines, and processes (by name) that have those sockets."""
    net = folder / "thread-self" / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_text("\n".join([HEADER, *tcp]))
    (net / "tcp6").write_text("\n".join([HEADER, *tcp6]))
    for number, (name, inodes) in enumerate(processes.items(), start=100):
        (folder / str(number) / "fd").mkdir(parents=True)
        (folder / str(number) / "comm").write_text(name.replace("_", "-") + "\n")
        for inode in inodes:
            (folder / str(number) / "fd" / str(inode)).symlink_to(f"socket:[{inode}]")
    return folder


LITTLE = socket.htonl(1) != 1
ADDRESS = "147100CB" if LITTLE else "CB007114"
MAPPED = ("0000000000000000FFFF0000147100CB") if LITTLE else "00000000000000000000FFFFCB007114"


@pytest.mark.parametrize(
    ("tcp", "tcp6", "processes"),
    [
        ([line(f"{ADDRESS}:0016", "01", 7)], [], {}),
        ([], [line(f"{MAPPED}:0016", "01", 7)], {}),
        ([line(f"{ADDRESS}:08AE", "01", 7)], [], {"sshd": [7]}),
        ([line(f"{ADDRESS}:08AE", "01", 7)], [], {"sshd_session": [7]}),
        (
            [line("00000000:08AE", "0A", 5), line(f"{ADDRESS}:08AE", "01", 7)],
            [],
            {"sshd": [5]},
        ),
    ],
    ids=["port 22", "IPv6 socket", "its process", "newer OpenSSH", "the listener's port"],
)
def test_a_login_session_protects_its_address(
    tmp_path: Path, tcp: list[str], tcp6: list[str], processes: dict[str, list[int]]
) -> None:
    found = login_addresses(proc(tmp_path, tcp, tcp6, **processes))
    assert found == {ip_address("203.0.113.20")}


def test_a_login_session_over_ipv6_protects_its_address(tmp_path: Path) -> None:
    words = struct.unpack("=4I", ip_address("2001:db8::20").packed)
    address = "".join(f"{word:08X}" for word in words)
    assert login_addresses(proc(tmp_path, [], [line(f"{address}:0016", "01", 7)])) == {
        ip_address("2001:db8::20")
    }


def test_other_connections_protect_nothing(tmp_path: Path) -> None:
    listens, closes = line("00000000:0016", "0A", 5), line(f"{ADDRESS}:0016", "06", 6)
    web = line(f"{ADDRESS}:0050", "01", 7)
    assert login_addresses(proc(tmp_path, [listens, closes, web], [], nginx=[7])) == frozenset()


def test_the_gravest_reason_is_told() -> None:
    one, other, third, router = (ip_address(f"203.0.113.{n}") for n in (1, 2, 3, 4))
    found = reasons(sources=[one], logins=[one, other], overlay=[third], routers=[router])
    assert found == {
        router: "the router of the edge's default route",
        one: "the source address of the edge's default route",
        other: "in use by a login session (SSH)",
        third: "the edge's own address on the overlay",
    }


def test_what_waits_for_anybody_is_served(tmp_path: Path) -> None:
    folder = proc(
        tmp_path,
        [line("00000000:0016", "0A", 5), line(f"{ADDRESS}:08AE", "01", 7)],
        [line(f"{'0' * 32}:0050", "0A", 8), line(f"{MAPPED}:01BB", "0A", 9)],
    )
    net = folder / "thread-self" / "net"
    (net / "udp").write_text(
        "\n".join([HEADER, line(f"{ADDRESS}:0035", "01", 1), line("00000000:2709", "07", 2)])
    )
    assert served_ports(folder) == {
        Served(Protocol.TCP, 22, ip_address("0.0.0.0")),
        Served(Protocol.TCP, 80, ip_address("::")),
        Served(Protocol.TCP, 443, ip_address("203.0.113.20")),
        Served(Protocol.UDP, 9993, ip_address("0.0.0.0")),
    }


@pytest.mark.netns
def test_a_real_service_is_seen(top: Topology, edge: Edge) -> None:
    before = edge.ask(lambda one: one.served())
    bound = edge.inside.call(_wait_for_anybody)
    try:
        ports = {kind: one.getsockname()[1] for kind, one in bound.items()}
        assert edge.ask(lambda one: one.served()) - before == {
            Served(Protocol.TCP, ports["tcp"], ip_address("0.0.0.0")),
            Served(Protocol.TCP, ports["tcp6"], ip_address("::1")),
            Served(Protocol.UDP, ports["udp"], ip_address(CONFIGURED)),
        }
    finally:
        for one in bound.values():
            one.close()


def _wait_for_anybody() -> dict[str, socket.socket]:
    tcp, tcp6 = socket.socket(), socket.socket(socket.AF_INET6)
    udp = socket.socket(type=socket.SOCK_DGRAM)
    for one, address in ((tcp, "0.0.0.0"), (tcp6, "::1"), (udp, CONFIGURED)):
        one.bind((address, 0))
    tcp.listen()
    tcp6.listen()
    return {"tcp": tcp, "tcp6": tcp6, "udp": udp}


@pytest.mark.netns
def test_a_real_session_is_seen(top: Topology, edge: Edge) -> None:
    top.serve(edge.inside, 22)
    source, router = ip_address("203.0.113.2"), ip_address("203.0.113.1")
    assert edge.ask(lambda one: one.protected()).keys() == {source, router}
    with connection(top.client, CONFIGURED, 22):
        edge.apply()
        found = edge.ask(lambda one: one.protected())
    assert found[ip_address(CONFIGURED)] == "in use by a login session (SSH)"
    assert found[source] == "the source address of the edge's default route"
    assert found[router] == "the router of the edge's default route"
    assert ip_address("192.168.193.222") in found

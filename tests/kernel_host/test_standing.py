"""Which connections still are some mapping's, decided purely."""

import socket
from ipaddress import ip_address

import pytest

from tests.kernel_host.home import (
    CLIENT,
    ELSEWHERE,
    GUEST,
    HOST_ON_OVERLAY,
    LONELY,
    POOLS,
    SIBLING,
    rule,
)
from zthook.kernel.connection_table import Connection
from zthook.kernel.host.connections import Standing
from zthook.model.mappings import GuestRule
from zthook.model.publication import Egress, Mode

P, OTHER = "203.0.113.10", "203.0.113.11"
TCP, UDP = int(socket.IPPROTO_TCP), int(socket.IPPROTO_UDP)
NAT, ROUTED = rule(GUEST, public=P), rule(GUEST, public=P, mode=Mode.ROUTED)
OUT = rule(GUEST, public=P, egress=Egress.PUBLIC)
OUT_ROUTED = rule(GUEST, public=P, mode=Mode.ROUTED, egress=Egress.PUBLIC)
BY_PORT = rule(GUEST, public=P, mode=Mode.ROUTED, ports=["tcp/80-89:8080", "udp/53"])


def packed(address: str) -> bytes:
    return ip_address(address).packed


def brought(
    to: str = GUEST, by: str = GUEST, port: int = 8080, *, protocol: int = TCP
) -> Connection:
    """A client's, answered by ``by``."""
    client = packed(CLIENT)
    return Connection(client, packed(to), protocol, 80, packed(by), client, port, b"")


def begun(
    source: str = GUEST, to: str = CLIENT, *, as_: str = GUEST, protocol: int = UDP
) -> Connection:
    """A guest's or this host's own."""
    far = packed(to)
    return Connection(packed(source), far, protocol, 80, far, packed(as_), 80, b"")


def standing(*rules: GuestRule) -> Standing:
    return Standing(rules, POOLS, [ip_address(HOST_ON_OVERLAY)])


@pytest.mark.parametrize(
    ("rules", "one", "stays"),
    [
        ([NAT], brought(), True),
        ([NAT], brought(SIBLING, SIBLING), False),
        ([NAT], brought(P), False),
        ([ROUTED], brought(P), True),
        ([ROUTED], brought(), False),
        ([ROUTED], brought(OTHER), False),
        ([BY_PORT], brought(P, port=8089), True),
        ([BY_PORT], brought(P, port=8090), False),
        ([BY_PORT], brought(P, port=8080, protocol=UDP), False),
        ([BY_PORT], brought(P, port=53, protocol=UDP), True),
        ([BY_PORT], brought(P, port=0, protocol=socket.IPPROTO_ICMP), False),
        ([rule(GUEST)], brought(), True),
        ([], brought(), False),
    ],
)
def test_what_the_edge_brought(rules: list[GuestRule], one: Connection, stays: bool) -> None:
    assert standing(*rules).is_brought(one) is stays


@pytest.mark.parametrize(
    ("rules", "one", "stays"),
    [
        ([NAT], brought(P), True),
        ([rule(GUEST)], brought(P), False),
        ([BY_PORT], brought(P, port=8080), True),
        ([BY_PORT], brought(P, port=80), False),
        ([rule(LONELY, "virbr1", hide=True, public=P)], brought(P, LONELY), True),
        ([], brought(CLIENT, CLIENT), True),  # buried, and lies there
    ],
)
def test_what_stays_on_this_host(rules: list[GuestRule], one: Connection, stays: bool) -> None:
    assert standing(*rules).is_local(one) is stays


@pytest.mark.parametrize(
    ("rules", "one", "stays"),
    [
        ([OUT], begun(), True),
        ([OUT], begun(to=ELSEWHERE), True),
        ([OUT_ROUTED], begun(as_=P), True),
        ([OUT_ROUTED], begun(as_=OTHER), False),
        ([OUT_ROUTED], begun(), False),
        ([NAT], begun(), False),
        ([], begun(), False),
        ([rule(GUEST, egress=Egress.PUBLIC)], begun(), False),
        ([OUT], begun(SIBLING, as_=SIBLING), False),
        # as a member of the overlay, to what is elsewhere
        ([NAT], begun(to=ELSEWHERE, as_=HOST_ON_OVERLAY), True),
        ([NAT], begun(SIBLING, ELSEWHERE, as_=HOST_ON_OVERLAY), True),
        ([NAT], begun(HOST_ON_OVERLAY, ELSEWHERE, as_=HOST_ON_OVERLAY), True),
        ([NAT], begun(SIBLING, CLIENT, as_=HOST_ON_OVERLAY), False),
        ([NAT], begun(to=ELSEWHERE), False),
    ],
)
def test_what_leaves_by_the_edge(rules: list[GuestRule], one: Connection, stays: bool) -> None:
    assert standing(*rules).is_leaving(one) is stays


@pytest.mark.parametrize(
    ("rules", "one", "would"),
    [
        ([NAT], begun(protocol=TCP), True),
        ([NAT], begun(protocol=UDP), False),
        ([BY_PORT], begun(protocol=TCP), True),
        ([rule(GUEST, public=P, ports=["udp/53"])], begun(protocol=TCP), False),
        ([rule(GUEST, public=P, hide=True)], begun(protocol=TCP), False),
        ([NAT], begun(SIBLING, protocol=TCP), False),
    ],
)
def test_what_would_go_on_were_it_forgotten(
    rules: list[GuestRule], one: Connection, would: bool
) -> None:
    assert standing(*rules).would_resume(one) is would


def test_the_families_are_not_mixed_up() -> None:
    v6 = brought("::ffff:192.168.122.50", "::ffff:192.168.122.50")
    assert not standing(NAT).is_brought(v6)

"""What the kernel tells concerns a host's dataplane, or does not."""

import struct

import pytest

from zthook.kernel.host.notices import About
from zthook.kernel.netlink import attribute
from zthook.kernel.watch import Notification

IPV4, IPV6 = b"\2", b"\x0a"


def link(name: bytes) -> Notification:
    return Notification("link", 0, bytes(16) + attribute(3, name + b"\0"))


def route(family: bytes, table: int) -> Notification:
    return Notification("route", 0, family + bytes(11) + attribute(15, struct.pack("=I", table)))


def neighbour(family: bytes, protocol: int) -> Notification:
    return Notification("neighbour", 0, family + bytes(11) + attribute(12, bytes([protocol])))


TOLD = [
    # what, with IPv4 alone, with both
    (link(b"zt0"), True, True),
    (link(b"vnet7"), False, False),
    (Notification("address", 0, IPV4 + bytes(7)), True, True),
    (Notification("address", 0, IPV6 + bytes(7)), False, True),
    (route(IPV4, 12300), True, True),
    (route(IPV4, 12301), True, True),
    (route(IPV4, 254), False, False),
    (route(IPV6, 12300), False, True),
    (Notification("rule", 0, IPV4 + bytes(11)), True, True),
    (Notification("rule", 0, IPV6 + bytes(11)), False, True),
    (neighbour(IPV6, 124), True, True),
    (neighbour(IPV4, 124), True, True),
    (neighbour(IPV4, 123), False, False),
    (neighbour(IPV6, 0), False, False),
    (Notification("lost", 0, b""), True, True),
]


@pytest.mark.parametrize(("told", "with_4", "with_both"), TOLD)
def test_what_the_kernel_tells_concerns_us_or_not(
    told: Notification, with_4: bool, with_both: bool
) -> None:
    tables = (12300, 12301)
    assert About("zt0", {4}, tables).concerns(told) is with_4
    assert About("zt0", {4, 6}, tables).concerns(told) is with_both

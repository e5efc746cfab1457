"""Which of the kernel's notifications can mean that an edge's kernel has drifted."""

import socket
import struct
from collections.abc import Collection

from zthook.kernel.edge_rules import is_known
from zthook.kernel.netlink import attributes
from zthook.kernel.routes import LINK_SCOPE, MAIN_TABLE
from zthook.kernel.rtnetlink import PROTOCOL
from zthook.kernel.watch import Notification

LINK_HEADER, LINK_NAME = 16, 3
ROUTE = struct.Struct("=BBBBBBBB")
DEFAULT_LENGTH, HOST_LENGTH = 0, 32


def concerns(told: Notification, devices: Collection[str]) -> bool:
    """Whether it is about our devices, an IPv4 address, or routes such as ours stand on.

    Others are many on a machine with containers or a routing daemon, and each would cost a
    whole pass. A name in ``devices`` that is not known yet makes every device ours.
    """
    if told.kind == "link":
        name = attributes(told.payload, LINK_HEADER).get(LINK_NAME, b"")
        known = all(is_known(one) for one in devices)
        return not known or name.rstrip(b"\0").decode(errors="replace") in devices
    if told.kind == "route":
        return _is_near(told.payload)
    return told.kind != "address" or told.payload[0] == socket.AF_INET


def _is_near(payload: bytes) -> bool:
    family, length, _, _, table, protocol, scope, _ = ROUTE.unpack_from(payload)
    return (family, table) == (socket.AF_INET, MAIN_TABLE) and (
        protocol == PROTOCOL or length in {DEFAULT_LENGTH, HOST_LENGTH} or scope == LINK_SCOPE
    )

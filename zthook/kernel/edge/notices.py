"""Which of the kernel's notifications can mean that an edge's kernel has drifted."""

import socket
from collections.abc import Collection

from zthook.kernel.edge.ground import EDGE_TABLES
from zthook.kernel.edge.rules import is_known
from zthook.kernel.netlink import PROTOCOL, attributes
from zthook.kernel.routes import HEADER, LINK_SCOPE, MAIN_TABLE, NUMBER, TABLE
from zthook.kernel.rules import LOCAL_TABLE, PROTOCOL_OF
from zthook.kernel.watch import Notification

LINK_HEADER, LINK_NAME = 16, 3
NEIGHBOUR_HEADER, NEIGHBOUR_PROTOCOL = 12, 12
DEFAULT_LENGTH = 0
HOST_LENGTHS = {socket.AF_INET: 32, socket.AF_INET6: 128}


def concerns(told: Notification, devices: Collection[str], *, ipv6: bool) -> bool:
    """Whether it is about our devices, an address, or rules and routes such as ours stand on.

    Others are many on a machine with containers or a routing daemon, and each would cost a
    whole pass. A name in ``devices`` that is not known yet makes every device ours.
    """
    if told.kind == "link":
        name = attributes(told.payload, LINK_HEADER).get(LINK_NAME, b"")
        known = all(is_known(one) for one in devices)
        return not known or name.rstrip(b"\0").decode(errors="replace") in devices
    if not told.payload:
        return True  # some were lost
    if told.payload[0] not in ({socket.AF_INET, socket.AF_INET6} if ipv6 else {socket.AF_INET}):
        return False
    if told.kind == "neighbour":
        # The kernel by itself only finishes what was asked for, or a device goes, which it tells.
        return told.port != 0 and _is_our_neighbour(told.payload)
    kinds = {"route": _is_near, "rule": _is_our_rule}
    return kinds[told.kind](told.payload) if told.kind in kinds else True


def _is_near(payload: bytes) -> bool:
    family, length, _, _, _, protocol, scope, _, _ = HEADER.unpack_from(payload)
    table = _table(payload)
    if protocol == PROTOCOL:
        return table in EDGE_TABLES
    return table == MAIN_TABLE and (
        length in {DEFAULT_LENGTH, HOST_LENGTHS[family]} or scope == LINK_SCOPE
    )


def _is_our_rule(payload: bytes) -> bool:
    protocol = attributes(payload, HEADER.size).get(PROTOCOL_OF)
    return protocol == bytes([PROTOCOL]) or _table(payload) == LOCAL_TABLE


def _is_our_neighbour(payload: bytes) -> bool:
    return attributes(payload, NEIGHBOUR_HEADER).get(NEIGHBOUR_PROTOCOL) == bytes([PROTOCOL])


def _table(payload: bytes) -> int:
    (table,) = NUMBER.unpack(attributes(payload, HEADER.size)[TABLE])
    return int(table)

"""Which of the kernel's notifications may be about what a host has in it."""

import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass

from zthook.kernel.neighbours import OF_HOST
from zthook.kernel.netlink import attributes
from zthook.kernel.watch import Notification

# Of linux/if_link.h, linux/rtnetlink.h, linux/neighbour.h: attributes, and the sizes of what
# stands before them.
LINK_NAME, LINK_HEADER = 3, 16
ROUTE_TABLE, ROUTE_HEADER = 15, 12
NEIGHBOUR_PROTOCOL, NEIGHBOUR_HEADER = 12, 12
VERSIONS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}


@dataclass(frozen=True, slots=True)
class About:
    """The overlay's device, the IP versions that are in use, and our route tables."""

    overlay: str
    versions: Collection[int]
    tables: Collection[int]

    def concerns(self, one: Notification) -> bool:
        """Whether it may be about these, policy rules, addresses or neighbours of ours.

        A device that goes takes its routes along without a word about them, and so does its
        last address; of addresses the device's name is not told.
        """
        if one.kind == "link":
            name = attributes(one.payload, LINK_HEADER).get(LINK_NAME, b"")
            return name.rstrip(b"\0") == self.overlay.encode()
        if one.kind == "lost":
            return True
        if one.kind == "neighbour":
            found = attributes(one.payload, NEIGHBOUR_HEADER).get(NEIGHBOUR_PROTOCOL, b"")
            return found == bytes([OF_HOST])
        if VERSIONS.get(one.payload[0]) not in self.versions:
            return False
        if one.kind == "route":
            found = attributes(one.payload, ROUTE_HEADER).get(ROUTE_TABLE, bytes(4))
            return struct.unpack("=I", found)[0] in self.tables
        return True

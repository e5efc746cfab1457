"""The kernel's memory of connections: read, forgotten, mended.

Read by hand and not by pyroute2, whose parsing takes thirty times as long: a flooded address
can have 200,000 entries.
"""

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from zthook.kernel.netlink import (
    ACK,
    ATTRIBUTE,
    NETFILTER,
    Netlink,
    attribute,
    attributes,
    message,
)

CHANGE, GET, DELETE = (1 << 8) | 0, (1 << 8) | 1, (1 << 8) | 2
GENERIC = struct.Struct("=BBH")
NESTED = 0x8000
TUPLE_ORIGINAL, TUPLE_REPLY, PROTOCOL_STATE, ID, ZONE, FILTER = 1, 2, 4, 12, 18, 25
MARK, MARK_MASK = 8, 21
ADDRESSES, PORTS = 1, 2
# The kernel numbers them so for IPv4 and IPv6: source and destination of each.
SOURCE, DESTINATION = {4: 1, 16: 3}, {4: 2, 16: 4}
PROTOCOL, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
FILTER_ORIGINAL, FILTER_REPLY = 1, 2
BY_DESTINATION = 1 << 1
FAMILIES: dict[int, int] = {4: socket.AF_INET, 16: socket.AF_INET6}
EVERY_FAMILY: int = socket.AF_UNSPEC
# Of linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_tcp.h.
TCP, FLAGS_ORIGINAL, FLAGS_REPLY = 1, 4, 5
BE_LIBERAL = bytes([0x08, 0x08])


class Connection(NamedTuple):
    """One entry. Addresses are as ``IPAddress.packed`` has them, 4 bytes or 16.

    ``source`` and ``destination`` are those of the first packet, and ``port`` is where it
    went; answers come from ``answered_by`` and ``answering_port``, and go to
    ``answered_to``. Where the protocol has no ports they are 0. ``listed`` is the entry as
    the kernel tells it.
    """

    source: bytes
    destination: bytes
    protocol: int
    port: int
    answered_by: bytes
    answered_to: bytes
    answering_port: int
    listed: bytes


class Listing(NamedTuple):
    """What to ask for: one address family or every one, and a filter of the kernel's own."""

    family: int = EVERY_FAMILY
    wanted: bytes = b""


def forget(listings: Collection[Listing], belongs: Callable[[Connection], bool], about: str) -> int:
    """End what belongs of all that is listed; how many there were. Raises KernelError.

    Its next packet counts as new: it goes the way that the rules say now.
    """
    return _each(listings, belongs, lambda one: message(DELETE, ACK, _named(one)), about)


def forgive(
    listings: Collection[Listing], belongs: Callable[[Connection], bool], about: str
) -> int:
    """Let what belongs go on whatever went by unseen, where it is TCP; how many there were.

    While no rule needs it the kernel follows no connection, and later it drops, for good,
    answers to what it did not see. Raises KernelError.
    """
    flags = attribute(FLAGS_ORIGINAL, BE_LIBERAL) + attribute(FLAGS_REPLY, BE_LIBERAL)
    liberal = attribute(PROTOCOL_STATE | NESTED, attribute(TCP | NESTED, flags))

    def is_concerned(one: Connection) -> bool:
        return one.protocol == socket.IPPROTO_TCP and belongs(one)

    return _each(
        listings, is_concerned, lambda one: message(CHANGE, ACK, _named(one) + liberal), about
    )


def remark(
    listings: Collection[Listing],
    belongs: Callable[[Connection], bool],
    value: int,
    mask: int,
    about: str,
) -> int:
    """Give what belongs the value in the bits ``mask`` of its mark; how many there were."""
    mark = marked(value, mask).wanted
    return _each(listings, belongs, lambda one: message(CHANGE, ACK, _named(one) + mark), about)


def any_of(listings: Iterable[Listing], about: str) -> bool:
    """Whether anything at all is listed. Raises KernelError."""
    return any(_listed(listing, about) for listing in listings)


def _listed(listing: Listing, about: str) -> bool:
    with Netlink(NETFILTER) as kernel:
        found = kernel.stream(GET, GENERIC.pack(listing.family, 0, 0) + listing.wanted, about=about)
        return next(found, None) is not None


def is_liberal(one: Connection) -> bool:
    """Whether it is TCP that may go on whatever went by unseen: forgiven, or begun unseen."""
    found = attributes(one.listed, GENERIC.size).get(PROTOCOL_STATE, b"")
    flags = attributes(attributes(found).get(TCP, b"")).get(FLAGS_ORIGINAL, b"\0")
    return bool(flags[0] & BE_LIBERAL[0])


def marked(value: int, mask: int) -> Listing:
    """Those whose mark has the value ``value`` in the bits ``mask``."""
    bits = attribute(MARK, struct.pack(">I", value)), attribute(MARK_MASK, struct.pack(">I", mask))
    return Listing(wanted=b"".join(bits))


def begun_to(address: bytes) -> Listing:
    """At least those whose first packet went to ``address``.

    By the kernel's own filter of 5.8, for IPv4 alone: an IPv6 address filters out exactly
    what it should let through (seen up to 6.18).
    """
    return _by_destination(TUPLE_ORIGINAL, FILTER_ORIGINAL, address)


def answered_to(address: bytes) -> Listing:
    """At least those whose answers go to ``address``."""
    return _by_destination(TUPLE_REPLY, FILTER_REPLY, address)


def _by_destination(direction: int, filtered: int, address: bytes) -> Listing:
    family = FAMILIES[len(address)]
    if family != socket.AF_INET:
        return Listing(family)
    addresses = attribute(ADDRESSES | NESTED, attribute(DESTINATION[len(address)], address))
    flags = attribute(filtered, struct.pack("=I", BY_DESTINATION))
    return Listing(
        family, attribute(direction | NESTED, addresses) + attribute(FILTER | NESTED, flags)
    )


def _each(
    listings: Collection[Listing],
    belongs: Callable[[Connection], bool],
    request: Callable[[Connection], bytes],
    about: str,
) -> int:
    if not listings:
        return 0
    with Netlink(NETFILTER) as kernel:
        requests = [
            request(one)
            for listing in listings
            for payload in kernel.stream(
                GET, GENERIC.pack(listing.family, 0, 0) + listing.wanted, about=about
            )
            if belongs(one := read(payload))
        ]
        kernel.carry_out(requests, about=lambda _: about, fine={errno.ENOENT})
    return len(requests)


def _named(one: Connection) -> bytes:
    """What tells this entry from all others, also from a later one of the same addresses."""
    found = attributes(one.listed, GENERIC.size)
    named = attribute(TUPLE_ORIGINAL | NESTED, found[TUPLE_ORIGINAL])
    for kind in (ID, ZONE):
        named += attribute(kind, found[kind]) if kind in found else b""
    return one.listed[: GENERIC.size] + named


def read(payload: bytes) -> Connection:
    """The entry that was listed."""
    layout = LAYOUTS.get(payload[0])
    if layout is not None and payload[4:8] == layout.original:
        found = layout.tuples.unpack_from(payload, 8)
        source, destination, protocol, port, reply, answered_by, to, answering_port = found
        if reply == layout.reply:
            return Connection(
                source, destination, protocol, port, answered_by, to, answering_port, payload
            )
    return _read_by_attributes(payload)


class Layout(NamedTuple):
    """Where the kernel puts what, in an entry of a protocol with ports: read in one go.

    ``original`` and ``reply`` are the headers before the tuples, whose lengths say that it
    is so.
    """

    original: bytes
    reply: bytes
    tuples: struct.Struct


def _layout(size: int) -> Layout:
    """For addresses of ``size`` bytes; each value stands behind 4 bytes of header."""
    addresses = f"4x 4x{size}s 4x{size}s 4x"
    original = f"{addresses} 4xB3x 4x2x2x 4xH2x"
    reply = f"4s {addresses} 4x1x3x 4xH2x"
    length = 44 + 2 * size
    return Layout(
        ATTRIBUTE.pack(length, TUPLE_ORIGINAL | NESTED),
        ATTRIBUTE.pack(length, TUPLE_REPLY | NESTED),
        struct.Struct(f"> {original} {reply}"),
    )


LAYOUTS = {family: _layout(size) for size, family in FAMILIES.items()}


def _read_by_attributes(payload: bytes) -> Connection:
    found = attributes(payload, GENERIC.size)
    original, reply = attributes(found[TUPLE_ORIGINAL]), attributes(found[TUPLE_REPLY])
    way, back = attributes(original[ADDRESSES]), attributes(reply[ADDRESSES])
    ports, answering = attributes(original[PORTS]), attributes(reply[PORTS])
    size = next(size for size, family in FAMILIES.items() if family == payload[0])
    return Connection(
        way[SOURCE[size]],
        way[DESTINATION[size]],
        ports[PROTOCOL][0],
        int.from_bytes(ports.get(DESTINATION_PORT, b""), "big"),
        back[SOURCE[size]],
        back[DESTINATION[size]],
        int.from_bytes(answering.get(SOURCE_PORT, b""), "big"),
        payload,
    )

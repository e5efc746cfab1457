"""Ending the kernel's memory of connections, or mending it.

Without its entry a connection's next packet counts as new: it goes the way that the
rules say now. Read by hand and not by pyroute2, whose parsing takes eight times as long:
a flooded address can have 200,000 entries.
"""

import errno
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from zthook.kernel.netlink import ACK, NETFILTER, Netlink, attribute, attributes, message
from zthook.model.addresses import AddressRange

CHANGE, GET, DELETE = (1 << 8) | 0, (1 << 8) | 1, (1 << 8) | 2
GENERIC = struct.pack("=BBH", socket.AF_INET, 0, 0)
NESTED = 0x8000
TUPLE_ORIGINAL, TUPLE_REPLY, PROTOCOL_STATE, ID, ZONE, FILTER = 1, 2, 4, 12, 18, 25
MARK, MARK_MASK = 8, 21
ADDRESSES = 1
SOURCE, DESTINATION = 1, 2
FILTER_ORIGINAL = 1
BY_DESTINATION = 1 << 1
# Of linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_tcp.h.
TCP, FLAGS_ORIGINAL, FLAGS_REPLY = 1, 4, 5
BE_LIBERAL = bytes([0x08, 0x08])
# From this many on, one listing of everything is cheaper than one filtered listing for each.
MANY = 8
ABOUT = "ending connections"
FORGIVING = "letting connections go on"


@dataclass(frozen=True, slots=True, order=True)
class Through:
    """The connections of one mapping: to ``arrives_as``, answered by ``private``."""

    arrives_as: IPv4Address
    private: IPv4Address


@dataclass(frozen=True, slots=True)
class _Entry:
    destination: bytes
    answered_by: bytes
    named: bytes


def end_connections(mappings: Collection[Through]) -> int:
    """End every connection that clients have through these; how many there were.

    Such as the guest began itself do not exist: the rules pass only answers, and what is
    dropped is never remembered.
    """
    ends = {(one.arrives_as.packed, one.private.packed) for one in mappings}

    def belongs(entry: _Entry) -> bool:
        return (entry.destination, entry.answered_by) in ends

    return _end(_listings({public for public, _ in ends}), belongs)


def end_strangers(mappings: Collection[Through]) -> int:
    """End every connection to these public addresses that does not go through the mapping.

    Those begun before the mapping was granted: to the edge's own services, to another
    guest, or endless UDP that nobody answered. They would keep their old way for as long
    as the client goes on.
    """
    guests = {one.arrives_as.packed: one.private.packed for one in mappings}

    def belongs(entry: _Entry) -> bool:
        return guests.get(entry.destination, entry.answered_by) != entry.answered_by

    return _end(_listings(guests.keys()), belongs)


def end_leftovers(publics: Collection[AddressRange], mappings: Collection[Through]) -> int:
    """End every connection to these public addresses that was translated by no such mapping.

    Those that a mapping left which is no more. What was never translated is the edge's own.
    """
    kept = {(one.arrives_as.packed, one.private.packed) for one in mappings}
    ranges = [
        (one.first.packed, one.last.packed) for one in publics if isinstance(one.first, IPv4Address)
    ]

    def belongs(entry: _Entry) -> bool:
        way = (entry.destination, entry.answered_by)
        translated = entry.destination != entry.answered_by and way not in kept
        return translated and any(low <= entry.destination <= high for low, high in ranges)

    return _end([b""], belongs)


def forgive(mappings: Collection[Through]) -> int:
    """Let TCP through these go on whatever went by unseen; how many connections there were.

    While no rule needs it the kernel follows no connection, and later it drops, for good,
    answers to what it did not see.
    """
    ways = {(one.arrives_as.packed, one.private.packed) for one in mappings}
    listings = _listings({public for public, _ in ways})
    return _forgive(listings, lambda entry: (entry.destination, entry.answered_by) in ways)


def forgive_marked(mark: int) -> int:
    """As ``forgive``, the connections that have all bits of ``mark``."""
    return _forgive([_marked(mark)], lambda _: True)


def end_marked(mark: int, keep: Collection[IPv4Address]) -> int:
    """End every connection that has all bits of ``mark``, but those begun to ``keep``."""
    kept = {one.packed for one in keep}
    return _end([_marked(mark)], lambda entry: entry.destination not in kept)


def _marked(mark: int) -> bytes:
    bits = struct.pack(">I", mark)
    return attribute(MARK, bits) + attribute(MARK_MASK, bits)


def _listings(publics: Collection[bytes]) -> list[bytes]:
    return [_only_to(public) for public in publics] if len(publics) <= MANY else [b""]


def _end(listings: Collection[bytes], belongs: Callable[[_Entry], bool]) -> int:
    return _each(
        listings,
        belongs,
        lambda entry: message(DELETE, ACK, GENERIC + entry.named),
        about=ABOUT,
    )


def _forgive(listings: Collection[bytes], belongs: Callable[[_Entry], bool]) -> int:
    flags = attribute(FLAGS_ORIGINAL, BE_LIBERAL) + attribute(FLAGS_REPLY, BE_LIBERAL)
    liberal = attribute(PROTOCOL_STATE | NESTED, attribute(TCP | NESTED, flags))
    return _each(
        listings,
        belongs,
        lambda entry: message(CHANGE, ACK, GENERIC + entry.named + liberal),
        about=FORGIVING,
    )


def _each(
    listings: Collection[bytes],
    belongs: Callable[[_Entry], bool],
    request: Callable[[_Entry], bytes],
    *,
    about: str,
) -> int:
    if not listings:
        return 0
    with Netlink(NETFILTER) as kernel:
        entries = [
            _read(payload)
            for wanted in listings
            for payload in kernel.dump(GET, GENERIC + wanted, about=about)
        ]
        requests = [request(entry) for entry in entries if entry and belongs(entry)]
        kernel.carry_out(requests, about=[about] * len(requests), fine={errno.ENOENT})
    return len(requests)


def _only_to(public: bytes) -> bytes:
    """The kernel's own filter (5.8 and later; an older one lists everything, which is as right)."""
    addresses = attribute(ADDRESSES | NESTED, attribute(DESTINATION, public))
    flags = attribute(FILTER_ORIGINAL, struct.pack("=I", BY_DESTINATION))
    return attribute(TUPLE_ORIGINAL | NESTED, addresses) + attribute(FILTER | NESTED, flags)


def _read(payload: bytes) -> _Entry | None:
    found = attributes(payload, len(GENERIC))
    original = attributes(attributes(found[TUPLE_ORIGINAL])[ADDRESSES])
    reply = attributes(attributes(found[TUPLE_REPLY])[ADDRESSES])
    if DESTINATION not in original:
        return None  # IPv6
    named = attribute(TUPLE_ORIGINAL | NESTED, found[TUPLE_ORIGINAL])
    for kind in (ID, ZONE):
        named += attribute(kind, found[kind]) if kind in found else b""
    return _Entry(original[DESTINATION], reply[SOURCE], named)

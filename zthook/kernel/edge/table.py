"""The edge's table in the kernel: read, and changed.

Rules are nft's matter. What comes and goes by the tens of thousands goes by our own messages.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zthook.errors import KernelError
from zthook.kernel.edge.codec import CODECS, MAP, Count, nested
from zthook.kernel.edge.replacing import Former, replaced
from zthook.kernel.edge.rules import FAMILY, TABLE, Transaction, render
from zthook.kernel.edge.sets import COUNTED, Elements
from zthook.kernel.netlink import NETFILTER, Netlink, attribute, attributes
from zthook.kernel.nft import Nft

log = logging.getLogger(__name__)

NFTABLES = 10
GET_CHAINS, GET_RULES, GET_SETS, ADD, GET_ELEMENTS, DELETE, GET_OBJECTS = (
    NFTABLES << 8 | kind for kind in (4, 7, 10, 12, 13, 14, 19)
)
INET = bytes([1, 0, 0, 0])
"""The header of each message: family inet, version 0."""
NAME, SET, LISTED, RULE_CHAIN, CHAIN_NAME, RULE_NOTES = 1, 2, 3, 2, 3, 7
SET_NAME, SET_FLAGS, SET_KEY_SIZE, SET_VALUE_SIZE = 2, 3, 5, 7
OBJECT_NAME, OBJECT_TYPE = 2, 3
ANONYMOUS, CT_TIMEOUT = 0x1, 7
"""A set that goes with its rule, and the only kind of object that is ours."""
COMMENT = 0
MOST = 48 * 1024
"""Bytes of elements in a message: the length of an attribute has 16 bits."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The table's chains with their rules' comments, and its elements."""

    labels: dict[str, tuple[str, ...]]
    elements: Elements


class EdgeTable:
    """The table of this network namespace; for one thread at a time. All raise KernelError."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._kernel = Netlink(NETFILTER)

    def close(self) -> None:
        """Let go of the socket; the table stays."""
        self._kernel.close()

    def listed(self) -> Listing | None:
        """All of it, None where there is none."""
        labels = self._labels()
        if labels is None:
            return None
        elements = {name: CODECS[name].read(self._raw(name)) for name in self._known()}
        return Listing(labels, elements)

    def counted(self) -> dict[tuple[str, str], Count]:
        """Set and element → packets and bytes, of those that count."""
        return {
            (name, element): count
            for name in self._known().intersection(COUNTED)
            for element, count in CODECS[name].counted(self._raw(name)).items()
        }

    def commit(self, change: Transaction) -> None:
        """Carry out the transaction, all of it or nothing."""
        names = {*change.delete, *change.add}
        ranges = any(CODECS[name].spec.interval for name in names)
        if change.rules:
            self._replace(change)
            return
        if change.chains or change.refill or ranges:
            self._nft.run(render(change))
            return
        requests = [*_requests(DELETE, change.delete), *_requests(ADD, change.add)]
        self._kernel.transact(
            NFTABLES,
            [(kind, body) for _, kind, body in requests],
            about=[f"changing {name} of table {TABLE}" for name, _, _ in requests],
        )

    def _replace(self, change: Transaction) -> None:
        former = self._former()
        if former is not None:
            try:
                self._nft.run(replaced(change, former))
            except KernelError as error:
                log.info("the table is made anew, as it can not be changed: %s", error.message)
            else:
                return
        self._nft.run(render(change))

    def _former(self) -> Former | None:
        """None where there is no table, or one with what is none of ours."""
        listing = self.listed()
        objects = list(self._of_table(GET_OBJECTS, f"listing the objects of table {TABLE}"))
        if listing is None or any(_number(one)(OBJECT_TYPE) != CT_TIMEOUT for one in objects):
            return None
        others = [f"ct timeout {_read(one[OBJECT_NAME])}" for one in objects]
        for one in self._of_table(GET_SETS, f"listing the sets of table {TABLE}"):
            name, flags = _read(one[SET_NAME]), _number(one)(SET_FLAGS)
            if name not in listing.elements and not flags & ANONYMOUS:
                others.append(f"{'map' if flags & MAP else 'set'} {name}")
        return Former(listing.labels.keys(), listing.elements, others)

    def _known(self) -> set[str]:
        """The sets and maps that are there in the form that we know: a table of another version
        may lack some, or have others by their names.
        """
        return {
            name
            for one in self._of_table(GET_SETS, f"listing the sets of table {TABLE}")
            if (codec := CODECS.get(name := _read(one[SET_NAME]))) is not None
            and codec.fits(*map(_number(one), (SET_FLAGS, SET_KEY_SIZE, SET_VALUE_SIZE)))
        }

    def _raw(self, name: str) -> list[bytes]:
        wanted = INET + attribute(NAME, _text(TABLE)) + attribute(SET, _text(name))
        listed = self._kernel.dump(GET_ELEMENTS, wanted, about=f"listing {name} of table {TABLE}")
        return [attributes(one, len(INET)).get(LISTED, b"") for one in listed]

    def _labels(self) -> dict[str, tuple[str, ...]] | None:
        """Chain → its rules' comments; None where there is no table."""
        about = f"listing table {FAMILY} {TABLE}"
        found: defaultdict[str, list[str]] = defaultdict(list)
        for one in self._of_table(GET_CHAINS, about):
            found[_read(one[CHAIN_NAME])] = []
        for one in self._of_table(GET_RULES, about):
            found[_read(one[RULE_CHAIN])].append(_comment(one.get(RULE_NOTES, b"")))
        return {chain: tuple(comments) for chain, comments in found.items()} or None

    def _of_table(self, kind: int, about: str) -> Iterator[dict[int, bytes]]:
        for payload in self._kernel.dump(kind, INET, about=about):
            found = attributes(payload, len(INET))
            if payload[0] == INET[0] and _read(found[NAME]) == TABLE:
                yield found


def _requests(kind: int, some: Elements) -> Iterator[tuple[str, int, bytes]]:
    """Set, kind and body of each request that has elements of one set."""
    for name in sorted(some):
        codec, head = CODECS[name], INET + attribute(NAME, _text(TABLE))
        head += attribute(SET, _text(name))
        for part in _parts(codec.written(one, value=kind == ADD) for one in sorted(some[name])):
            yield name, kind, head + nested(LISTED, part)


def _parts(some: Iterable[bytes]) -> Iterator[bytes]:
    part: list[bytes] = []
    size = 0
    for one in some:
        if size + len(one) > MOST:
            yield b"".join(part)
            part, size = [], 0
        part.append(one)
        size += len(one)
    if part:
        yield b"".join(part)


def _comment(notes: bytes) -> str:
    """Of what its maker noted with a rule: kind and length, a byte each, and what it is."""
    offset = 0
    while offset + 2 <= len(notes):
        kind, length = notes[offset], notes[offset + 1]
        if kind == COMMENT:
            return _read(notes[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


def _number(found: dict[int, bytes]) -> Callable[[int], int]:
    return lambda kind: int.from_bytes(found.get(kind, b""), "big")


def _text(name: str) -> bytes:
    return name.encode() + bytes(1)


def _read(some: bytes) -> str:
    return some.rstrip(b"\0").decode(errors="replace")

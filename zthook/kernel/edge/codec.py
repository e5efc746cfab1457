"""Elements of the edge's sets in the kernel's own messages: bytes to text and back.

The text is nft's, and all else goes by it; nft itself takes ten times as long for it, and 400 MB
for 65,000 mappings. Pure, no kernel.
"""

import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import pairwise

from zthook.kernel.edge.fields import MSS, Fields
from zthook.kernel.edge.sets import SPECS, VERDICT, SetSpec
from zthook.kernel.netlink import ATTRIBUTE, aligned, attribute, attributes
from zthook.model.addresses import AddressRange

# Of linux/netfilter/nf_tables.h.
ELEMENT, KEY, DATA, FLAGS, EXPRESSION, KEY_END = 1, 1, 2, 3, 7, 10
VALUE, JUDGED, CODE, CHAIN = 1, 2, 1, 2
EXPRESSION_DATA, COUNTED_BYTES, COUNTED_PACKETS = 2, 1, 2
NESTED, INTERVAL_END = 0x8000, 1
INTERVAL, MAP = 0x4, 0x8
GOTO = struct.pack(">i", -4)

Count = tuple[int, int]
"""Packets and bytes."""


class Codec:
    """The elements of one set or map."""

    def __init__(self, spec: SetSpec) -> None:
        self.spec = spec
        keys, values = spec.parts[: len(spec.key)], spec.parts[len(spec.key) :]
        self.leads = values == (VERDICT,)
        self._key = Fields(keys)
        self._value = Fields(values) if values and not self.leads else None
        key, value = self._key.packed.size, self._value.packed.size if self._value else 0
        self._sizes: tuple[int, ...] = (4 + aligned(4 + key), 4 + key)
        usual = f"=4x H2x H2x {key}s {aligned(key) - key}x"
        if self._value:
            self._sizes += (4 + aligned(4 + value), 4 + value)
            usual += f" H2x H2x {value}s"
        self._usual = struct.Struct(usual)

    def fits(self, flags: int, key: int, value: int) -> bool:
        """Whether a set with these flags, and bytes of key and value, is the one we know."""
        form = bool(flags & INTERVAL), bool(flags & MAP), key
        ours = self.spec.interval, bool(self.spec.value), self._key.packed.size
        return form == ours and (self._value is None or value == self._value.packed.size)

    def written(self, element: str, *, value: bool = True) -> bytes:
        """The element in a request; to delete one it has no ``value``."""
        key, _, led = element.partition(" : ")
        found = nested(KEY, attribute(VALUE, self._key.write(key.split(" . "))))
        if value and self.leads:
            judged = attribute(CODE, GOTO) + attribute(CHAIN, f"{led.split()[1]}\0".encode())
            found += nested(DATA, nested(JUDGED, judged))
        elif value and self._value is not None:
            found += nested(DATA, attribute(VALUE, self._value.write(led.split(" . "))))
        return nested(ELEMENT, found)

    def read(self, listed: Iterable[bytes]) -> frozenset[str]:
        """The texts of what the kernel listed, message by message."""
        if not self.spec.interval:
            return frozenset(one for some in listed for one in self._plain(some))
        return frozenset(self._intervals([one for some in listed for one in _each(some)]))

    def counted(self, listed: Iterable[bytes]) -> dict[str, Count]:
        """The same with what each has counted. Not of maps, nor of ranges of one part."""
        items = (attributes(one) for some in listed for one in _each(some))
        return {self._keyed(one): _count(one) for one in items}

    def _plain(self, listed: bytes) -> Iterator[str]:
        offset = 0
        while offset < len(listed):
            length, _ = ATTRIBUTE.unpack_from(listed, offset)
            at_once = length >= self._usual.size and not self.leads
            text = self._at_once(listed, offset) if at_once else ""
            yield text or self._listed(attributes(listed[offset + 4 : offset + length]))
            offset += aligned(length)

    def _at_once(self, listed: bytes, offset: int) -> str:
        """An element that is laid out as usual, else "": there can be tens of thousands."""
        if self._value is None:
            *sizes, key = self._usual.unpack_from(listed, offset)
            return self._key.read(key) if (*sizes,) == self._sizes else ""
        one, two, key, *sizes, value = self._usual.unpack_from(listed, offset)
        usual = (one, two, *sizes) == self._sizes
        return f"{self._key.read(key)} : {self._value.read(value)}" if usual else ""

    def _listed(self, found: dict[int, bytes]) -> str:
        key = self._keyed(found)
        if not self.spec.value:
            return key
        value = attributes(found[DATA])
        if self._value is not None:
            return f"{key} : {self._value.read(value[VALUE])}"
        chain = attributes(value[JUDGED])[CHAIN].rstrip(b"\0").decode(errors="replace")
        return f"{key} : goto {chain}"

    def _keyed(self, found: dict[int, bytes]) -> str:
        first = _value(found[KEY])
        if not self.spec.interval:
            return self._key.read(first)
        last = _value(found[KEY_END]) if KEY_END in found else first
        return self._key.read_range(first, last)

    def _intervals(self, listed: Iterable[bytes]) -> Iterator[str]:
        found = [attributes(one) for one in listed]
        if len(self.spec.key) > 1:
            return (self._listed(one) for one in found)
        return self._spans(found)

    def _spans(self, found: Iterable[dict[int, bytes]]) -> Iterator[str]:
        """Of one address each: the first of a range, and the one behind its last."""
        size = self._key.packed.size
        # What ends where the next one begins comes before that.
        marks = sorted((int.from_bytes(_value(one[KEY]), "big"), not _is_end(one)) for one in found)
        for (first, begins), (behind, _) in pairwise([*marks, (1 << 8 * size, False)]):
            if begins:
                yield _range(first, behind - 1, size)


def _range(first: int, last: int, size: int) -> str:
    ends = (ip_address(end.to_bytes(size, "big")) for end in (first, last))
    return str(AddressRange(*ends))


def _is_end(found: dict[int, bytes]) -> bool:
    return bool(int.from_bytes(found.get(FLAGS, b""), "big") & INTERVAL_END)


def _value(data: bytes) -> bytes:
    return attributes(data)[VALUE]


def _count(found: dict[int, bytes]) -> Count:
    counter = attributes(attributes(found.get(EXPRESSION, b"")).get(EXPRESSION_DATA, b""))
    kinds = COUNTED_PACKETS, COUNTED_BYTES
    packets, size = (int.from_bytes(counter.get(kind, b""), "big") for kind in kinds)
    return packets, size


def _each(listed: bytes) -> Iterator[bytes]:
    offset = 0
    while offset < len(listed):
        length, _ = ATTRIBUTE.unpack_from(listed, offset)
        yield listed[offset + ATTRIBUTE.size : offset + length]
        offset += aligned(length)


def nested(kind: int, some: bytes) -> bytes:
    return attribute(kind | NESTED, some)


CODECS = {
    spec.name: Codec(spec)
    for spec in (
        *SPECS.values(),
        SetSpec("crossings", ("ifname", "ifname"), (VERDICT,)),
        *(SetSpec(name, ("ifname",), (MSS,)) for name in ("mss", "mss6")),
    )
}
"""Of every set and map that is ours to fill."""

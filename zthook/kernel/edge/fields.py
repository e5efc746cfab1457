"""The parts of elements in the kernel's own messages: bytes to text, as nft has it, and back."""

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from zthook.kernel.edge.sets import MAC, PORT, PROTOCOL
from zthook.kernel.netlink import aligned

PROTOCOLS = {"tcp": 6, "udp": 17}
FAMILIES = {"ipv4": 2, "ipv6": 10}
MSS = "mss"


@dataclass(frozen=True, slots=True)
class Kind:
    """One part of an element: its bytes, and its text."""

    size: int
    read: Callable[[bytes], str]
    write: Callable[[str], bytes]


def _number(size: int, names: dict[str, int]) -> Kind:
    texts = {number: name for name, number in names.items()}

    def read(some: bytes) -> str:
        number = int.from_bytes(some, "big")
        return texts.get(number, str(number))

    return Kind(size, read, lambda text: (names.get(text) or int(text)).to_bytes(size, "big"))


KINDS = {
    "ipv4_addr": Kind(4, socket.inet_ntoa, socket.inet_aton),
    "ipv6_addr": Kind(
        16,
        lambda some: str(IPv6Address(some)),
        lambda text: socket.inet_pton(socket.AF_INET6, text),
    ),
    MAC: Kind(6, lambda some: some.hex(":"), lambda text: bytes.fromhex(text.replace(":", ""))),
    PROTOCOL: _number(1, PROTOCOLS),
    "nf_proto": _number(1, FAMILIES),
    PORT: _number(2, {}),
    MSS: _number(2, {}),
    "ifname": Kind(
        16,
        lambda some: f'"{some.rstrip(bytes(1)).decode(errors="replace")}"',
        lambda text: text.strip('"').encode().ljust(16, bytes(1)),
    ),
}


class Fields:
    """A key or a value: of several parts each is padded to four bytes."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(KINDS[kind] for kind in kinds)
        several = len(kinds) > 1
        pads = [aligned(one.size) - one.size if several else 0 for one in self.kinds]
        sizes = zip(self.kinds, pads, strict=True)
        self.packed = struct.Struct("".join(f"{one.size}s{pad}x" for one, pad in sizes))

    def read(self, some: bytes) -> str:
        """As text, ``a . b``."""
        parts = zip(self.kinds, self.packed.unpack(some), strict=True)
        return " . ".join([kind.read(one) for kind, one in parts])

    def write(self, parts: Iterable[str]) -> bytes:
        """From the parts' texts."""
        found = [kind.write(one) for kind, one in zip(self.kinds, parts, strict=True)]
        return self.packed.pack(*found)

    def read_range(self, first: bytes, last: bytes) -> str:
        """As text, where each part may be a range: addresses as prefixes where they are one."""
        ends = self.packed.unpack(first), self.packed.unpack(last)
        parts = zip(self.kinds, *ends, strict=True)
        return " . ".join([_spanned(kind, *part) for kind, *part in parts])


def _spanned(kind: Kind, first: bytes, last: bytes) -> str:
    if first == last:
        return kind.read(first)
    if kind.size in {4, 16}:
        different = int.from_bytes(first, "big") ^ int.from_bytes(last, "big")
        length = 8 * kind.size - different.bit_length()
        low = int.from_bytes(first, "big")
        if different & (different + 1) == 0 and low & different == 0:
            return f"{kind.read(first)}/{length}"
    return f"{kind.read(first)}-{kind.read(last)}"

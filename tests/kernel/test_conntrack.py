"""Which of many connections end, of both families, on a real kernel.

Each is entered into the kernel's table as if its packets had come, under a mark of its own by
which it is known afterwards.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import pytest

from tests.kernel.namespace import Namespace
from zthook.kernel.connection_table import is_liberal, marked, remark
from zthook.kernel.conntrack import (
    Through,
    end_begun,
    end_connections,
    end_leftovers,
    end_marked,
    end_refused,
    end_strangers,
    forgive,
    forgive_marked,
)
from zthook.kernel.netlink import ACK, NETFILTER, Netlink, attribute, message
from zthook.model.addresses import AddressRange
from zthook.model.publication import PortRange

pytestmark = pytest.mark.netns

TCP, UDP, ICMP, ESP, ICMPV6 = 6, 17, 1, 50, 58
NEW, NESTED = 1 << 8, 0x8000


@dataclass(frozen=True)
class Seen:
    """A connection as the kernel remembers it: the client's way in, and whose answers go where."""

    protocol: int = TCP
    source: str = "198.51.100.7"
    to: str = "203.0.113.10"
    port: int = 80
    answered_by: str = "192.168.122.50"
    answered_from: int = 80
    answered_to: str = "198.51.100.7"

    def six(self) -> "Seen":
        """The same over IPv6."""
        found = replace(self, protocol=ICMPV6 if self.protocol == ICMP else self.protocol)
        for name in ("source", "to", "answered_by", "answered_to"):
            found = replace(found, **{name: f"2001:db8::{getattr(self, name).replace('.', ':')}"})
        return found


def ports(protocol: int, source: int, destination: int) -> bytes:
    def number(kind: int, value: int) -> bytes:
        return attribute(kind, struct.pack(">H", value))

    found = attribute(1, bytes([protocol]))
    if protocol in {TCP, UDP}:
        found += number(2, source) + number(3, destination)
    if protocol in {ICMP, ICMPV6}:
        kind, first = (8, 4) if protocol == ICMP else (128, 7)
        kind = kind if destination else {8: 0, 128: 129}[kind]
        found += number(first, 77) + attribute(first + 1, bytes([kind]))
        found += attribute(first + 2, b"\0")
    return attribute(2 | NESTED, found)


def tuple_of(source: str, destination: str, last: bytes) -> bytes:
    one, other = ip_address(source), ip_address(destination)
    kinds = (1, 2) if one.version == 4 else (3, 4)
    packed = attribute(kinds[0], one.packed) + attribute(kinds[1], other.packed)
    return attribute(1 | NESTED, packed) + last


def entered(seen: Seen, mark: int) -> bytes:
    """The request that enters it."""
    family = 2 if "." in seen.source and ":" not in seen.source else 10
    way = tuple_of(seen.source, seen.to, ports(seen.protocol, 40000 + mark % 1000, seen.port))
    back = ports(seen.protocol, seen.answered_from, 40000 + mark % 1000)
    if seen.protocol in {ICMP, ICMPV6}:
        back = ports(seen.protocol, 0, 0)
    body = struct.pack("=BBH", family, 0, 0) + attribute(1 | NESTED, way)
    body += attribute(2 | NESTED, tuple_of(seen.answered_by, seen.answered_to, back))
    body += attribute(7, struct.pack(">I", 600)) + attribute(8, struct.pack(">I", mark))
    body += attribute(3, struct.pack(">I", 0x8))
    state = attribute(4 | NESTED, attribute(1 | NESTED, attribute(1, b"\3")))
    return message(NEW, 0x600 | ACK, body + (state if seen.protocol == TCP else b""))


class Memory:
    """A namespace's connections, by their marks."""

    def __init__(self) -> None:
        self.inside = Namespace("conntrack")

    def enter(self, *connections: Seen, first: int = 1) -> None:
        requests = [entered(one, mark) for mark, one in enumerate(connections, first)]

        def send() -> None:
            with Netlink(NETFILTER) as kernel:
                kernel.carry_out(requests, about=lambda number: str(connections[number]))

        self.inside.call(send)

    def after(self, do: Callable[[], int]) -> list[int]:
        """Whose marks are still there after ``do``, which has to tell how many it ended."""
        before = self.marks()
        told = self.inside.call(do)
        assert told == len(before) - len(self.marks())
        return self.marks()

    def marks(self) -> list[int]:
        listed = "".join(
            self.inside.run(f"conntrack -L -f {family}") for family in ("ipv4", "ipv6")
        )
        return sorted(int(mark) for mark in re.findall(r"mark=(\d+)", listed))

    def close(self) -> None:
        self.inside.close()


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory()
    yield made
    made.close()


@pytest.fixture(params=[4, 6])
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def versioned(version: int, *some: Seen) -> list[Seen]:
    return [one if version == 4 else one.six() for one in some]


def through(
    version: int, *ports: str, public: str = "203.0.113.10", private: str = "192.168.122.50"
) -> Through:
    one = versioned(version, Seen(to=public, answered_by=private))[0]
    found = tuple(PortRange.parse(port) for port in ports)
    return Through(ip_address(one.to), ip_address(one.answered_by), found)


WEB = Seen()
OF_ANOTHER_ADDRESS = Seen(to="203.0.113.11")
BY_ANOTHER_GUEST = Seen(answered_by="192.168.122.51")
TRANSLATED = Seen(answered_from=8080)
DNS = Seen(UDP, port=53, answered_from=53)
ECHO = Seen(ICMP)
TUNNEL = Seen(ESP)
TO_THE_EDGE = Seen(port=22, answered_by="203.0.113.10", answered_from=22)


def test_a_whole_address_ends_with_every_protocol(memory: Memory, version: int) -> None:
    some = [WEB, OF_ANOTHER_ADDRESS, BY_ANOTHER_GUEST, TRANSLATED, DNS, ECHO, TUNNEL, TO_THE_EDGE]
    memory.enter(*versioned(version, *some))
    memory.enter(*versioned(10 - version, *some), first=101)
    others = list(range(101, 109))
    assert memory.after(lambda: end_connections([])) == [*range(1, 9), *others]
    assert memory.after(lambda: end_connections([through(version)])) == [2, 3, 8, *others]
    assert memory.after(lambda: end_connections([through(version)])) == [2, 3, 8, *others]
    both = [through(4), through(6)]
    assert memory.after(lambda: end_connections(both)) == [2, 3, 8, 102, 103, 108]


def test_ports_end_alone(memory: Memory, version: int) -> None:
    some = [
        WEB,
        Seen(port=443, answered_from=443),
        Seen(UDP),
        ECHO,
        TRANSLATED,
        BY_ANOTHER_GUEST,
        Seen(UDP, port=27000, answered_from=27000),
        Seen(UDP, port=27100, answered_from=27100),
        Seen(UDP, port=27101, answered_from=27101),
        Seen(port=1007, answered_from=2007),
        Seen(port=1007, answered_from=2008),
    ]
    memory.enter(*versioned(version, *some))
    gone = through(version, "tcp/80", "udp/27000-27100", "tcp/1000-1010:2000")
    assert memory.after(lambda: end_connections([gone])) == [2, 3, 4, 5, 6, 9, 11]


def test_many_mappings_are_told_apart_in_one_listing(memory: Memory, version: int) -> None:
    some = [Seen(to=f"203.0.113.{n}", answered_by=f"192.168.122.{n}") for n in range(1, 41)]
    memory.enter(*versioned(version, *some))
    gone = [
        through(version, public=f"203.0.113.{n}", private=f"192.168.122.{n}")
        for n in range(2, 41, 2)
    ]
    assert memory.after(lambda: end_connections(gone)) == list(range(1, 41, 2))


def test_what_the_mapping_has_kept_does_not_end(memory: Memory, version: int) -> None:
    """Its ports became fewer, or lead elsewhere."""
    some = [WEB, Seen(port=443, answered_from=443), Seen(port=25, answered_from=25)]
    memory.enter(*versioned(version, *some))
    before = through(version, "tcp/80", "tcp/443", "tcp/25")
    after = through(version, "tcp/80:8080", "tcp/443")
    assert memory.after(lambda: end_connections([before], [after])) == [2]
    memory.enter(*versioned(version, TRANSLATED, ECHO), first=11)
    whole = through(version)
    assert memory.after(lambda: end_connections([whole], [after])) == [2, 11]


def test_where_nothing_is_translated_ports_are_what_they_are(memory: Memory, version: int) -> None:
    """The edge of a routed mapping sees no target: the host goes there."""
    routed = Seen(answered_by="203.0.113.10")
    memory.enter(*versioned(version, routed, TO_THE_EDGE))
    gone = through(version, "tcp/80:8080", private="203.0.113.10")
    assert memory.after(lambda: end_connections([gone])) == [2]


def test_strangers_are_who_a_new_connection_would_not_reach(memory: Memory, version: int) -> None:
    some = [WEB, BY_ANOTHER_GUEST, TO_THE_EDGE, OF_ANOTHER_ADDRESS, DNS, ECHO]
    memory.enter(*versioned(version, *some))
    granted = through(version)
    assert memory.after(lambda: end_strangers([granted])) == [1, 4, 5, 6]


def test_on_a_shared_address_only_granted_ports_have_strangers(
    memory: Memory, version: int
) -> None:
    some = [
        WEB,
        Seen(answered_by="203.0.113.10"),
        TO_THE_EDGE,
        ECHO,
        Seen(port=25, answered_from=25, answered_by="192.168.122.51"),
        Seen(port=25, answered_from=25),
        Seen(port=25, answered_from=2525, answered_by="192.168.122.51"),
        Seen(port=26, answered_from=26),
    ]
    memory.enter(*versioned(version, *some))
    granted = [
        through(version, "tcp/80"),
        through(version, "tcp/25", private="192.168.122.51"),
    ]
    assert memory.after(lambda: end_strangers(granted)) == [1, 3, 4, 5, 8]


def test_leftovers_are_what_no_mapping_explains(memory: Memory, version: int) -> None:
    some = [
        WEB,
        TRANSLATED,
        BY_ANOTHER_GUEST,
        ECHO,
        TO_THE_EDGE,
        OF_ANOTHER_ADDRESS,
        Seen(to="198.51.100.99"),
        Seen(port=25, answered_from=25, answered_by="192.168.122.51"),
    ]
    memory.enter(*versioned(version, *some))
    mappings = [
        through(version, "tcp/80", "tcp/22"),
        through(version, "tcp/25", private="192.168.122.51"),
    ]
    last = through(version, public="203.0.113.10").arrives_as
    publics = [AddressRange(last, last), AddressRange.parse("192.0.2.0/24")]
    assert memory.after(lambda: end_leftovers(publics, mappings)) == [1, 5, 6, 7, 8]
    assert memory.after(lambda: end_leftovers([], [])) == [1, 5, 6, 7, 8]
    assert memory.after(lambda: end_leftovers(publics, [])) == [5, 6, 7]


BEGUN = Seen(
    source="192.168.122.50",
    to="198.51.100.7",
    answered_by="198.51.100.7",
    answered_to="203.0.113.10",
)
"""By a guest itself, toward the internet, as its public address."""
HAIRPIN = replace(BEGUN, to="203.0.113.11", answered_by="192.168.122.51")
"""By the same guest, to another's public address."""


def test_what_guests_began_ends_with_their_mapping(memory: Memory, version: int) -> None:
    some = [
        BEGUN,
        replace(BEGUN, source="192.168.122.51"),
        replace(BEGUN, answered_to="203.0.113.11"),
        replace(BEGUN, protocol=ICMP),
        HAIRPIN,
        WEB,
    ]
    memory.enter(*versioned(version, *some))
    assert memory.after(lambda: end_begun([through(version)])) == [2, 3, 6]
    assert memory.after(lambda: end_begun([])) == [2, 3, 6]


def test_what_guests_began_is_left_where_no_mapping_explains_it(
    memory: Memory, version: int
) -> None:
    of_the_edge = replace(BEGUN, source="203.0.113.10")
    some = [BEGUN, replace(BEGUN, source="192.168.122.52"), of_the_edge, HAIRPIN]
    memory.enter(*versioned(version, *some))
    publics = [AddressRange(through(version).arrives_as, through(version).arrives_as + 1)]
    other = through(version, public="203.0.113.11", private="192.168.122.51")
    own = through(version)
    assert memory.after(lambda: end_leftovers(publics, [own, other], [own])) == [1, 3, 4]
    assert memory.after(lambda: end_leftovers(publics, [own], [own])) == [1, 3]
    assert memory.after(lambda: end_leftovers(publics, [own], [])) == [3]


def test_clients_that_are_allowed_no_more_end(memory: Memory, version: int) -> None:
    clients = ["198.51.100.7", "198.51.101.7", "192.0.2.9"]
    some = [Seen(source=one, answered_to=one) for one in clients]
    hidden = Seen(source="192.0.2.8", answered_to="192.168.193.222")
    from_a_guest = Seen(source="192.168.122.77", answered_to="198.51.100.50")
    memory.enter(*versioned(version, *some, hidden, from_a_guest, OF_ANOTHER_ADDRESS))
    prefix = "198.51.100.0/24" if version == 4 else "2001:db8::198:51:100:0/112"
    allowed = {through(version): [ip_network(prefix), ip_network("10.0.0.0/8")]}
    everybody = {through(version, public="203.0.113.11"): [], through(version): ()}
    assert memory.after(lambda: end_refused(everybody)) == [1, 2, 3, 4, 5, 6]
    assert memory.after(lambda: end_refused(allowed)) == [1, 5, 6]


def test_marks_are_ended_but_what_is_kept(memory: Memory) -> None:
    some = [WEB, BY_ANOTHER_GUEST, DNS]
    for number, one in enumerate([*some, *(one.six() for one in some)]):
        memory.enter(one, first=0x100 + number)
        memory.enter(one, first=0x300 + number)
    kept = {ip_address(one.answered_by).packed for one in (WEB, WEB.six())}
    left = memory.after(lambda: end_marked(0x100, 0x300, lambda one: one.answered_by in kept))
    assert left == [0x100, 0x102, 0x103, 0x105, *range(0x300, 0x306)]
    left = memory.after(lambda: end_marked(0x300, 0x300, lambda _: False))
    assert left == [0x100, 0x102, 0x103, 0x105]


def test_a_mark_is_changed_in_its_own_bits_alone(memory: Memory, version: int) -> None:
    memory.enter(*versioned(version, WEB, DNS), first=0x104)
    listing = [marked(0x100, 0x300)]

    def to_tcp() -> int:
        return remark(listing, lambda one: one.protocol == TCP, 0x300, 0x300, "marking")

    assert memory.inside.call(to_tcp) == 1
    assert memory.marks() == [0x105, 0x304]


def test_who_was_forgiven_is_known(memory: Memory, version: int) -> None:
    memory.enter(*versioned(version, WEB, DNS), first=8)
    found: list[bool] = []

    def look() -> int:
        return end_marked(8, 8, lambda one: not found.append(is_liberal(one)))

    memory.inside.call(look)
    memory.inside.call(lambda: forgive_marked(8, 8))
    memory.inside.call(look)
    assert sorted(found) == [False, False, False, True]


def test_each_connection_is_told_whole(memory: Memory, version: int) -> None:
    told = []
    one = replace(TRANSLATED, answered_to="192.168.193.222")
    memory.enter(*versioned(version, one, TUNNEL, ECHO), first=8)
    memory.inside.call(lambda: end_marked(8, 8, lambda found: bool(told.append(found)) or True))
    found = {entry.protocol: entry for entry in told}
    assert set(found) == {TCP, ESP, ICMP if version == 4 else ICMPV6}
    for entry, said in zip((found[TCP], found[ESP]), versioned(version, one, TUNNEL), strict=True):
        addresses = (entry.source, entry.destination, entry.answered_by, entry.answered_to)
        assert [str(ip_address(packed)) for packed in addresses] == [
            str(ip_address(text))
            for text in (said.source, said.to, said.answered_by, said.answered_to)
        ]
    assert (found[TCP].port, found[TCP].answering_port) == (80, 8080)
    assert (found[ESP].port, found[ESP].answering_port) == (0, 0)


def test_only_tcp_needs_to_be_forgiven(memory: Memory, version: int) -> None:
    memory.enter(*versioned(version, WEB, DNS, ECHO, BEGUN, BY_ANOTHER_GUEST), first=8)
    inside = memory.inside
    assert inside.call(lambda: forgive([through(version)])) == 1
    assert inside.call(lambda: forgive([through(version)], [through(version)])) == 2
    assert inside.call(lambda: forgive([through(version, "udp/53")])) == 0
    assert inside.call(lambda: forgive_marked(8, 8)) == 3
    assert inside.call(lambda: forgive([])) == 0
    assert len(memory.marks()) == 5

"""The edge's table by our own messages, beside what nft says of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.kernel.namespace import Namespace
from tests.kernel.nft_listing import Listing, read_listing
from zthook.errors import KernelError
from zthook.kernel.edge.codec import CODECS
from zthook.kernel.edge.rules import Transaction
from zthook.kernel.edge.sets import MAPPING_SETS, Elements
from zthook.kernel.edge.table import EdgeTable
from zthook.kernel.nft import Nft

T = TypeVar("T")

GOLDEN = Path(__file__).parent / "golden/table.nft"
MANY = {"inward": frozenset(f"203.0.{n >> 8}.{n & 255} : 10.0.{n >> 8}.9" for n in range(5000))}
RANGES = (
    "pool { 0.0.0.0-0.0.0.3, 0.0.0.4-0.0.0.9, 198.51.100.7, 255.255.255.0/24 }",
    "pool6 { ::-::5, 2001:db8::/64, ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff }",
    "allowed { 192.0.2.1 . 10.0.0.1 . 0.0.0.0/0, 192.0.2.1 . 10.0.0.2 . 10.0.0.4-10.0.0.6 }",
    "allowed6 { 2001:db8::1 . fd00::1 . 2001:db8:1::/48, 2001:db8::1 . fd00::2 . ::/0 }",
    "port_ranges { 192.0.2.1 . 10.0.0.1 . udp . 1-65535, 192.0.2.1 . 10.0.0.1 . tcp . 8-15 }",
)


class World:
    def __init__(self, where: Namespace) -> None:
        self.where = where
        where.run(f"nft -f {GOLDEN}")
        self.nft = Nft()
        self.table = self.inside(lambda: EdgeTable(self.nft))

    def inside(self, act: Callable[[], T]) -> T:
        return self.where.call(act)

    def close(self) -> None:
        self.inside(self.table.close)
        self.inside(self.nft.close)

    def seen_by_nft(self) -> Listing:
        return read_listing(json.loads(self.where.run("nft -j list table inet zthook"))["nftables"])

    def seen_by_us(self) -> Elements:
        listed = self.inside(self.table.listed)
        assert listed is not None
        return listed.elements

    def commit(self, **change: Elements) -> None:
        self.inside(lambda: self.table.commit(Transaction(**change)))  # type: ignore[arg-type]


@pytest.fixture
def world() -> Iterator[World]:
    where = Namespace("table")
    made = World(where)
    yield made
    made.close()
    where.close()


def filled(elements: Elements) -> Elements:
    return {name: some for name, some in elements.items() if some}


@pytest.mark.netns
def test_what_nft_loaded_is_read_as_nft_lists_it(world: World) -> None:
    for one in RANGES:
        name = one.partition(" ")[0]
        world.where.nft(f"flush set inet zthook {name}\nadd element inet zthook {one}\n")
    nft, ours = world.seen_by_nft(), world.inside(world.table.listed)
    assert ours is not None
    assert ours.labels == nft.labels
    assert filled(ours.elements) == filled({name: nft.elements[name] for name in CODECS})
    assert world.inside(world.table.counted) == nft.counted
    assert any(packets for packets, _ in nft.counted.values())


@pytest.mark.netns
def test_no_table_is_none(world: World) -> None:
    world.where.run("nft flush ruleset")
    assert world.inside(world.table.listed) is None


@pytest.mark.netns
def test_what_is_committed_is_what_nft_lists(world: World) -> None:
    plain = {
        name: some
        for name, some in world.seen_by_us().items()
        if some and name in MAPPING_SETS and not CODECS[name].spec.interval
    }
    before = world.inside(world.nft.generation)
    world.commit(delete=plain)
    assert not any(world.seen_by_nft().elements[name] for name in plain)
    world.commit(add={**plain, "inward": plain["inward"] | MANY["inward"]})
    world.commit(delete=MANY)
    assert world.inside(world.nft.generation) == before + 3
    listed = world.seen_by_nft().elements
    assert {name: listed[name] for name in plain} == plain


@pytest.mark.netns
def test_of_what_is_refused_nothing_happens(world: World) -> None:
    before = world.seen_by_us()
    there = min(before["inward"]).partition(" : ")[0]
    with pytest.raises(KernelError, match="changing inward of table zthook"):
        world.commit(
            delete={"arriving": before["arriving"]},
            add={"inward": frozenset({f"{there} : 10.9.9.9"})},
        )
    with pytest.raises(
        KernelError, match="changing arriving of table zthook: the kernel says ENOENT"
    ):
        world.commit(delete={"arriving": frozenset({"192.0.2.9 . 192.0.2.9"})}, add=MANY)
    assert world.seen_by_us() == before


ELEMENTS = {
    "inward": {"203.0.113.10 : 10.0.0.1"},
    "inward_ports6": {"2001:db8::1 . tcp . 80 : fd00::1 . 8080"},
    "answering": {"02:00:00:00:01:02 . 10.0.0.1 . 203.0.113.10"},
    "ports": {"203.0.113.10 . 10.0.0.1 . udp . 53", "203.0.113.10 . 10.0.0.1 . tcp . 65535"},
    "guarded6": {"2001:db8::1"},
    "way_of_public": {"203.0.113.10 : goto uplink2"},
    "own": {'"zt0" : 192.168.193.222'},
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_what_is_written_is_read(name: str) -> None:
    some = [CODECS[name].written(one) for one in sorted(ELEMENTS[name])]
    assert CODECS[name].read([b"".join(some)]) == ELEMENTS[name]
    assert CODECS[name].read(some) == ELEMENTS[name]

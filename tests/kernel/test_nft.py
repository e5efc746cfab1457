"""Transactions by the library and by a child: one contract for both."""

import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel import nft
from zthook.kernel.nft import LARGE, Nft

pytestmark = pytest.mark.netns

PADDING = {"library": "", "child": "#" + "x" * LARGE + "\n"}


class World:
    def __init__(self, where: Namespace) -> None:
        self.where = where
        self.nft = Nft()

    def run(self, commands: str) -> None:
        self.where.call(lambda: self.nft.run(commands))

    def generation(self) -> int:
        return self.where.call(self.nft.generation)


@pytest.fixture
def world() -> Iterator[World]:
    where = Namespace("nft")
    made = World(where)
    yield made
    where.call(made.nft.close)
    where.close()


@pytest.fixture(params=PADDING)
def run(request: pytest.FixtureRequest, world: World) -> Callable[[str], None]:
    return lambda commands: world.run(PADDING[request.param] + commands)


def test_a_transaction_raises_the_generation_by_one(
    world: World, run: Callable[[str], None]
) -> None:
    before = world.generation()
    run("add table inet one\nadd table inet two\nadd set inet one s { type ipv4_addr; }\n")
    assert world.generation() == before + 1
    world.where.run("nft add table inet three")
    assert world.generation() == before + 2


def test_all_or_nothing(world: World, run: Callable[[str], None]) -> None:
    before = world.generation()
    with pytest.raises(KernelError, match="No such file or directory"):
        run("add table inet one\nadd rule inet two c1 accept\n")
    with pytest.raises(KernelError, match="syntax error"):
        run("add table inet one\nbogus\n")
    assert world.where.run("nft list tables") == ""
    assert world.generation() == before


def test_nothing_is_no_transaction(world: World) -> None:
    before = world.generation()
    world.run("")
    assert world.generation() == before


@pytest.fixture(params=["library", "child"])
def asked(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One that can be asked, with the binding and without."""
    if request.param == "child":
        monkeypatch.setitem(sys.modules, "nftables", None)
    return world


def test_a_table_is_listed_or_is_not_there(asked: World) -> None:
    asked.where.run("nft add table ip zthook", "nft add table inet zthook")
    for table in (asked.nft.table, asked.nft.own_table):
        listed = asked.where.call(lambda table=table: table("inet", "zthook"))
        assert listed is not None
        assert [one["table"]["family"] for one in listed if "table" in one] == ["inet"]
        assert asked.where.call(lambda table=table: table("inet", "other")) is None
        assert asked.where.call(lambda table=table: table("ip6", "zthook")) is None
    with pytest.raises(KernelError, match="No such file or directory"):
        asked.where.call(lambda: asked.nft.query("list table inet other"))


def test_what_others_changed_is_in_the_next_listing(asked: World) -> None:
    asked.where.run("nft add table inet one", "nft add set inet one s { type ipv4_addr; }")
    for last in range(1, 4):
        asked.where.run(f"nft add element inet one s {{ 192.0.2.{last} }}")
        listed = asked.where.call(lambda: asked.nft.own_table("inet", "one"))
        assert listed is not None
        (said,) = (one["set"] for one in listed if "set" in one)
        assert len(said["elem"]) == last
    asked.where.run("nft flush ruleset")
    assert asked.where.call(lambda: asked.nft.own_table("inet", "one")) is None
    asked.run("add table inet one")
    assert asked.where.call(lambda: asked.nft.own_table("inet", "one")) is not None


def test_a_long_listing_is_a_childs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says the same."""
    monkeypatch.setattr(nft, "LONG", 1)
    world.run("add table inet one")
    first, then = (world.where.call(lambda: world.nft.own_table("inet", "one")) for _ in range(2))
    assert first == then


def test_terse_is_without_elements_and_with_rules(asked: World) -> None:
    asked.where.run(
        "nft add table inet one",
        "nft add chain inet one c",
        "nft add rule inet one c accept",
        "nft add set inet one s { type ipv4_addr; elements = { 192.0.2.1 }; }",
    )
    for terse in (True, False, True):
        listed = asked.where.call(lambda terse=terse: asked.nft.table("inet", "one", terse=terse))
        assert listed is not None
        (said,) = (one["set"] for one in listed if "set" in one)
        assert said.get("elem", []) == ([] if terse else ["192.0.2.1"])
        assert [one["rule"]["chain"] for one in listed if "rule" in one] == ["c"]


def test_without_the_binding_a_child_does_it(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "nftables", None)
    with caplog.at_level(logging.WARNING):
        world.run("add table inet one")
        world.run("add table inet two")
    assert "one\ntable inet two" in world.where.run("nft list tables")
    assert len(caplog.records) == 1
    assert "python3-nftables is missing" in caplog.text

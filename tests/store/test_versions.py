"""Stores that earlier versions of zthook wrote: this one goes on with them, losing nothing.

``versions/N.sql`` is a dump of one that the code of that version made: an edge with three
hosts, one of them only invited, and claims that hold, wait and are refused.
"""

import sqlite3
from pathlib import Path

import pytest

from tests.edge.world import Agent, Edge, address_of
from zthook.edge.views import MappingView
from zthook.store import schema
from zthook.store.events import Wanted
from zthook.store.sqlite import SqliteLedger

VERSIONS = Path(__file__).parent / "versions"
DUMPS = sorted(VERSIONS.glob("*.sql"))


@pytest.fixture(params=DUMPS, ids=[dump.stem for dump in DUMPS])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / "edge.sqlite"
    link = sqlite3.connect(made)
    link.executescript(request.param.read_text())
    (version,) = link.execute("PRAGMA user_version").fetchone()
    assert version == int(request.param.stem)
    link.close()
    return made


def edge_on(path: Path) -> Edge:
    return Edge(SqliteLedger(path))


def states(edge: Edge) -> dict[tuple[str, str, str], str]:
    def key(one: MappingView) -> tuple[str, str, str]:
        return one.host, one.guest, one.asked

    return {key(one): one.state for one in edge.service.mappings()}


def test_there_is_a_store_of_every_version_before_this_one() -> None:
    assert [int(dump.stem) for dump in DUMPS] == list(range(1, schema.VERSION))


def test_what_was_held_is_held_and_who_waited_waits(path: Path) -> None:
    edge = edge_on(path)
    found = states(edge)
    assert found["home1", "web1", "203.0.113.10"] == "active"
    assert found["home1", "web2", "203.0.113.11"] == "active"
    assert found["home2", "web3", "203.0.113.10"] == "conflict"
    assert found["home2", "web4", "192.0.2.1"] == "refused"
    assert edge.reached()["203.0.113.10"] == "192.168.122.50 via 10.147.0.11"


def test_hosts_are_as_they_were(path: Path) -> None:
    edge = edge_on(path)
    hosts = {one.name: one for one in edge.service.hosts()}
    assert set(hosts) == {"home1", "home2", "home3"}
    assert (hosts["home1"].group, hosts["home1"].prefixes) == ("rack", ["192.168.0.0/16"])
    assert hosts["home2"].member == "5d4548d482"
    assert (hosts["home1"].enrolled, hosts["home3"].enrolled) == (True, False)
    assert hosts["home3"].invited_until is not None


def test_it_goes_on_from_there_and_notes_what_happens(path: Path) -> None:
    edge = edge_on(path)
    agent = Agent(edge, "home1", address_of("home1"), instance="first")
    agent.open()
    epoch = max(row.epoch for row in edge.ledger.claims())
    agent.list()  # nothing runs there any more
    edge.service.tick()
    assert states(edge)["home2", "web3", "203.0.113.10"] == "active"
    assert max(row.epoch for row in edge.ledger.claims()) > epoch
    events = [(one.event, one.host) for one in edge.ledger.events(Wanted(public="203.0.113.10"))]
    assert events == [("withdrawn", "home1"), ("granted", "home2")]


def test_it_is_of_this_version_then_and_brought_up_once(path: Path) -> None:
    first = edge_on(path)
    before = states(first)
    first.ledger.close()
    again = edge_on(path)
    assert states(again) == before
    link = sqlite3.connect(path)
    assert link.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    link.close()

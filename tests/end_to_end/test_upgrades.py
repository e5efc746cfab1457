"""Each daemon is replaced by another version of itself and back: no packet is lost meanwhile."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, wait_active
from tests.end_to_end.other_version import NUMBER, another_version
from tests.end_to_end.seen import host_status
from tests.end_to_end.traces import edge_rows
from tests.lab.daemons import Zthook
from tests.lab.domain import address, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.pulse import Pulse
from tests.lab.stand_in import StandIn
from tests.lab.stream import Stream
from tests.lab.topology import CLIENT
from zthook import __version__

pytestmark = pytest.mark.lab

NAT, HIDDEN, ROUTED = "203.0.113.10", "203.0.113.11", "203.0.113.12"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(hosts=("home1",)) as lab:
        lab.edge.daemon.init()
        lab.edge.daemon.start()
        enrol(lab, lab["home1"])
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def web(lab: Lab, host: Host) -> StandIn:
    """Reached in three ways; what it begins itself leaves as one of its addresses."""
    asks = publish(
        address(NAT),
        address(HIDDEN, client="hide"),
        address(ROUTED, mode="routed", egress="public"),
    )
    guest = host.stand_in("web1", annotation=asks)
    boot(guest)
    wait_active(guest, NAT, HIDDEN, ROUTED)
    return guest


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of another version."""
    return another_version(tmp_path_factory.mktemp("other"))


class Traffic:
    """Everything that passes: what was under way, what begins meanwhile, and from the guest."""

    def __init__(self, pulses: dict[str, Pulse], streams: list[Stream]) -> None:
        self._pulses = pulses
        self._streams = streams

    def wait_moves(self) -> None:
        for one in (*self._pulses.values(), *self._streams):
            one.wait_moves()

    def check(self) -> None:
        """Not a packet was lost, nor a byte."""
        beats = {name: one.stop() for name, one in self._pulses.items()}
        for name, beat in beats.items():
            print(f"    {name:<24} lost {beat.lost} of {beat.sent}, gap {beat.gap_ms:5.1f} ms")
        assert {name: beat for name, beat in beats.items() if beat.lost or beat.broke} == {}
        assert all(one.stop() for one in self._streams)


@contextmanager
def passing(lab: Lab, guest: StandIn) -> Iterator[Traffic]:
    """Traffic goes on while inside; nothing of it may be lost."""
    ways: dict[str, tuple[Machine, str]] = {
        "nat": (lab.client, NAT),
        "hidden": (lab.client, HIDDEN),
        "routed": (lab.client, ROUTED),
        "from the guest": (guest.body, CLIENT),
    }
    with ExitStack() as running:
        pulses = {
            f"{name}, {kind}": running.enter_context(Pulse(machine, kind, where))
            for name, (machine, where) in ways.items()
            for kind in ("udp", "flows", "tcp")
        }
        streams = [
            running.enter_context(lab.client.stream(one, pause=0.001)) for one in (NAT, ROUTED)
        ]
        traffic = Traffic(pulses, streams)
        traffic.wait_moves()
        yield traffic
        traffic.wait_moves()
        traffic.check()


def replace(
    daemon: Zthook, env: dict[str, str] | None, traffic: Traffic, meanwhile: Callable[[], None]
) -> None:
    """Let another version take the daemon's place, in the middle of all that passes."""
    daemon.stop()
    meanwhile()
    traffic.wait_moves()
    daemon.start(env=env)


def rules_of(machine: Machine, table: str) -> set[str]:
    """Of which versions the rules of a table are: each one's comment begins with it."""
    listed = json.loads(machine.run("nft", "-j", "list", "table", "inet", table).stdout)
    rules = [one["rule"] for one in listed["nftables"] if "rule" in one]
    return {rule["comment"].partition(" ")[0] for rule in rules if "comment" in rule}


def nothing() -> None:
    """Nothing happens while the daemon is away."""


@pytest.mark.long  # 40 s of CPU
def test_another_version_of_the_agent_and_back_lose_no_packet(
    lab: Lab, host: Host, web: StandIn, other: dict[str, str]
) -> None:
    ours = rules_of(host, "zthook_host")

    def write_as_before() -> None:
        """Until it knew of IPv6 the agent wrote one address for each interface."""
        file = host.agent.runtime / "addresses.json"
        known = json.loads(file.read_text())
        assert known
        file.write_text(json.dumps({mac: some[0] for mac, some in known.items()}))

    with passing(lab, web) as traffic:
        replace(host.agent, other, traffic, write_as_before)
        wait_active(web, NAT, HIDDEN, ROUTED)
        assert host_status(host)["version"] == NUMBER
        theirs = rules_of(host, "zthook_host")
        assert len(theirs) == 1
        assert theirs != ours
        traffic.wait_moves()
        replace(host.agent, None, traffic, nothing)
        wait_active(web, NAT, HIDDEN, ROUTED)
        assert host_status(host)["version"] == __version__
        assert rules_of(host, "zthook_host") == ours
    assert "addresses.json can not be read" not in host.agent.process.log_text()


@pytest.mark.long  # 35 s of CPU
def test_another_version_of_the_edge_and_back_lose_no_packet_and_no_count(
    lab: Lab, host: Host, web: StandIn, other: dict[str, str]
) -> None:
    ours, epochs = rules_of(lab.edge, "zthook"), [row["epoch"] for row in edge_rows(lab)]

    def counted() -> int:
        return sum(int(row["traffic"]["bytes_in"]) for row in edge_rows(lab))

    with passing(lab, web) as traffic:
        before = counted()
        replace(lab.edge.daemon, other, traffic, lambda: without_trail(lab.edge.daemon.state))
        assert lab.edge.daemon.json("edge", "status")["status"]["version"] == NUMBER
        assert rules_of(lab.edge, "zthook") != ours
        traffic.wait_moves()
        replace(lab.edge.daemon, None, traffic, nothing)
        wait_active(web, NAT, HIDDEN, ROUTED)
        assert rules_of(lab.edge, "zthook") == ours
        assert counted() > before > 0
    assert [row["epoch"] for row in edge_rows(lab)] == epochs


def without_trail(state: Path) -> None:
    """Make the edge's store one of version 2, which had no audit trail."""
    with sqlite3.connect(state / "edge.sqlite") as link:
        link.executescript(
            "DROP TABLE events; DELETE FROM counters WHERE name = 'events'; PRAGMA user_version = 2"
        )
    link.close()

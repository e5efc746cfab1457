"""The edge's daemon dies, it reboots, others meddle with its kernel: what is mapped stays so."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.kernels import edge_kernel, host_kernel
from tests.end_to_end.seen import Stopwatch, edge_says, host_status, wait_answering
from tests.end_to_end.storm import PUBLICS
from tests.end_to_end.traces import edge_rows
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.daemons import Zthook, zthook_command
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Unreached
from tests.lab.stream import Stream
from tests.lab.topology import (
    CLIENT,
    EDGE_ON_OVERLAY,
    OVERLAY_DEVICE,
    OVERLAY_PREFIX,
    UPLINK_DEVICE,
)

pytestmark = pytest.mark.lab

STORM = Path(__file__).with_name("storm.py")
PUBLIC = "203.0.113.10"
HIDDEN = "203.0.113.11"
CONFIGURED = "203.0.113.12"
API = 9443
REPAIRED = 2.0
"""Seconds within which what others removed is back (design)."""
FILE, SPEED = 24_000_000, 1_500_000
"""A file's bytes, and how many of them pass a second until nothing more happens to it."""
ANNOTATION = f"""
<zthook:publish xmlns:zthook="urn:zthook:1">
  <zthook:address public="{PUBLIC}"/>
  <zthook:address public="{HIDDEN}" client="hide"/>
  <zthook:address public="{CONFIGURED}"/>
</zthook:publish>"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A host, and an edge with a pool for a storm beside the usual one."""
    with Lab(hosts=("home1",)) as lab:
        lab.edge.configure_address(CONFIGURED)
        lab.internet.route_to_edge("198.18.0.0/24")
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.14", "storm": "198.18.0.0/24"})
        lab.edge.daemon.start()
        enrol(lab, lab["home1"])
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def guest(host: Host) -> Iterator[Guest]:
    guest = host.stand_in("web1", annotation=ANNOTATION)
    guest.boot()
    yield guest
    forget(guest)


@pytest.fixture
def web(lab: Lab, host: Host, guest: Guest) -> Guest:
    """The guest, with its three addresses, and everybody knows it."""
    if not lab.edge.daemon.process.running:
        lab.edge.daemon.start()
    wait_served(lab, host)
    return guest


def wait_served(lab: Lab, host: Host, deadline_seconds: float = 30) -> None:
    """Return once host and edge say that all three addresses are active, and nothing is amiss."""

    def all_active() -> bool:
        status = host_status(host)
        states = [row["state"] for row in status["mappings"]]
        return states == ["active"] * 3 and not status["faults"]

    wait_until(
        all_active,
        deadline_seconds,
        lambda: f"all is well; the host says {host_status(host)}",
    )
    assert edge_says(lab, PUBLIC) == [("web1", "home1", "active", "")]


class Traffic:
    """Transfers through the mappings of the guest, each of which loses nothing or fails."""

    def __init__(self, *streams: Stream) -> None:
        self.streams = streams
        self.wait_moves()

    def wait_moves(self) -> None:
        """Return once every one goes on."""
        for one in self.streams:
            one.wait_moves()

    def stop(self) -> None:
        """Every byte came, and was what was sent."""
        for one in self.streams:
            assert one.stop() > 0


@contextmanager
def carrying(lab: Lab, *, files: bool = False) -> Iterator[Traffic]:
    """Transfers run while inside: an echoed one for each address, with ``files`` a download and
    an upload; at the end not a byte is lost.
    """
    with ExitStack() as open_ones:
        streams = [lab.client.stream(public) for public in (PUBLIC, HIDDEN)]
        if files:
            streams += [transfer(lab.client, verb, PUBLIC, FILE, SPEED) for verb in ("get", "put")]
        for one in streams:
            open_ones.enter_context(one)
        traffic = Traffic(*streams)
        yield traffic
        traffic.wait_moves()
        traffic.stop()


# The daemon goes and comes.


@pytest.mark.parametrize("end", ["kill", "stop"], ids=["killed", "stopped"])
def test_without_the_daemon_not_a_byte_is_lost_and_with_it_again_nothing_changes(
    lab: Lab, host: Host, web: Guest, end: str
) -> None:
    before = edge_kernel(lab)
    with carrying(lab, files=True) as traffic:
        getattr(lab.edge.daemon, end)()
        assert edge_kernel(lab) == before
        traffic.wait_moves()
        assert lab.client.page(PUBLIC).saw == CLIENT, "new connections come about too"
        lab.edge.daemon.start()
        assert all(one.running for one in traffic.streams), "they outlast the fault"
    wait_served(lab, host)
    assert edge_kernel(lab) == before
    said = lab.edge.daemon.process.log_text()
    assert "the kernel: " not in said, "it adopts what is there"


def test_an_upgrade_with_other_rules_loses_no_byte_and_no_count(
    lab: Lab, host: Host, web: Guest
) -> None:
    def counted() -> int:
        (row,) = edge_rows(lab, PUBLIC)
        return int(row["traffic"]["bytes_in"])

    after = edge_kernel(lab)
    with carrying(lab, files=True) as traffic:
        before = counted()
        lab.edge.daemon.stop()
        age_the_rules(lab.edge)
        traffic.wait_moves()
        lab.edge.daemon.start()
        assert "were not this version's: replaced" in lab.edge.daemon.process.log_text()
        assert edge_kernel(lab) == after
        assert counted() >= before > 0
    wait_served(lab, host)


def age_the_rules(edge: Machine) -> None:
    """Make our table that of another version: comments say which one made it."""
    listed = json.loads(edge.run("nft", "-j", "list", "table", "inet", "zthook").stdout)
    rule = next(one["rule"] for one in listed["nftables"] if "rule" in one)
    version, words = rule["comment"].split(" ", 1)
    text = edge.run("nft", "-a", "list", "chain", "inet", "zthook", rule["chain"]).stdout
    line = next(line for line in text.splitlines() if line.endswith(f"# handle {rule['handle']}"))
    statement = line.split("# handle")[0].replace(version, "00000000").strip()
    assert words in statement
    place = f"inet zthook {rule['chain']} handle {rule['handle']}"
    edge.run("nft", "-f", "-", stdin=f"replace rule {place} {statement}\n")


def test_after_a_reboot_all_is_back_from_the_store(lab: Lab, host: Host, web: Guest) -> None:
    before, epochs = edge_kernel(lab), [row["epoch"] for row in edge_rows(lab)]
    lab.edge.reboot()
    assert nothing_is_forwarded(lab)
    rules = lab.edge.daemon("edge", "rules").stdout
    lab.edge.run("nft", "-f", "-", stdin=rules)  # as the unit before the network does
    assert nothing_is_forwarded(lab)
    watch = Stopwatch()
    lab.edge.daemon.start()
    wait_answering(lab, PUBLIC, "web1", 10)
    watch.tell("from the daemon's start to the client's page")
    assert {lab.client.page(one).name for one in (HIDDEN, CONFIGURED)} == {"web1"}
    assert edge_kernel(lab) == before
    wait_served(lab, host)
    watch.tell("until the host's agent is back as well")
    assert [row["epoch"] for row in edge_rows(lab)] == epochs, "nobody had to claim anew"


def nothing_is_forwarded(lab: Lab) -> bool:
    """Whether the edge, booted and without its daemon, lets nothing through."""
    with pytest.raises(Unreached):
        lab.client.tcp_connect(PUBLIC, 80, timeout=1)
    return True


def edge_status(lab: Lab) -> str:
    """The screen of `zthook edge status`, which exits with 1 where there is a problem."""
    return lab.edge.daemon("edge", "status", check=False).stdout


# Others change its kernel.


DAMAGE = {
    "all rules": "nft flush ruleset",
    "our table": "nft delete table inet zthook",
    "the filter's rules": "nft flush chain inet zthook forward",
    "one public address": "nft delete element inet zthook inward { PUBLIC }",
    "one permission": "nft delete element inet zthook arriving { PUBLIC . PRIVATE }",
    "all routes of ours": "ip route flush proto 123",
    "the guest's route": "ip route del PRIVATE",
    "an address's route": "ip route del PUBLIC",
    "forwarding": "echo 0 >/proc/sys/net/ipv4/conf/overlay0/forwarding",
}


@pytest.fixture(scope="module")
def unbroken(lab: Lab, guest: Guest) -> Iterator[Stream]:
    """A transfer that all of these faults together do not break.

    Of an address that is not the edge's own, with the client kept: while there are no rules the
    edge itself answers for others, and ends their connections.
    """
    with lab.client.stream(PUBLIC) as transfer:
        yield transfer
        transfer.stop()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_others_remove_is_back_within_two_seconds(
    lab: Lab, web: Guest, unbroken: Stream, damage: str
) -> None:
    before = edge_kernel(lab)
    unbroken.wait_moves()
    command = damage.replace("PUBLIC", PUBLIC).replace("PRIVATE", web.address)
    lab.edge.run("sh", "-c", command)
    watch = Stopwatch()
    wait_back(lambda: edge_kernel(lab), before)
    assert watch.tell("repaired after") < REPAIRED
    unbroken.wait_moves()
    assert lab.client.page(CONFIGURED).saw == CLIENT


def test_repairs_are_shown(lab: Lab, web: Guest, unbroken: Stream) -> None:
    lab.edge.run("ip", "route", "del", web.address)
    wait_until(
        lambda: f"route {web.address}/32 via" in edge_status(lab),
        5,
        lambda: f"status names what was repaired; it says {edge_status(lab)}",
    )


def wait_back(look: Callable[[], set[str]], before: set[str], deadline_seconds: float = 10) -> None:
    """Return once the kernel has again what it had."""
    wait_until(lambda: look() == before, deadline_seconds, lambda: f"differs in {look() ^ before}")


def test_an_answer_for_an_address_that_others_stopped_is_back_with_the_next_pass(
    lab: Lab, web: Guest, unbroken: Stream
) -> None:
    """The kernel tells nobody of these: only the pass every few seconds sees it."""
    before = edge_kernel(lab)
    lab.edge.ip(f"neigh del proxy {PUBLIC} dev {UPLINK_DEVICE}")
    watch = Stopwatch()
    wait_back(lambda: edge_kernel(lab), before)
    watch.tell("repaired after")
    unbroken.wait_moves()


# The overlay goes and comes.


@contextmanager
def down(lab: Lab, machine: Machine) -> Iterator[None]:
    """The overlay's device is down while inside."""
    machine.ip(f"link set {OVERLAY_DEVICE} down")
    try:
        yield
    finally:
        machine.ip(f"link set {OVERLAY_DEVICE} up")


away = pytest.mark.parametrize("away", [Lab.without_overlay, down], ids=["deleted", "down"])


@away
def test_the_edges_overlay_returns_and_all_of_ours_with_it(
    lab: Lab, host: Host, web: Guest, away: Callable[..., Any]
) -> None:
    before = edge_kernel(lab)
    with carrying(lab):
        with away(lab, lab.edge):
            wait_until(
                lambda: "the overlay is down" in edge_status(lab),
                5,
                lambda: f"the edge says so; it says {edge_status(lab)}",
            )
            wait_until(
                lambda: {row["state"] for row in edge_rows(lab)} == {"pending"},
                5,
                lambda: f"no mapping is active; they are {edge_rows(lab)}",
            )
            assert "overlay" in edge_rows(lab, PUBLIC)[0]["reason"]
        watch = Stopwatch()
        wait_back(lambda: edge_kernel(lab), before)
        assert watch.tell("back after") < REPAIRED
        assert host.reaches(EDGE_ON_OVERLAY, API), "the API listens"
    wait_served(lab, host)


@away
def test_the_hosts_overlay_returns_and_all_of_ours_with_it(
    lab: Lab, host: Host, web: Guest, away: Callable[..., Any]
) -> None:
    before, on_edge = host_kernel(host), edge_kernel(lab)
    with carrying(lab):
        with away(lab, host):
            wait_until(
                lambda: any("overlay" in fault for fault in host_status(host)["faults"]),
                5,
                lambda: f"the host says so; it says {host_status(host)['faults']}",
            )
        watch = Stopwatch()
        wait_back(lambda: host_kernel(host), before)
        assert watch.tell("back after") < REPAIRED
        assert edge_kernel(lab) == on_edge, "an absent host loses nothing"
    wait_served(lab, host)


def test_the_edges_overlay_address_changes_and_changes_back(
    lab: Lab, host: Host, web: Guest
) -> None:
    before, new = edge_kernel(lab), "192.168.193.223"

    with lab.client.stream(PUBLIC) as kept:
        kept.wait_moves()
        lab.edge.ip(
            f"addr flush dev {OVERLAY_DEVICE}",
            f"addr add {new}/{OVERLAY_PREFIX} dev {OVERLAY_DEVICE}",
        )
        watch = Stopwatch()
        wait_until(lambda: host.reaches(new, API), 10, "the API is where the edge is")
        watch.tell("the API follows after")
        assert not host.reaches(EDGE_ON_OVERLAY, API)
        wait_until(
            lambda: lab.client.page(HIDDEN).saw == new,
            5,
            lambda: f"the edge hides clients as {new}; it says {edge_status(lab)}",
        )
        assert f"overlay   {OVERLAY_DEVICE} {new}" in edge_status(lab)
        lab.edge.ip(
            f"addr flush dev {OVERLAY_DEVICE}",
            f"addr add {EDGE_ON_OVERLAY}/{OVERLAY_PREFIX} dev {OVERLAY_DEVICE}",
        )
        watch = Stopwatch()
        wait_back(lambda: edge_kernel(lab), before)
        watch.tell("and all is back after")
        kept.wait_moves()
    wait_served(lab, host)


# What an admin may not take away.


def test_a_pool_in_use_is_not_removed_and_who_uses_it_is_named(
    lab: Lab, host: Host, web: Guest
) -> None:
    path = lab.edge.daemon.config / "edge.toml"
    before = path.read_text()
    with carrying(lab):
        said = lab.edge.daemon("edge", "pool", "remove", "hk", check=False)
        assert said.returncode == 1
        assert f"still in use: {PUBLIC} (web1 on home1)" in said.stderr
        assert "hint: stop those guests" in said.stderr
        assert path.read_text() == before
        path.write_text(before.replace("203.0.113.10-203.0.113.14", "203.0.113.13-203.0.113.14"))
        process = lab.edge.daemon.process
        process.send(signal.SIGHUP)
        process.wait_logged(f"went on with the settings before: still in use: {PUBLIC}")
        path.write_text(before)
    wait_served(lab, host)


# Killed in the middle of a decision.


@pytest.fixture(scope="module")
def stormy(lab: Lab) -> Iterator[Zthook]:
    """Another host, whose agent is a storm."""
    member = lab.add_member()
    zthook = Zthook(member, ("agent",))
    zthook("join", lab.edge.daemon.add_host("stormy"))
    yield zthook
    lab.edge.daemon("edge", "host", "remove", "stormy")


@pytest.mark.long  # deaths at each durable step are in tests/faults
def test_killed_in_a_storm_of_claims_it_keeps_what_it_had_answered(
    lab: Lab, host: Host, web: Guest, stormy: Zthook
) -> None:
    with lab.client.stream(PUBLIC) as transfer:
        for round_number, answers in enumerate((2, 5, 9, 14)):
            storm = stormy.machine.start(
                f"storm{round_number}", sys.executable, STORM, round_number
            )
            wait_until(
                lambda storm=storm, answers=answers: storm.log_text().count("heard") >= answers,
                30,
                lambda storm=storm: f"the storm blows; it says {storm.log_text()[-300:]}",
            )
            lab.edge.daemon.kill()
            storm.wait_ended()
            lab.edge.daemon.start()
            last, beyond = heard(storm.log_text())
            rows = [row for row in edge_rows(lab) if row["host"] == "stormy"]
            assert {row["public"]: row["private"] for row in rows} in (last, beyond)
            assert {row["state"] for row in rows} == {"active"}
            assert forwarded(lab) == {row["public"]: row["private"] for row in edge_rows(lab)}
        assert transfer.stop()


def heard(log: str) -> tuple[dict[str, str], dict[str, str]]:
    """The last list that was answered, and the one that was sent after it."""
    said = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    number = max(place for place, one in enumerate(said) if "heard" in one)
    last, after = said[number - 1]["sent"], said[number + 1 :]
    return last, next((one["sent"] for one in after if "sent" in one), last)


def forwarded(lab: Lab) -> dict[str, str]:
    """Public to private, as the edge's kernel has it in rules and routes."""
    listed = json.loads(lab.edge.run("nft", "-j", "list", "map", "inet", "zthook", "inward").stdout)
    (found,) = [dict(one["map"]["elem"]) for one in listed["nftables"] if "map" in one]
    routes = lab.edge.run("ip", "route", "show", "proto", "123").stdout.split()
    assert set(found.values()) <= set(routes)
    assert len([one for one in routes if one.startswith("10.50.")]) == len(
        [one for one in found if one in PUBLICS]
    )
    return found


# Its disk.


@contextmanager
def on_a_small_disk(lab: Lab) -> Iterator[None]:
    """The daemon's state is on a disk with 1 MB to spare; it ends with the daemon."""
    daemon = lab.edge.daemon
    daemon.stop()
    script = f"""
        mount -t tmpfs none /run
        mkdir /run/usual
        mount --bind {daemon.state} /run/usual
        size=$(($(du -sk /run/usual | cut -f1) + 1024))k
        mount -t tmpfs -o size=$size none {daemon.state}
        cp -a /run/usual/. {daemon.state}
        exec {zthook_command()} edge serve"""
    daemon._process = lab.edge.start("edge", "unshare", "-m", "sh", "-ec", script, notify=True)
    try:
        daemon.process.wait_notified()
        yield
        in_its_place(lab, "cp", "-a", f"{daemon.state}/.", "/run/usual")
    finally:
        daemon.stop()
    daemon.start()


def in_its_place(lab: Lab, *command: object, check: bool = True) -> None:
    """Run a program where the daemon's disk is."""
    pid = lab.edge.daemon.process.pid
    lab.edge.run("nsenter", "-t", pid, "-m", *command, check=check)


def test_a_full_disk_is_said_and_loses_nothing(lab: Lab, host: Host, web: Guest) -> None:
    more, filler = "203.0.113.13", lab.edge.daemon.state / "filler"
    before = edge_kernel(lab)
    with on_a_small_disk(lab), lab.client.stream(PUBLIC) as transfer:
        wait_served(lab, host)
        in_its_place(lab, "dd", "if=/dev/zero", f"of={filler}", "bs=4k", check=False)
        said = host.agent("assign", "web1", more, check=False, timeout=60)
        assert f"{more} → {web.address} is pending: waits for the edge" in said.stdout
        assert "disk is full" in said.stdout
        assert "disk is full" in edge_status(lab)
        lab.edge.run("nft", "flush", "ruleset")
        wait_back(lambda: edge_kernel(lab), before)
        assert lab.client.page(CONFIGURED).saw == CLIENT
        in_its_place(lab, "rm", filler)
        watch = Stopwatch()
        wait_answering(lab, more, "web1", 20)
        watch.tell("granted without anybody asking again, after there is room")
        host.agent("unassign", "web1", more)
        transfer.wait_moves()
        assert transfer.stop()


def test_a_read_only_disk_is_said_and_what_is_mapped_stays(
    lab: Lab, host: Host, web: Guest
) -> None:
    before, daemon = edge_kernel(lab), lab.edge.daemon
    with carrying(lab) as traffic:
        daemon.stop()
        script = f"""
            mount --bind {daemon.state} {daemon.state}
            mount -o remount,bind,ro {daemon.state}
            exec {zthook_command()} edge serve"""
        failed = lab.edge.start("readonly", "unshare", "-m", "sh", "-ec", script)
        assert failed.wait_ended() == 1
        said = failed.log_text()
        assert f"the store {daemon.state}/edge.sqlite can not be opened: Read-only" in said
        assert "hint:" in said
        assert edge_kernel(lab) == before
        traffic.wait_moves()
        daemon.start()
    wait_served(lab, host)

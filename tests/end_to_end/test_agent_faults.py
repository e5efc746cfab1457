"""The agent dies, comes late or finds its kernel changed: guests and transfers notice nothing."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import Self

import pytest

from tests.end_to_end.conftest import forget
from tests.end_to_end.seen import (
    Stopwatch,
    answering,
    edge_says,
    host_status,
    is_up,
    wait_answering,
)
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

PUBLIC, OTHER, THIRD = "203.0.113.10", "203.0.113.11", "203.0.113.12"
Starting = Future[CompletedProcess[str]]
ACTIVE = [("web1", "home1", "active", "")]
REPAIRED = 2.0
"""Seconds within which what others removed is back (design)."""


@pytest.fixture(scope="module")
def host(home: Lab) -> Host:
    return home["home1"]


@pytest.fixture(scope="module")
def guests(host: Host) -> Iterator[dict[str, Guest]]:
    """web1, which names PUBLIC, and web2, which names OTHER, in whatever state."""
    names = {"web1": PUBLIC, "web2": OTHER}
    found = {
        name: host.define_guest(name, annotation=annotation(public))
        for name, public in names.items()
    }
    yield found
    for guest in found.values():
        forget(guest)


@pytest.fixture
def web1(home: Lab, host: Host, guests: dict[str, Guest]) -> Guest:
    """It answers at PUBLIC, and the agent runs."""
    guest = guests["web1"]
    if guest.state() != "running":
        guest.boot()
    if not host.agent.process.running:
        host.agent.start()
    wait_answering(home, PUBLIC, "web1", 30)
    return guest


def test_killed_it_is_missed_by_no_transfer_and_the_next_one_changes_nothing(
    home: Lab, host: Host, web1: Guest
) -> None:
    (before,) = home.edge.daemon.asked("mappings")
    kernel = ours(host)
    with home.client.stream(PUBLIC, pause=0.001) as transfer:
        transfer.wait_moves()
        host.agent.kill()
        transfer.wait_moves()
        assert answering(home, PUBLIC) == "web1", "new connections come in without an agent"
        host.agent.start()
        host.agent.wait_state("web1", "active")
        transfer.wait_moves()
        print(f"\n  {transfer.stop()} bytes through kill and restart, none lost")
    (after,) = home.edge.daemon.asked("mappings")
    assert (after["epoch"], after["since"]) == (before["epoch"], before["since"])
    assert ours(host) == kernel


def test_what_started_and_stopped_while_it_was_dead_is_right_within_seconds(
    home: Lab, host: Host, web1: Guest, guests: dict[str, Guest]
) -> None:
    web2 = guests["web2"]
    host.agent.kill()
    web2.boot()
    web1.destroy()
    assert edge_says(home, PUBLIC) == ACTIVE, "nobody was there to tell"
    host.agent.start()
    back = Stopwatch()
    wait_answering(home, OTHER, "web2")
    back.tell("the agent is ready until the guest that started meanwhile answers")
    wait_until(
        lambda: edge_says(home, PUBLIC) == [],
        10,
        lambda: f"what stopped meanwhile is withdrawn: {edge_says(home, PUBLIC)}",
    )


def test_killed_while_a_start_is_under_way_it_gives_the_address_once_it_is_back(
    home: Lab, host: Host, guests: dict[str, Guest]
) -> None:
    """Its hook had its answer in prepare; nobody hears of started."""
    web1 = guests["web1"]
    web1.virsh("destroy", check=False)
    with held_up(host, "start") as gate:
        starting = gate.run_held(web1)
        host.agent.kill()
    assert starting.result(30).returncode == 0
    web1.wait_ready()
    host.agent.start()
    back = Stopwatch()
    wait_answering(home, PUBLIC, "web1")
    back.tell("the agent is ready until the guest whose start it did not survive answers")


def test_killed_while_a_required_guest_waits_for_it_the_start_is_refused_at_once_and_said_why(
    home: Lab, host: Host
) -> None:
    needed = host.define_guest("needed", annotation=annotation(THIRD, required="yes"))
    home.edge.daemon.hang()
    try:
        starting = begin(needed)
        wait_until(
            lambda: [row["guest_state"] for row in host.agent.mappings("needed")] == ["starting"],
            10,
            "the agent asks the edge, and the hook waits for it",
        )
        host.agent.kill()
        killed = Stopwatch()
        done = starting.result(20)
        killed.tell("the agent is killed until virsh start has said no")
        assert done.returncode == 1
        assert "closed the connection before it answered" in done.stderr
        assert needed.state() == "shut off"
    finally:
        home.edge.daemon.resume()
        host.agent.start()
    needed.virsh("start", "--paused")
    assert [says[:2] for says in edge_says(home, THIRD)] == [("needed", "home1")]
    forget(needed)


DAMAGES = {
    "our way through taken out": (
        "iptables -D FORWARD $(iptables -S FORWARD | sed 1d | grep -n zthook | cut -d : -f 1)"
    ),
    "our table deleted": "nft delete table inet zthook_host",
    "our elements flushed": "nft flush table inet zthook_host",
    "ip rule deleted": "ip rule del pref 12300",
    "ip route flushed": "ip route flush table 12300",
    "rp_filter strict": "echo 1 >/proc/sys/net/ipv4/conf/overlay0/rp_filter",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_others_remove_is_back_within_two_seconds(
    home: Lab, host: Host, web1: Guest, damage: str
) -> None:
    before, told = ours(host), repairs(host)
    host.run("sh", "-ec", damage)
    done = Stopwatch()
    wait_until(
        lambda: repairs(host) > told and ours(host) == before,
        10,
        lambda: f"it is as before, not {ours(host)}",
    )
    assert done.tell(f"{damage} until it is repaired") < REPAIRED
    wait_answering(home, PUBLIC, "web1", 5)


def test_after_nft_flush_ruleset_the_mapping_works_again_within_two_seconds(
    home: Lab, host: Host, web1: Guest
) -> None:
    """libvirt's own rules are gone with ours, until it starts again; then ours stand in them."""
    before = ours(host)
    host.run("nft", "flush", "ruleset")
    flushed = Stopwatch()
    wait_until(lambda: ours(host)["table"] == before["table"], 10, "our table is back")
    assert flushed.tell("nft flush ruleset until our table is back") < REPAIRED
    wait_answering(home, PUBLIC, "web1", 5)
    host.libvirtd.restart()
    wait_until(lambda: ours(host) == before, 10, lambda: f"it is as before, not {ours(host)}")
    wait_answering(home, PUBLIC, "web1", 5)


def test_after_a_loss_of_power_it_waits_for_a_late_libvirtd_and_then_sets_everything_right(
    home: Lab, host: Host, web1: Guest, guests: dict[str, Guest]
) -> None:
    if guests["web2"].state() != "running":
        guests["web2"].boot()
    wait_answering(home, OTHER, "web2")
    web1.virsh("autostart")
    kernel = ours(host)
    host.lose_power()
    host.agent.start()
    wait_until(
        lambda: any(fault.startswith("libvirt:") for fault in host_status(host)["faults"]),
        10,
        lambda: f"status names the libvirtd that is not there: {host_status(host)}",
    )
    wait_until(lambda: is_up(host, "edge"), 10, "the edge is told that this host lives")
    assert len(edge_says(home, PUBLIC)) == len(edge_says(home, OTHER)) == 1, "unknown is not none"
    web1.expect_boot()
    host.libvirtd.start()
    started = Stopwatch()
    wait_until(lambda: edge_says(home, OTHER) == [], 10, "what runs no more is withdrawn")
    started.tell("libvirtd answers until what does not run any more is withdrawn")
    web1.wait_ready()
    ready = Stopwatch()
    wait_answering(home, PUBLIC, "web1")
    ready.tell("the autostarted guest serves until it answers at its public address")
    now = ours(host)
    table, before = now.pop("table"), kernel.pop("table")
    assert now == kernel
    assert web1.address in table
    assert guests["web2"].address in before
    assert guests["web2"].address not in table
    web1.virsh("autostart", "--disable")


def test_forwarding_turned_off_is_on_again_within_two_seconds(
    home: Lab, host: Host, web1: Guest
) -> None:
    """From then on it forwards for mappings alone, so this test is the last one."""
    host.namespace.sysctl(ipv4__ip_forward=0)
    off = Stopwatch()
    wait_until(lambda: ours(host)["ip_forward"] == "1", 10, "this host forwards again")
    assert off.tell("forwarding turned off until it is on again") < REPAIRED
    wait_answering(home, PUBLIC, "web1", 5)


def repairs(host: Host) -> int:
    """How many the agent has told of in its log."""
    return host.agent.process.log_text().count("kernel: ")


ELEMENTS = re.compile(r"elements = \{([^}]*)\}")
OURS = """
echo "table $(nft -s list table inet zthook_host | tr '\\n' ' ')"
echo "way $(iptables -S FORWARD | grep -B 1 zthook)"
echo "rule $(ip rule show pref 12300)"
echo "route $(ip route show table 12300 | tr '\\n' ' ')"
echo "rp_filter $(cat /proc/sys/net/ipv4/conf/overlay0/rp_filter)"
echo "ip_forward $(cat /proc/sys/net/ipv4/ip_forward)"
"""


def ours(host: Host) -> dict[str, str]:
    """What the agent keeps in the host's kernel, without counters and the order of elements."""
    said = host.run("sh", "-c", OURS).stdout
    found = dict(line.split(" ", 1) for line in said.splitlines())
    return found | {"table": ELEMENTS.sub(_in_order, found.get("table", ""))}


def _in_order(elements: re.Match[str]) -> str:
    """nft lists a set's elements in the order of the kernel's hashes, which are new each time."""
    return f"elements = {{{', '.join(sorted(one.strip() for one in elements[1].split(',')))}}}"


def begin(guest: Guest) -> Starting:
    """`virsh start`, not waited for."""
    return ThreadPoolExecutor(1).submit(guest.virsh, "start", check=False)


GATE = """#!/bin/sh
cat >/dev/null
[ "$2" = {operation} ] || exit 0
touch {folder}/reached
until [ -e {folder}/open ]; do sleep 0.05; done
"""


class held_up:  # noqa: N801 - read as a phrase: with held_up(host, "start")
    """Another hook, after ours, that keeps guests waiting in an operation while inside."""

    def __init__(self, host: Host, operation: str) -> None:
        self._folder = host.folder / f"gate-{operation}"
        self._hook = host.place("/etc/libvirt") / "hooks" / "qemu.d" / "zz-gate"
        self._operation = operation

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._hook.write_text(GATE.format(operation=self._operation, folder=self._folder))
        self._hook.chmod(0o755)
        return self

    def run_held(self, guest: Guest) -> Starting:
        """A guest's `virsh start`, once it is held up."""
        guest.expect_boot()
        starting = begin(guest)
        wait_until(lambda: (self._folder / "reached").exists(), 20, "the start is under way")
        return starting

    def __exit__(self, *_: object) -> None:
        (self._folder / "open").touch()
        self._hook.unlink()

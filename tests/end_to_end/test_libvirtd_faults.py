"""libvirtd restarts, hangs, dies, takes its network away: a mapping stands while its guest runs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import forget
from tests.end_to_end.seen import (
    Stopwatch,
    answering,
    edge_host,
    edge_says,
    host_status,
    is_up,
    wait_answering,
)
from tests.lab.commands import LabError, wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

PUBLIC, OTHER = "203.0.113.10", "203.0.113.11"
ACTIVE = [("web1", "home1", "active", "")]
BACK = 2.0
"""Seconds within which what libvirtd took away with it works again."""
NOTICED = 25.0
"""It is listed every ten seconds where nothing hints, and six of waiting count as hung."""
KEEPALIVE = 15.0
"""After so long the agent's connection gives a silent libvirtd up."""


@pytest.fixture(scope="module")
def host(home: Lab) -> Host:
    return home["home1"]


@pytest.fixture(scope="module")
def guest(host: Host) -> Iterator[Guest]:
    """web1, which names PUBLIC, in whatever state."""
    guest = host.define_guest("web1", annotation=annotation(PUBLIC))
    yield guest
    forget(guest)


@pytest.fixture
def web1(home: Lab, host: Host, guest: Guest) -> Guest:
    """It answers at PUBLIC."""
    if guest.state() != "running":
        guest.boot()
    wait_answering(home, PUBLIC, "web1", 30)
    return guest


def libvirt_up(host: Host) -> bool:
    return is_up(host, "libvirt")


def test_restarted_it_costs_a_running_transfer_nothing_and_new_ones_two_seconds(
    home: Lab, host: Host, web1: Guest
) -> None:
    """It makes its firewall chains anew, in which our rules have to stand first."""
    with home.client.stream(PUBLIC) as transfer:
        transfer.wait_moves()
        host.libvirtd.stop()
        transfer.wait_moves()
        assert edge_says(home, PUBLIC) == ACTIVE
        host.libvirtd.start()
        started = Stopwatch()
        wait_answering(home, PUBLIC, "web1")
        assert started.tell("libvirtd answers until a new client reaches the guest") < BACK
        wait_until(lambda: libvirt_up(host), 10, "the agent has libvirt again")
        transfer.wait_moves()
        transfer.stop()
    assert edge_says(home, PUBLIC) == ACTIVE


def test_hung_it_changes_nothing_but_what_status_says_and_the_lease_is_renewed(
    home: Lab, host: Host, web1: Guest
) -> None:
    with home.client.stream(PUBLIC) as transfer:
        host.libvirtd.hang()
        hung = Stopwatch()
        try:
            wait_until(
                lambda: any(
                    fault.startswith("libvirt:") and "hangs" in fault
                    for fault in host_status(host)["faults"]
                ),
                NOTICED,
                lambda: f"status says that libvirt hangs: {host_status(host)['faults']}",
            )
            hung.tell("libvirtd is hung until status says so")
            wait_until(lambda: hung.seconds > KEEPALIVE + 7, KEEPALIVE + 8, "keepalive is over")
            assert edge_says(home, PUBLIC) == ACTIVE
            assert answering(home, PUBLIC) == "web1"
            assert host_status(host)["lease_age"] < KEEPALIVE + 7, "the lease is renewed"
            assert edge_host(home, "home1")["lease"] == "live"
            transfer.wait_moves()
        finally:
            host.libvirtd.resume()
        resumed = Stopwatch()
        wait_until(lambda: libvirt_up(host), 20, "the agent has libvirt again")
        resumed.tell("libvirtd goes on until status says so")
        assert edge_says(home, PUBLIC) == ACTIVE
        transfer.wait_moves()
        transfer.stop()
    host.agent("assign", "web1", OTHER)
    wait_answering(home, OTHER, "web1")
    host.agent("unassign", "web1", OTHER)


def test_a_network_restarted_under_a_running_guest_has_our_rules_again_within_two_seconds(
    home: Lab, host: Host, web1: Guest
) -> None:
    """libvirt puts the guest back on the new bridge when it restarts itself, no sooner."""
    host.virsh("net-destroy", "default")
    wait_until(
        lambda: [says[2] for says in edge_says(home, PUBLIC)] == ["pending"],
        10,
        lambda: f"without its network the guest waits: {edge_says(home, PUBLIC)}",
    )

    host.virsh("net-start", "default")
    back = Stopwatch()
    wait_until(
        lambda: "zthook" in host.run("iptables", "-S", "FORWARD").stdout,
        10,
        "our rule stands before the new chains",
    )
    assert back.tell("the network is started until our rule is there") < BACK
    wait_until(lambda: edge_says(home, PUBLIC) == ACTIVE, 10, lambda: f"{edge_says(home, PUBLIC)}")
    host.libvirtd.restart()
    wait_answering(home, PUBLIC, "web1")


def test_killed_it_withdraws_nothing_and_what_stopped_meanwhile_is_found_out(
    home: Lab, host: Host, web1: Guest
) -> None:
    with home.client.stream(PUBLIC) as transfer:
        host.libvirtd.kill()
        wait_until(
            lambda: not libvirt_up(host),
            10,
            lambda: f"status says that libvirt is down: {host_status(host)}",
        )
        assert answering(home, PUBLIC) == "web1"
        assert edge_says(home, PUBLIC) == ACTIVE
        transfer.wait_moves()
        transfer.stop()
    os.kill(qemu(host, "web1"), signal.SIGKILL)
    host.libvirtd.start()
    started = Stopwatch()
    wait_until(
        lambda: edge_says(home, PUBLIC) == [],
        10,
        lambda: f"the guest that ended is withdrawn: {edge_says(home, PUBLIC)}",
    )
    started.tell("libvirtd answers until a guest that ended without it is withdrawn")


def test_a_guest_that_crashes_has_its_address_no_more(home: Lab, host: Host, web1: Guest) -> None:
    process = qemu(host, "web1")
    os.kill(process, signal.SIGKILL)
    # Until its parent takes note of its end libvirt believes that it lives; where the machine's
    # first process is no systemd that can take two seconds, which are not ours.
    gone = Path("/proc", str(process))
    wait_until(lambda: not gone.exists(), 10, "the killed process is gone")
    crashed = Stopwatch()
    wait_until(
        lambda: edge_says(home, PUBLIC) == [],
        10,
        lambda: f"its address is withdrawn: {edge_says(home, PUBLIC)}",
    )
    assert crashed.tell("its QEMU is gone until the address is withdrawn") < BACK
    assert answering(home, PUBLIC) == ""


def qemu(host: Host, name: str) -> int:
    """The process id of a guest's QEMU."""
    file = host.place("/run/libvirt") / "qemu" / f"{name}.pid"
    if not file.exists():
        raise LabError(f"{name} does not run: there is no {file}")
    return int(file.read_text())

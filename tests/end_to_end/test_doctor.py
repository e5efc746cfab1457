"""`zthook doctor` on a host and an edge that are broken in one place after another."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.end_to_end.mapped import boot, wait_active
from tests.lab.daemons import Zthook
from tests.lab.domain import address, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.stand_in import StandIn
from tests.lab.topology import OVERLAY

pytestmark = pytest.mark.lab

PUBLIC = "203.0.113.10"
FLOW_RULES = f"iifname home1-o ether type ip ip saddr != {OVERLAY} drop"
NO_LARGE_PINGS = "ip protocol icmp ip length > 1500 drop"
OUR_WAY_THROUGH = (
    "iptables -D FORWARD $(iptables -S FORWARD | sed 1d | grep -n zthook | cut -d : -f 1)"
)
OTHERS_TABLE = (
    "table ip mine { chain every { type filter hook forward priority 0; policy drop; }; }"
)
OTHER_SERVER = """
import socket, time
with socket.create_server(("127.0.0.1", 9443)):
    print("up")
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def web1(home: Lab) -> StandIn:
    guest = home["home1"].stand_in("web1", annotation=publish(address(PUBLIC)))
    boot(guest)
    wait_active(guest, PUBLIC)
    return guest


@pytest.fixture
def host(home: Lab, web1: StandIn) -> Host:
    return home["home1"]


def outcomes(zthook: Zthook, *arguments: str) -> dict[str, str]:
    done = zthook("doctor", *arguments, "--json", check=False, timeout=90)
    said = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    print(*(f"{name}: {one['seen']}" for name, one in said.items()), sep="\n")
    found = {name: one["outcome"] for name, one in said.items()}
    assert done.returncode == int("fail" in found.values())
    return found


def failed(zthook: Zthook, *arguments: str) -> set[str]:
    return {name for name, outcome in outcomes(zthook, *arguments).items() if outcome == "fail"}


def break_more(machine: Machine, zthook: Zthook, damages: dict[str, str]) -> None:
    """One after another: with each, the check of that name fails too, and no other."""
    before = {"agent", "daemon"}
    for check, damage in damages.items():
        machine.run("sh", "-ec", damage)
        now = failed(zthook)
        assert now - before == {check}
        before = now


@contextmanager
def killed(zthook: Zthook) -> Iterator[None]:
    """Without its daemon, which would repair what is broken."""
    zthook.kill()
    try:
        yield
    finally:
        zthook.start()


@contextmanager
def hung(daemon: Zthook) -> Iterator[None]:
    daemon.hang()
    try:
        yield
    finally:
        daemon.resume()


@contextmanager
def done(machine: Machine, do: str, undo: str) -> Iterator[None]:
    machine.run("sh", "-ec", do)
    try:
        yield
    finally:
        machine.run("sh", "-ec", undo)


@contextmanager
def on_the_overlay(lab: Lab, rule: str) -> Iterator[None]:
    """The overlay itself drops what this rule says, as flow rules of ZeroTier's do."""
    hub = lab._hub
    chain = f"chain every {{ type filter hook forward priority 0; {rule}; }}"
    hub.run("nft", f"table bridge lossy {{ {chain}; }}")
    try:
        yield
    finally:
        hub.run("nft", "delete table bridge lossy")


def test_where_all_is_well_every_check_says_so_and_a_sentence_sums_it_up(
    home: Lab, host: Host
) -> None:
    *lines, empty, verdict = host.agent("doctor", "web1", timeout=90).stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}, lines
    assert (empty, verdict) == ("", "web1 is reached, as far as this host can see.")
    assert set(outcomes(home.edge.daemon).values()) == {"ok"}


def test_a_readable_credential(host: Host) -> None:
    credential = host.agent.state / "credential.json"
    with done(host, f"chmod 644 {credential}", f"chmod 600 {credential}"):
        assert failed(host.agent) == {"enrolment"}


def test_no_hook(host: Host) -> None:
    hook = "/etc/libvirt/hooks/qemu.d/zthook"
    with done(host, f"mv {hook} /tmp/kept", f"mv /tmp/kept {hook}"):
        assert failed(host.agent) == {"hook"}
    assert outcomes(host.agent)["hook"] == "warn", "it came back after libvirtd had looked"


def test_a_libvirtd_that_hangs(host: Host) -> None:
    host.libvirtd.hang()
    try:
        assert failed(host.agent) == {"libvirt"}
    finally:
        host.libvirtd.resume()


def test_an_agent_that_hangs(host: Host) -> None:
    with hung(host.agent):
        assert failed(host.agent) == {"agent"}


def test_an_edge_that_hangs(home: Lab, host: Host) -> None:
    with hung(home.edge.daemon):
        assert failed(host.agent) == {"edge"}


def test_no_overlay_device(host: Host) -> None:
    with done(host, "ip link set overlay0 down", "ip link set overlay0 up"):
        assert failed(host.agent) == {"overlay"}


def test_an_overlay_that_carries_nothing(home: Lab, host: Host) -> None:
    home.cut_overlay("home1")
    try:
        assert failed(host.agent) == {"path"}
    finally:
        home.mend_overlay("home1")


def test_an_overlay_that_loses_large_packets(home: Lab, host: Host) -> None:
    with on_the_overlay(home, NO_LARGE_PINGS):
        assert failed(host.agent) == {"packet size"}


def test_flow_rules_that_drop_what_is_no_members(home: Lab, host: Host) -> None:
    host.agent.wait_state("web1", "active")
    with on_the_overlay(home, FLOW_RULES):
        assert failed(host.agent) == {"flow rules"}


def test_what_is_broken_in_the_hosts_kernel_while_nobody_repairs_it(host: Host) -> None:
    with killed(host.agent):
        break_more(
            host,
            host.agent,
            {
                "rp_filter": "echo 1 >/proc/sys/net/ipv4/conf/overlay0/rp_filter",
                "forwarding": "echo 0 >/proc/sys/net/ipv4/ip_forward",
                "firewalls": OUR_WAY_THROUGH,
                "way back": "ip rule del pref 12300",
                "our table": "nft flush chain inet zthook_host forward",
            },
        )
    host.agent.wait_state("web1", "active")


def test_a_guest_that_does_not_answer(host: Host, web1: StandIn) -> None:
    with done(web1.body, "ip link set eth0 down", "ip link set eth0 up"):
        assert failed(host.agent, "web1") == {"answer"}
    web1.renumber(f"{web1.address}/24", "192.168.122.1")


def test_a_guest_that_does_not_run_and_then_waits_for_its_address(host: Host) -> None:
    second = host.stand_in("second", annotation=publish(address(PUBLIC)))
    assert failed(host.agent, "second") == {"guest"}
    boot(second)
    host.agent.wait_state("second", "conflict")
    done = host.agent("doctor", "second", check=False, timeout=90)
    lines = done.stdout.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("fail")} == {"mapping"}
    assert lines[-1].startswith(
        f"second is not reached as it should be: mapping: {PUBLIC} is conflict"
    )


def test_what_is_broken_in_the_edges_kernel_while_nobody_repairs_it(home: Lab, host: Host) -> None:
    with killed(home.edge.daemon):
        break_more(
            home.edge,
            home.edge.daemon,
            {
                "settings": "echo 0 >/proc/sys/net/ipv4/conf/uplink0/forwarding",
                "firewalls": f"nft '{OTHERS_TABLE}'",
                "kernel": "ip route flush proto 123",
            },
        )
    home.edge.run("nft", "delete table ip mine")


def test_a_readable_store(home: Lab, host: Host) -> None:
    store = home.edge.daemon.state / "edge.sqlite"
    with done(home.edge, f"chmod 644 {store}", f"chmod 600 {store}"):
        assert failed(home.edge.daemon) == {"store"}


def test_another_at_the_apis_port(home: Lab, host: Host) -> None:
    other = home.edge.start("other", "python3", "-u", "-c", OTHER_SERVER)
    try:
        other.wait_logged("up")
        assert failed(home.edge.daemon) == {"API"}
    finally:
        other.kill()


def test_an_address_that_another_machine_has(home: Lab, host: Host) -> None:
    neighbour = home.add_neighbour()
    neighbour.ip(f"addr add {PUBLIC}/32 dev uplink0")
    assert failed(home.edge.daemon) == {"arrival"}
    neighbour.ip(f"addr del {PUBLIC}/32 dev uplink0")


def test_no_overlay_device_at_the_edge(home: Lab, host: Host) -> None:
    with done(home.edge, "ip link set overlay0 down", "ip link set overlay0 up"):
        assert failed(home.edge.daemon) == {"overlay"}

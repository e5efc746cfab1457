"""A guest's life, and what its public address does meanwhile: real libvirt, guests, packets."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import forget
from tests.end_to_end.seen import Stopwatch
from tests.end_to_end.traces import edge_rows, host_table, traces, wait_gone
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Page, Unreached
from tests.lab.topology import CLIENT

pytestmark = pytest.mark.lab

PUBLIC = "203.0.113.10"
SECOND = "203.0.113.11"


@pytest.fixture(scope="module")
def host(home: Lab) -> Host:
    return home["home1"]


@pytest.fixture(scope="module")
def web(host: Host) -> Iterator[Guest]:
    """A guest whose XML names PUBLIC; it may be in any state."""
    guest = host.define_guest("web1", annotation=annotation(PUBLIC))
    yield guest
    forget(guest)


@pytest.fixture
def running(web: Guest, host: Host) -> Guest:
    """It runs, serves, and has PUBLIC."""
    if web.state() != "running":
        web.boot()
    host.agent.wait_state("web1", "active")
    return web


def reached(lab: Lab, public: str = PUBLIC, name: str = "web1") -> Page:
    """The page that a client of the internet has there, at once."""
    page = lab.client.page(public)
    assert page.name == name
    return page


def silent(lab: Lab, public: str = PUBLIC) -> None:
    """Nothing answers there, not even with a refusal."""
    with pytest.raises(Unreached) as caught:
        lab.client.page(public, timeout=1)
    assert caught.value.kind in {"timeout", "unreachable"}


def wait_private(host: Host, private: str, deadline_seconds: float = 20) -> dict[str, Any]:
    """The mapping of PUBLIC, once it is active toward ``private``."""
    wanted = (PUBLIC, private, "active")

    def found() -> list[dict[str, Any]]:
        rows = host.agent.mappings("web1")
        return [row for row in rows if (row["public"], row["private"], row["state"]) == wanted]

    [row] = wait_until(
        found,
        deadline_seconds,
        lambda: f"{PUBLIC} leads to {private}; it is {host.agent.mappings('web1')}",
    )
    return row


# It starts.


def test_a_start_gives_the_guest_its_address_and_it_sees_the_client(
    home: Lab, host: Host, running: Guest
) -> None:
    page = reached(home)
    assert page.saw == CLIENT
    mine = host.agent.mappings("web1")
    assert [(row["private"], row["source"], row["client"]) for row in mine] == [
        (running.address, "DHCP lease", "keep")
    ]


def test_nothing_else_is_held(home: Lab, running: Guest) -> None:
    held = [(row["public"], row["guest"], row["state"]) for row in edge_rows(home)]
    assert held == [(PUBLIC, "web1", "active")]
    pools = home.edge.daemon.json("edge", "pool", "list")
    assert [(pool["used"], pool["free"]) for pool in pools] == [(1, 4)]
    silent(home, SECOND)


# It runs.


def test_suspended_it_keeps_its_address_and_resumed_it_serves(
    home: Lab, host: Host, running: Guest
) -> None:
    before = edge_rows(home)
    running.virsh("suspend")
    wait_until(
        lambda: [row["guest_state"] for row in host.agent.mappings("web1")] == ["paused"],
        10,
        lambda: f"status says paused; it says {host.agent.mappings('web1')}",
    )
    assert [row["state"] for row in host.agent.mappings("web1")] == ["active"]
    running.virsh("resume")
    reached(home)
    assert [(row["epoch"], row["since"]) for row in edge_rows(home)] == [
        (row["epoch"], row["since"]) for row in before
    ]


METRICS = '# listen = "127.0.0.1:9753"'
"""As it stands in the files that zthook writes: off."""


def serve_metrics(home: Lab, host: Host) -> None:
    """On the overlay, at edge and host."""
    for file in (home.edge.daemon.config / "edge.toml", host.agent.config / "host.toml"):
        before = file.read_text()
        assert METRICS in before
        file.write_text(before.replace(METRICS, 'listen = "overlay:9753"'))
    home.edge.daemon.process.send(signal.SIGHUP)
    host.agent.restart()


def carried(asker: Machine, address: str, labels: str) -> dict[str, float]:
    """Bytes toward a guest and from it, as Prometheus hears of them at ``address``."""
    try:
        page = asker.http(address, 9753, path="/metrics")
    except Unreached:
        return {}
    found = re.findall(rf'_traffic_bytes_total{{direction="(in|out)",{labels}}} (\S+)', page)
    return {direction: float(count) for direction, count in found}


def test_its_bytes_are_in_the_metrics_of_edge_and_agent(
    home: Lab, host: Host, running: Guest
) -> None:
    def seen() -> tuple[dict[str, float], dict[str, float]]:
        at_edge = f'guest="web1",host="home1",public="{PUBLIC}"'
        at_host = f'guest="web1",private="{running.address}"'
        return (
            carried(host, home.edge.overlay_address, at_edge),
            carried(home.edge, host.overlay_address, at_host),
        )

    def more() -> bool:
        """Both saw the same packets."""
        edge, agent = (
            {way: after[way] - before[way] for way in after}
            for after, before in zip(seen(), (edge_before, host_before), strict=True)
        )
        return edge == agent and min(edge["in"], edge["out"]) > sent

    serve_metrics(home, host)
    edge_before, host_before = wait_until(
        lambda: found if all(found := seen()) else None, 20, lambda: f"metrics are served: {seen()}"
    )
    with home.client.stream(PUBLIC) as transfer:
        transfer.wait_moves()
        sent = transfer.stop()
    wait_until(more, 10, lambda: f"{sent} bytes more than {edge_before, host_before} in {seen()}")


def test_a_second_address_assigned_while_it_runs_counts_at_once(
    home: Lab, host: Host, running: Guest
) -> None:
    with home.client.stream(PUBLIC) as transfer:
        transfer.wait_moves()
        said = host.agent("assign", "web1", SECOND).stdout
        assert "is active" in said
        assert {reached(home).saw, reached(home, SECOND).saw} == {CLIENT}
        transfer.wait_moves()
        assert transfer.running, "an address beside it disturbs no connection"
    assert SECOND in running.virsh("dumpxml", "--inactive").stdout


def test_an_address_unassigned_while_it_runs_is_gone_at_once_and_its_connections_end(
    home: Lab, host: Host, running: Guest
) -> None:
    host.agent("assign", "web1", SECOND)
    with home.client.stream(SECOND, timeout=3) as transfer:
        transfer.wait_moves()
        host.agent("unassign", "web1", SECOND)
        assert edge_rows(home, SECOND) == []
        assert transfer.wait_broken() in {"timeout", "reset"}
    silent(home, SECOND)
    reached(home)
    assert SECOND not in running.virsh("dumpxml").stdout
    assert SECOND not in running.virsh("dumpxml", "--inactive").stdout


def test_an_edited_definition_counts_from_the_next_start_or_with_zthook_apply(
    home: Lab, host: Host, running: Guest
) -> None:
    before = running.domain
    try:
        running.virsh("metadata", "--config", *metadata(SECOND))
        wait_until(
            lambda: later(host) == [SECOND],
            10,
            lambda: f"the next start's address is shown; it is {host.agent.mappings('web1')}",
        )
        assert now(host) == [(PUBLIC, "active")]
        assert "is active" in host.agent("apply", "web1").stdout
        assert (now(host), later(host)) == ([(SECOND, "active")], [])
        reached(home, SECOND)
        silent(home)
    finally:
        running.define(before)
        host.agent("apply", "web1")
    reached(home)


def test_metadata_written_live_counts_at_once_without_any_zthook_command(
    home: Lab, host: Host, running: Guest
) -> None:
    try:
        running.virsh("metadata", "--live", *metadata(SECOND))
        host.agent.wait_state("web1", "active")
        wait_until(
            lambda: now(host) == [(SECOND, "active")],
            10,
            lambda: f"the new address counts; it is {host.agent.mappings('web1')}",
        )
        reached(home, SECOND)
        running.virsh("metadata", "--live", "--uri", "urn:zthook:1", "--remove")
        wait_gone(home, host, SECOND, running.address)
    finally:
        host.agent("apply", "web1")
    reached(home)


def later(host: Host) -> list[str]:
    """The addresses that count from the next start of web1 on."""
    rows = host.agent.mappings("web1")
    return [row["public"] for row in rows if "next start: " in row["reason"]]


def now(host: Host) -> list[tuple[str, str]]:
    """The addresses that count now, and their states."""
    coming = later(host)
    rows = host.agent.mappings("web1")
    return [(row["public"], row["state"]) for row in rows if row["public"] not in coming]


def metadata(public: str) -> tuple[str, ...]:
    """The words of `virsh metadata` that make it ask for ``public`` alone."""
    element = f'<publish><address public="{public}"/></publish>'
    return "--uri", "urn:zthook:1", "--key", "zthook", "--set", element


# Its own address changes.


def test_a_new_dhcp_lease_is_followed_and_the_old_address_let_go(
    home: Lab, host: Host, running: Guest
) -> None:
    old, new = running.address, "192.168.122.60"
    with Leased(host, running.mac, new):
        running.ask_dhcp(new)
        watch = Stopwatch()
        row = wait_private(host, new)
        watch.tell("followed after the guest served there")
    assert row["source"] == "DHCP lease"
    reached(home)
    assert traces(home, host, "", old) == []


def test_an_address_named_in_the_annotation_is_taken_as_it_is(
    home: Lab, host: Host, running: Guest
) -> None:
    try:
        said = host.agent("assign", "web1", PUBLIC, "--private", running.address).stdout
        assert f"{running.address} is active" in said
        assert wait_private(host, running.address)["source"] == "annotation"
        reached(home)
    finally:
        host.agent("assign", "web1", PUBLIC)


def test_an_address_of_the_host_or_outside_its_prefixes_is_refused(
    host: Host, running: Guest
) -> None:
    try:
        for private, why in (
            ("192.168.122.1", "is an address of this host"),
            (host.overlay_address, "is an address of this host"),
            ("198.51.100.20", "outside the private prefixes of its host"),
        ):
            done = host.agent("assign", "web1", PUBLIC, "--private", private, check=False)
            assert (done.returncode, why in done.stdout) == (1, True), done.stdout
            assert why in host.agent("status", "web1", check=False).stdout
    finally:
        host.agent("assign", "web1", PUBLIC)


# It sleeps, reboots and stops.


def test_saved_it_has_no_address_and_restored_it_has_it_again(
    home: Lab, host: Host, running: Guest, tmp_path: Path
) -> None:
    """virsh managedsave does the same: see test_required."""
    private, file = running.address, str(tmp_path / "web1.saved")
    with home.client.stream(PUBLIC, timeout=5) as transfer:
        transfer.wait_moves()
        running.virsh("save", file)
        wait_gone(home, host, PUBLIC, private)
        silent(home)
        assert transfer.wait_broken() in {"timeout", "reset"}
    host.virsh("restore", file)
    watch = Stopwatch()
    wait_private(host, private)
    running.wait_reachable()  # its own network takes seconds to be back
    reached(home)
    watch.tell("back after virsh restore")


def test_a_reboot_keeps_the_address(home: Lab, host: Host, running: Guest) -> None:
    before = [(row["public"], row["epoch"]) for row in edge_rows(home)]
    running.reboot()
    wait_until(
        lambda: not home.client.reaches(PUBLIC, timeout=0.3), 30, "the guest is seen to go down"
    )
    assert [(row["public"], row["epoch"]) for row in edge_rows(home)] == before
    running.wait_ready()
    wait_private(host, running.address)
    reached(home)
    assert [(row["public"], row["epoch"]) for row in edge_rows(home)] == before


def test_shut_down_it_has_no_address_and_its_connections_end(
    home: Lab, host: Host, running: Guest
) -> None:
    with_its_connections_let_go(home, host, running, running.shutdown)


def test_a_static_entry_of_the_network_names_the_address_before_the_guest_asks_for_it(
    home: Lab, host: Host, web: Guest
) -> None:
    static = "192.168.122.50"
    if web.state() != "shut off":
        web.destroy()
    host.fix_lease(web.mac, static)
    try:
        web.start()
        row = wait_private(host, static)
        assert row["source"] == "static entry"
        assert web.wait_ready() == static
        reached(home)
    finally:
        entry = f"<host mac='{web.mac}'/>"
        host.virsh("net-update", "default", "delete", "ip-dhcp-host", entry, "--live", "--config")


def test_destroyed_it_has_no_address_and_its_connections_end(
    home: Lab, host: Host, running: Guest
) -> None:
    with_its_connections_let_go(home, host, running, running.destroy)


def with_its_connections_let_go(
    home: Lab, host: Host, running: Guest, stop: Callable[[], None]
) -> None:
    """Stop it: its connections end, and nothing of its mapping is left anywhere."""
    private = running.address
    with home.client.stream(PUBLIC, timeout=5) as transfer:
        transfer.wait_moves()
        stop()
        watch = Stopwatch()
        wait_gone(home, host, PUBLIC, private)
        watch.tell("gone after virsh returned")
        assert transfer.wait_broken() in {"timeout", "reset"}
    silent(home)
    assert host.agent.mappings("web1") == []
    assert host_table(host) == "", "nothing of ours stays in the kernel of a host without mappings"


# What it asks for can not be had: it starts all the same.

WRONG = annotation("203.0.113.300", colour="red")
ADDRESSES = {
    "203.0.113.99": ("", "is outside every pool of home1 (pools: hk)"),
    "203.0.113.12": (' interface="52:54:00:00:00:01"', "no interface has the MAC"),
    "2001:db8::10": ("", "has no IPv6 prefix"),
}
"""By address: its other attributes, and why it is refused."""


def elements(of: dict[str, tuple[str, str]], beside: str = "") -> str:
    """An annotation with all of them, and what else is given."""
    rows = [f'<zthook:address public="{public}"{more}/>' for public, (more, _) in of.items()]
    return (
        '<zthook:publish xmlns:zthook="urn:zthook:1">' + "".join(rows) + beside
    ) + "</zthook:publish>"


def test_of_a_wrong_annotation_every_problem_is_named_with_its_line_and_the_guest_starts(
    home: Lab, host: Host
) -> None:
    guest = host.define_guest("odd1", annotation=WRONG)
    try:
        guest.virsh("start", "--paused")
        reason = host.agent.wait_state("odd1", "refused")["reason"]
        shown = host.agent("status", "odd1", check=False)
        print(shown.stdout)
        for wrong in ('"203.0.113.300" is not an address', 'no attribute "colour"'):
            problem = next(line for line in reason.split("line ") if wrong in line)
            number = int(problem.split(":")[0])
            assert "address" in guest.virsh("dumpxml").stdout.splitlines()[number - 1]
        assert (shown.returncode, "refused" in shown.stdout) == (1, True)
        assert edge_rows(home, "203.0.113.300") == []
    finally:
        forget(guest)


def test_each_address_that_can_not_be_had_is_refused_alone_and_the_guest_starts(
    home: Lab, host: Host
) -> None:
    beside = '<zthook:address public="203.0.113.14"/>'
    guest = host.define_guest("odd2", annotation=elements(ADDRESSES, beside))
    try:
        guest.virsh("start", "--paused")
        host.agent.wait_state("odd2", "pending")
        print(host.agent("status", "odd2", check=False).stdout)
        print(home.edge.daemon("edge", "mappings").stdout)
        rows = {row["public"]: row for row in host.agent.mappings("odd2")}
        expected = {public: why for public, (_, why) in ADDRESSES.items()}
        expected |= {"203.0.113.14": "no DHCP lease yet"}
        assert set(rows) == set(expected)
        for public, why in expected.items():
            assert why in rows[public]["reason"]
        states = {public: row["state"] for public, row in rows.items()}
        assert states.pop("203.0.113.14") == "pending", "the one that can be had waits for a lease"
        assert set(states.values()) == {"refused"}
        at_the_edge = {row["public"]: row["state"] for row in edge_rows(home)}
        assert at_the_edge["203.0.113.99"] == "refused"
        assert at_the_edge["203.0.113.14"] == "pending"
    finally:
        forget(guest)


class Leased:
    """dnsmasq gives this MAC this address, while libvirt's network says nothing of it."""

    def __init__(self, host: Host, mac: str, address: str) -> None:
        self._host, self._line = host, f"{mac},{address}\n"
        self._file = host.place("/var/lib/libvirt") / "dnsmasq" / "default.hostsfile"

    def __enter__(self) -> None:
        self._before = self._file.read_text()
        self._write(self._before + self._line)

    def __exit__(self, *_: object) -> None:
        self._write(self._before)

    def _write(self, text: str) -> None:
        self._file.write_text(text)
        pid = (self._host.place("/run/libvirt") / "network" / "default.pid").read_text()
        os.kill(int(pid), signal.SIGHUP)

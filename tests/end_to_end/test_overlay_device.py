"""The overlay goes and comes back or hands packets on out of order, a host reboots: all goes on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.kernels import edge_kernel, lines
from tests.end_to_end.mapped import boot, seen_by, traces_of_ours, wait_active
from tests.end_to_end.seen import Stopwatch, wait_answering
from tests.end_to_end.traces import wait_gone
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.domain import address, publish
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.rough import Shares
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT, OVERLAY_DEVICE

pytestmark = pytest.mark.lab

NAT, ROUTED, OUT, OUT_ROUTED = (f"203.0.113.{number}" for number in range(10, 14))
PASSING = "203.0.113.14"
WEB = {NAT: CLIENT, ROUTED: CLIENT}
PROMISED = 2.0
FILE = 1_000_000
"""Bytes, and how many of them pass a second at most while nothing more is to happen."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """All that zthook keeps in a kernel is there: both modes, and both ways out."""
    with Lab(hosts=["home1"]) as lab:
        lab.edge.daemon.init({"four": "203.0.113.10-203.0.113.20"})
        lab.edge.daemon.start()
        enrol(lab, lab["home1"])
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def guests(lab: Lab, host: Host) -> dict[str, StandIn]:
    routed, out = {"mode": "routed"}, {"egress": "public"}
    web = publish(
        address(NAT),
        address(ROUTED, **routed),
    )
    made = [
        host.stand_in("web1", annotation=web),
        host.stand_in("out", annotation=publish(address(OUT, **out))),
        host.stand_in("out-routed", annotation=publish(address(OUT_ROUTED, **routed, **out))),
    ]
    boot(*made)
    wait_active(made[0], *WEB)
    wait_active(made[1], OUT)
    wait_active(made[2], OUT_ROUTED)
    return {guest.name: guest for guest in made}


@pytest.fixture(autouse=True)
def works(lab: Lab, guests: dict[str, StandIn]) -> Iterator[None]:
    """Everything works, before and after."""
    everything_works(lab, guests)
    yield
    everything_works(lab, guests)


def everything_works(lab: Lab, guests: dict[str, StandIn]) -> None:
    for public, client in WEB.items():
        assert seen_by("web1", lab.client, public) == client
    assert guests["out"].fetch(CLIENT).saw == OUT
    assert guests["out-routed"].fetch(CLIENT).saw == OUT_ROUTED
    assert guests["out"].fetch(ROUTED).saw == lab["home1"].home.guests[1].compressed


def in_kernel(lab: Lab) -> set[str]:
    """All that zthook keeps in the edge's and the host's kernels, but for counters."""
    found = set(edge_kernel(lab)) | set(traces_of_ours(lab["home1"]))
    for machine in (lab.edge, lab["home1"]):
        for family in ("-4", "-6"):
            found |= lines(machine, "ip", family, "rule")
            found |= lines(machine, "ip", family, "route", "show", "table", "all", "proto", "123")
        found |= lines(machine, "sh", "-c", SETTINGS)
    return found


SETTINGS = f"""
for family in ipv4 ipv6; do
    for name in forwarding rp_filter accept_ra proxy_ndp; do
        file=/proc/sys/net/$family/conf/{OVERLAY_DEVICE}/$name
        [ ! -e $file ] || echo $file $(cat $file)
    done
done
"""


def wait_back(lab: Lab, before: set[str], seconds: float = 10) -> None:
    """Return once the kernels have what they had."""
    wait_until(
        lambda: in_kernel(lab) == before,
        seconds,
        lambda: f"all is back; this differs: {in_kernel(lab) ^ before}",
    )


@pytest.mark.parametrize("where", ["edge", "home1"])
def test_the_device_returns_and_all_of_ours_with_it_within_two_seconds(
    lab: Lab, host: Host, where: str
) -> None:
    before = in_kernel(lab)
    publics = [NAT, ROUTED]
    with ExitStack() as open_ones:
        streams = [open_ones.enter_context(lab.client.stream(one)) for one in publics]
        for stream in streams:
            stream.wait_moves()
        with lab.without_overlay(lab.edge if where == "edge" else host):
            pass
        watch = Stopwatch()
        wait_back(lab, before)
        assert watch.tell("all is back after") < PROMISED
        for stream in streams:
            stream.wait_moves()
            assert stream.stop()


@pytest.mark.parametrize("what", ["rules", "routes", "neighbours"])
def test_what_others_remove_is_back_within_two_seconds(lab: Lab, host: Host, what: str) -> None:
    before = in_kernel(lab)
    daemons = {lab.edge: lab.edge.daemon, host: host.agent}
    for machine, daemon in daemons.items():
        daemon.hang()  # else it may be back before anybody has seen that it is gone
        machine.run("sh", "-c", REMOVE[what], check=False)
    assert in_kernel(lab) != before
    watch = Stopwatch()
    for daemon in daemons.values():
        daemon.resume()
    wait_back(lab, before)
    # Of a removed neighbour entry the kernel tells nobody: the next full pass finds it.
    assert watch.tell(f"{what} are back after") < (PROMISED if what != "neighbours" else 5.0)


REMOVE = {
    "rules": """
        for family in -4 -6; do
            ip $family rule flush
            ip $family rule add pref 32766 table main
        done
        ip rule add pref 32767 table default
    """,
    "routes": """
        for family in -4 -6; do
            tables=$(ip -o $family route show table all proto 123 |
                sed -n 's/.* table \\([0-9a-z]*\\).*/\\1/p' | sort -u)
            for table in main $tables; do ip $family route flush table $table proto 123; done
        done
    """,
    "neighbours": """
        for family in -4 -6; do
            ip -o $family neigh show proxy | while read -r address rest; do
                ip $family neigh del proxy $address $(echo $rest | grep -o 'dev [^ ]*')
            done
            ip $family neigh flush nud permanent
        done
    """,
}


# It reorders, doubles and loses.


@contextmanager
def rough(lab: Lab) -> Iterator[None]:
    """So it is while inside, and packets really were overtaken and doubled."""
    stretch = lab.roughen("edge", Shares(late=0.2, doubled=0.1, lost=0.02))
    yield
    did = stretch.end()
    print(f"\n  {did}")
    assert min(did["overtaken"], did["doubled"]) > 0


def test_files_come_and_go_whole_over_a_rough_overlay_in_either_mode(lab: Lab) -> None:
    with rough(lab), ExitStack() as open_ones:
        files = [
            open_ones.enter_context(transfer(lab.client, verb, public, FILE, FILE))
            for verb in ("get", "put")
            for public in WEB
        ]
        assert [file.stop() for file in files] == [FILE] * 4


def test_claims_and_withdrawals_come_about_over_a_rough_overlay(lab: Lab, host: Host) -> None:
    guest = host.stand_in("passer", annotation=publish(address(PASSING)))
    with rough(lab):
        for _ in range(2):
            boot(guest)
            wait_answering(lab, PASSING, "passer")
            guest.destroy()
            wait_gone(lab, host, PASSING, guest.address)


def test_a_new_lease_is_followed_in_routed_mode_too(
    lab: Lab, host: Host, guests: dict[str, StandIn]
) -> None:
    guest = guests["out-routed"]
    old, new = guest.address, "192.168.122.60"
    host.fix_lease(guest.mac, new)
    guest.ask_dhcp(new)
    watch = Stopwatch()
    wait_until(lambda: lab.client.reaches(OUT_ROUTED, timeout=0.3), 10, "the lease is followed")
    watch.tell("a new lease is followed after")
    assert seen_by("out-routed", lab.client, OUT_ROUTED) == CLIENT
    assert old not in host.run("nft", "list", "table", "inet", "zthook_host").stdout


def test_after_a_reboot_of_the_host_with_autostart_everything_works_again(
    lab: Lab, host: Host, guests: dict[str, StandIn]
) -> None:
    """The last test of this module: it takes the power away."""
    for guest in guests.values():
        guest.virsh("autostart")
    host.lose_power()
    host.libvirtd.start()
    host.agent.start()
    for guest in guests.values():
        guest.wait_ready()
    watch = Stopwatch()
    wait_active(guests["web1"], *WEB)
    watch.tell("after a reboot all of web1's are active")
    wait_active(guests["out"], OUT)
    wait_active(guests["out-routed"], OUT_ROUTED)

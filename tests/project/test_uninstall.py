"""What `install.sh uninstall` takes out of the kernel, in a namespace."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel_host.inside import Inside
from tests.lab.namespace import Namespace
from zthook.kernel.firewalls.keeper import Firewalls, Opening
from zthook.kernel.firewalls.passage import EDGE, HOST, Of, Passage
from zthook.kernel.nft import Nft

pytestmark = pytest.mark.netns
UNINSTALL = Path(__file__).parents[2] / "install" / "uninstall.sh"
FUNCTION = f". {UNINSTALL}; remove_kernel_state"
OTHERS = "-A FORWARD -i e0 -m comment --comment zthooks -j ACCEPT"
IPTABLES = ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")
FIREWALL = """
table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        iifname "e0" accept comment "zthook's neighbour"
    }
}
"""


@pytest.fixture
def machine() -> Iterator[Namespace]:
    made = Namespace.create(f"ztuninstall-{os.getpid()}")
    # Its link-local address would come a second later, and look like something left behind.
    made.sysctl(ipv6__conf__default__accept_dad=0)
    made.ip(
        "link add e0 type bridge",
        "link set e0 addrgenmode none",  # no address of its own that comes when it likes
        "link set e0 up",
        "addr add 203.0.113.2/24 dev e0",
    )
    yield made
    made.remove()


def traces(machine: Namespace) -> str:
    shown = (
        "ip rule",
        "ip -6 rule",
        "ip route show table all",
        "ip -6 route show table all",
        "ip neigh show proxy",
        "ip -6 neigh show proxy",
        "ip neigh show nud permanent",
        "ip -6 neigh show nud permanent",
        "nft list ruleset",
        "iptables-nft -S",
        "iptables-legacy -S",
        "ip6tables-nft -S",
        "ip6tables-legacy -S",
    )
    return "\n".join(machine.run(*one.split()).stdout for one in shown)


def test_all_that_is_ours_goes_and_nothing_else(machine: Namespace) -> None:
    machine.ip(
        "rule add fwmark 4/4 table 77 pref 12300",
        "route add 192.168.9.0/24 dev e0",
        "neigh add proxy 203.0.113.20 dev e0",
    )
    for iptables in IPTABLES:
        machine.run(iptables, *OTHERS.split())
        machine.run(iptables, "-P", "FORWARD", "DROP")
    machine.run("nft", "-f", "-", stdin=FIREWALL)
    before = traces(machine)
    machine.ip(
        "rule add fwmark 8/8 table 12300 pref 12300 protocol 123",
        "route add default dev e0 table 12300 proto 123",
        "route add 192.168.122.50 dev e0 proto 123",
        "neigh add proxy 203.0.113.10 dev e0 protocol 123",
    )
    for six in (
        "rule add fwmark 8/8 table 12300 pref 12300 protocol 123",
        "route add default dev e0 table 12300 proto 123",
        "neigh add proxy 2001:db8::10 dev e0 protocol 123",
        "neigh add fe80::1 lladdr 02:00:00:00:00:01 dev e0 nud permanent protocol 123",
    ):
        machine.run("ip", "-6", *six.split())
    open_firewalls(machine)
    for owner in (HOST, EDGE):
        assert traces(machine).count(f"--comment {owner} ") == len(IPTABLES)
        assert traces(machine).count(f'comment "{owner}: ') == 1
    for table in ("zthook", "zthook_host"):
        machine.run("nft", "add", "table", "inet", table)
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    assert traces(machine) == before


def test_the_local_table_is_found_after_a_crash_while_ours_was_put_before_it(
    machine: Namespace,
) -> None:
    before = machine.run("ip", "rule").stdout
    machine.ip(
        "rule add pref 1 table local protocol 123",
        "rule del pref 0",
        "rule add pref 0 table 12310 protocol 123",
    )
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    assert machine.run("ip", "rule").stdout == before


def open_firewalls(machine: Namespace) -> None:
    """As a host and an edge on one machine do."""
    inside = Inside(machine)
    for owner in (HOST, EDGE):
        passage = Passage(owner, Of.PACKET, 0x10000000)
        nft = inside(Nft)
        inside(Firewalls(nft, owner).keep, Opening(passage, frozenset({4, 6})))
        inside(nft.close)
    inside.close()


@pytest.mark.parametrize("closed", ["", "elements = { ipv6 }"], ids=["a router", "none before"])
def test_what_was_no_router_is_none(machine: Namespace, closed: str) -> None:
    machine.sysctl(ipv6__conf__all__forwarding=1)
    table = f"table inet zthook {{ set closed6 {{ type nf_proto; {closed}; }}; }}"
    machine.run("nft", "-f", "-", stdin=table)
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    forwarding = machine.run("cat", "/proc/sys/net/ipv6/conf/all/forwarding").stdout.strip()
    assert forwarding == ("0" if closed else "1")


def test_where_nothing_is_ours_nothing_fails(machine: Namespace) -> None:
    before = traces(machine)
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    assert traces(machine) == before

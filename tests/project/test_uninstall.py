"""What `install.sh uninstall` takes out of the kernel, in a namespace."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.namespace import Namespace

pytestmark = pytest.mark.netns
INSTALLER = Path(__file__).parents[2] / "install.sh"
FUNCTION = f"eval \"$(sed -n '/^remove_kernel_state()/,/^}}/p' {INSTALLER})\"; remove_kernel_state"
OTHERS = "-A LIBVIRT_FWI -i e0 -m comment --comment zthooks -j ACCEPT"
OURS = "-o e0 -m connmark --mark 0x8000000/0xc000000 -m comment --comment zthook -j ACCEPT"


@pytest.fixture
def machine() -> Iterator[Namespace]:
    made = Namespace.create(f"ztuninstall-{os.getpid()}")
    made.ip(
        "link add e0 type bridge",
        "link set e0 up",
        "addr add 203.0.113.2/24 dev e0",
    )
    yield made
    made.remove()


def traces(machine: Namespace) -> str:
    shown = (
        "ip rule",
        "ip route show table all",
        "ip neigh show proxy",
        "nft list tables",
        "iptables -S",
    )
    return "\n".join(machine.run(*one.split()).stdout for one in shown)


def test_all_that_is_ours_goes_and_nothing_else(machine: Namespace) -> None:
    machine.ip(
        "rule add fwmark 4/4 table 77 pref 12300",
        "route add 192.168.9.0/24 dev e0",
        "neigh add proxy 203.0.113.20 dev e0",
    )
    machine.run("sh", "-ec", "iptables -N LIBVIRT_FWI; iptables -N LIBVIRT_FWO")
    machine.run("iptables", *OTHERS.split())
    before = traces(machine)
    machine.ip(
        "rule add fwmark 8/8 table 12300 pref 12300 protocol 123",
        "route add default dev e0 table 12300 proto 123",
        "route add 192.168.122.50 dev e0 proto 123",
        "neigh add proxy 203.0.113.10 dev e0 protocol 123",
    )
    for chain in ("LIBVIRT_FWI", "LIBVIRT_FWO"):
        machine.run("iptables", "-I", chain, *OURS.split())
    for table in ("zthook", "zthook_host"):
        machine.run("nft", "add", "table", "inet", table)
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    assert traces(machine) == before


def test_where_nothing_is_ours_nothing_fails(machine: Namespace) -> None:
    before = traces(machine)
    machine.run("bash", "-euo", "pipefail", "-c", FUNCTION)
    assert traces(machine) == before

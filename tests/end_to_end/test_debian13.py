"""Debian 13: libvirt 11.3 with both of its firewall backends, and firewalld on top.

In the order of a machine's life: the backend that Debian has by default, the other one after an
upgrade of the settings, then a firewall that is installed later. The agent uses Debian 13's nft,
iptables and busctl.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import HOOK, serve_edge
from tests.end_to_end.seen import Stopwatch, answering, wait_answering
from tests.lab.commands import wait_until
from tests.lab.debian13 import Debian13, Firewalld, Libvirtd13
from tests.lab.domain import annotation
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn

pytestmark = [pytest.mark.lab, pytest.mark.long]  # its root alone takes a minute to make

UNINSTALL = Path(__file__).parents[2] / "install" / "uninstall.sh"
PUBLIC = "203.0.113.10"
PRIVATE, GATEWAY = "192.168.122.50", "192.168.122.1"
BACK = 2.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(["home1"]) as lab:
        serve_edge(lab)
        yield lab


@pytest.fixture(scope="module")
def debian(lab: Lab) -> Debian13:
    return Debian13(lab["home1"])


@pytest.fixture(scope="module")
def bus(debian: Debian13) -> Firewalld:
    return Firewalld(debian)


@pytest.fixture(scope="module")
def libvirtd(debian: Debian13, bus: Firewalld, lab: Lab) -> Libvirtd13:
    host = lab["home1"]
    host.libvirtd = libvirtd = Libvirtd13(debian, host.home.guests)
    host.install_hook(HOOK)
    libvirtd.start()
    return libvirtd


@pytest.fixture(scope="module")
def host(lab: Lab, debian: Debian13, libvirtd: Libvirtd13) -> Host:
    host = lab["home1"]
    host.agent.join(lab.edge.daemon.add_host(host.name))
    host.agent.start(env={"PATH": f"{debian.tools}:{os.environ['PATH']}"})
    return host


@pytest.fixture(scope="module")
def web1(host: Host) -> StandIn:
    guest = host.stand_in(
        "web1",
        annotation=annotation(PUBLIC, private=PRIVATE),
        address=f"{PRIVATE}/24",
        gateway=GATEWAY,
    )
    guest.boot()
    return guest


@pytest.fixture(scope="module")
def firewalld(bus: Firewalld, web1: StandIn) -> Firewalld:
    bus.start()
    return bus


def restart_network(host: Host, web1: StandIn) -> None:
    """The guest is put on the new bridge, as libvirt does it when it starts itself."""
    host.virsh("net-destroy", "default")
    host.virsh("net-start", "default")
    web1.wait_ready()


REBUILDS: dict[str, Callable[[Host, StandIn], None]] = {
    "net-destroy and net-start": restart_network,
    "a restart of libvirtd": lambda host, _: host.libvirtd.restart(),
}


def rebuild(what: str, host: Host, web1: StandIn, lab: Lab) -> None:
    """After it the guest answers within two seconds."""
    wait_answering(lab, PUBLIC, "web1")
    REBUILDS[what](host, web1)
    done = Stopwatch()
    wait_answering(lab, PUBLIC, "web1")
    assert done.tell(f"{what} until the guest answers") < BACK


@pytest.mark.parametrize("what", REBUILDS)
def test_with_debians_own_choice_of_iptables(
    lab: Lab, debian: Debian13, host: Host, web1: StandIn, what: str
) -> None:
    rebuild(what, host, web1, lab)
    assert "libvirt_network" not in debian.run("nft", "list", "tables").stdout
    assert "--comment zthook " in debian.run("iptables", "-S", "FORWARD").stdout


@pytest.mark.parametrize("what", REBUILDS)
def test_with_nftables(
    lab: Lab, debian: Debian13, host: Host, libvirtd: Libvirtd13, web1: StandIn, what: str
) -> None:
    if "libvirt_network" not in debian.run("nft", "list", "tables").stdout:
        libvirtd.choose("nftables")
        libvirtd.restart()
    rebuild(what, host, web1, lab)
    chain = debian.run("nft", "list", "chain", "ip", "libvirt_network", "forward").stdout
    assert chain.index("zthook: ") < chain.index("jump guest_input")


def test_through_ufw_and_its_reload(lab: Lab, debian: Debian13, host: Host, web1: StandIn) -> None:
    debian.run("ufw", "--force", "enable")
    try:
        wait_answering(lab, PUBLIC, "web1", BACK)
        debian.run("ufw", "reload")
        done = Stopwatch()
        wait_answering(lab, PUBLIC, "web1")
        assert done.tell("a reload of ufw until the guest answers") < BACK
    finally:
        debian.run("ufw", "disable")


def test_firewalld_is_asked_in_its_own_words(lab: Lab, web1: StandIn, firewalld: Firewalld) -> None:
    wait_answering(lab, PUBLIC, "web1")
    rules = firewalld("--policy", "zthook", "--list-rich-rules").stdout
    assert f'destination address="{PRIVATE}/32" accept' in rules
    assert not lab.client.reaches("203.0.113.11")


def test_after_a_reload_of_firewalld_it_is_asked_again(
    lab: Lab, web1: StandIn, firewalld: Firewalld
) -> None:
    wait_answering(lab, PUBLIC, "web1")
    firewalld("--reload")
    done = Stopwatch()
    wait_answering(lab, PUBLIC, "web1")
    assert done.tell("a reload of firewalld until the guest answers") < BACK


def test_a_restarted_firewalld_too(lab: Lab, web1: StandIn, firewalld: Firewalld) -> None:
    wait_answering(lab, PUBLIC, "web1")
    firewalld.process.stop()
    firewalld.start()
    done = Stopwatch()
    wait_answering(lab, PUBLIC, "web1")
    assert done.tell("a restart of firewalld until the guest answers") < BACK


def test_a_killed_firewalld_leaves_its_rules_and_the_guest_answers(
    lab: Lab, host: Host, web1: StandIn, firewalld: Firewalld
) -> None:
    wait_answering(lab, PUBLIC, "web1")
    firewalld.process.kill()
    assert answering(lab, PUBLIC) == "web1"
    firewalld.start()
    wait_answering(lab, PUBLIC, "web1")


def test_where_its_owner_lets_others_change_its_table_ours_is_one_rule(
    lab: Lab, debian: Debian13, web1: StandIn, firewalld: Firewalld
) -> None:
    """As it is in Debian 12."""
    settings = "/etc/firewalld/firewalld.conf"
    debian.run("sed", "-i", "s/^NftablesTableOwner=.*/NftablesTableOwner=no/", settings)
    firewalld.process.stop()
    firewalld.start()
    wait_answering(lab, PUBLIC, "web1", 5)
    chain = debian.run("nft", "list", "chain", "inet", "firewalld", "filter_FORWARD").stdout
    assert chain.index("zthook: ") < chain.index("reject with icmpx")
    firewalld("--reload")
    done = Stopwatch()
    wait_answering(lab, PUBLIC, "web1")
    assert done.tell("a reload of firewalld until our rule is in its table") < BACK
    debian.run("sed", "-i", "s/^NftablesTableOwner=.*/NftablesTableOwner=yes/", settings)
    firewalld.process.stop()
    firewalld.start()


def test_what_firewalld_asks_no_policy_about_is_said_with_what_to_do(
    lab: Lab, host: Host, firewalld: Firewalld
) -> None:
    """A guest on the home LAN's bridge, which is in no zone by name; nor is the overlay."""
    host.bridge_line()
    guest = host.stand_in(
        "lan",
        annotation=annotation("203.0.113.11", private=str(host.home.lan[50])),
        address=f"{host.home.lan[50]}/24",
        gateway=str(host.home.router),
        bridge="br0",
    )
    guest.boot()
    host.agent.process.wait_logged("--add-interface=br0, and --reload")
    assert answering(lab, "203.0.113.11") == ""
    firewalld("--zone=public", "--add-interface=br0")
    wait_answering(lab, "203.0.113.11", "lan", 5)
    guest.destroy()


def ours(debian: Debian13) -> list[str]:
    """Whatever names us in any firewall."""
    listed = ("iptables -S", "ip6tables -S", "nft list ruleset", "firewall-cmd --list-all-policies")
    lines = "".join(debian.run(*one.split()).stdout for one in listed).splitlines()
    return [line for line in lines if "zthook" in line or PRIVATE in line]


def test_without_the_guest_no_rule_of_ours_is_left_in_any_firewall(
    debian: Debian13, web1: StandIn, firewalld: Firewalld
) -> None:
    """firewalld's policy stays, and has none either."""
    web1.destroy()

    def left() -> list[str]:
        policy = ("policy_zthook", "zthook (active)")
        return [line for line in ours(debian) if not any(one in line for one in policy)]

    wait_until(lambda: not left(), 10, lambda: f"nothing is left, not {left()}")
    assert ours(debian)


def test_uninstalling_takes_all_out_of_the_firewalls(
    lab: Lab, debian: Debian13, host: Host, web1: StandIn, firewalld: Firewalld
) -> None:
    """The last test of this module."""
    web1.boot()
    wait_answering(lab, PUBLIC, "web1")
    host.agent.kill()
    script = f"{UNINSTALL.read_text()}\nremove_kernel_state"
    debian.run("bash", "-euo", "pipefail", "-c", script)
    assert ours(debian) == []
    assert answering(lab, PUBLIC) == ""

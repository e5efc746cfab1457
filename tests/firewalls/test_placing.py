"""Where our rule belongs in a firewall, read from listings of iptables and of nftables."""

from collections.abc import Sequence

import pytest

from tests.firewalls.listings import iptables, nftables
from zthook.kernel.firewalls.chains import Base
from zthook.kernel.firewalls.chains import changes as chain_changes
from zthook.kernel.firewalls.iptables import changes
from zthook.kernel.firewalls.passage import EDGE, HOST, Of, Passage
from zthook.kernel.firewalls.placing import Place, place

PASSAGE = Passage(HOST, Of.CONNECTION, 0x0C000000)
OURS = "-m connmark ! --mark 0x0/0xc000000 -m comment --comment zthook -j ACCEPT"
EDGES = "-m mark ! --mark 0x0/0x10000000 -m comment --comment zthook-edge -j ACCEPT"
LIBVIRT = """
-A FORWARD -j LIBVIRT_FWX
-A FORWARD -j LIBVIRT_FWI
-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
"""
DOCKER = """
-P FORWARD DROP
-N DOCKER-USER
-N DOCKER-FORWARD
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -i docker0 -j ACCEPT
"""


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("", None),
        ("-A FORWARD -i virbr0 -j ACCEPT", None),
        ("-P FORWARD DROP", 0),
        ("-P FORWARD DROP\n-A FORWARD -i virbr0 -j ACCEPT", 1),
        ("-A FORWARD -i virbr0 -j ACCEPT\n-A FORWARD -j REJECT", 1),
        ("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\n-A FORWARD -j REJECT", 0),
        ("-A FORWARD -j NFQUEUE --queue-num 0", 0),
        (LIBVIRT, 1),
        # What the owner says of some sources and ports is no firewall against everything.
        ("-A FORWARD -s 192.0.2.0/24 -j DROP", None),
        ("-A FORWARD ! -s 192.0.2.0/24 -j DROP", 0),
        ("-A FORWARD -m set --match-set bad src -j DROP", None),
        ("-A FORWARD -m set ! --match-set good src -j DROP", 0),
        ("-A FORWARD -m set --match-set guests dst -j DROP", 0),
        ("-A FORWARD -i virbr0 -p tcp -m tcp --dport 25 -j REJECT", None),
        ("-A FORWARD -m conntrack --ctstate INVALID -j DROP", None),
        ("-P FORWARD DROP\n-A FORWARD -s 192.0.2.0/24 -j DROP\n-A FORWARD -j LOG", 2),
        ("-N banned\n-A FORWARD -s 192.0.2.0/24 -g banned\n-A banned -j DROP", None),
        ("-N a\n-N b\n-A FORWARD -i eth0 -j a\n-A a -g b\n-A b -g a\n-A b -j DROP", 0),
        ("-N a\n-A a -j DROP", None),
    ],
)
def test_before_what_could_stop_everything(listing: str, expected: int | None) -> None:
    found = place(iptables(listing), "FORWARD")
    assert found == (None if expected is None else Place("FORWARD", expected))


@pytest.mark.parametrize(
    ("rules", "index"),
    [
        ((), 0),
        (("-j RETURN",), 0),
        (("-s 192.0.2.0/24 -j DROP", "-j RETURN"), 1),
        (("-s 192.0.2.0/24 -j DROP", "-i eth0 -j DROP"), 1),
        (("-i eth0 -j RETURN",), 1),
    ],
)
def test_in_dockers_chain_for_others_where_there_is_one(rules: Sequence[str], index: int) -> None:
    listing = "\n".join([DOCKER, *(f"-A DOCKER-USER {one}" for one in rules)])
    assert place(iptables(listing), "FORWARD") == Place("DOCKER-USER", index)


def test_not_behind_what_stops_before_dockers_chain() -> None:
    assert place(iptables(LIBVIRT + DOCKER), "FORWARD") == Place("FORWARD", 1)
    assert place(iptables(DOCKER + LIBVIRT), "FORWARD") == Place("DOCKER-USER", 0)


@pytest.mark.parametrize(
    ("listing", "orders"),
    [
        (LIBVIRT, [f"-I FORWARD 2 {OURS}"]),
        (f"-A FORWARD {OURS}\n{LIBVIRT}", []),
        (f"{LIBVIRT}\n-A FORWARD {OURS}", [f"-D FORWARD {OURS}", f"-I FORWARD 2 {OURS}"]),
        (f"-A FORWARD {OURS}\n-A FORWARD {OURS}\n{LIBVIRT}",
         [f"-D FORWARD {OURS}", f"-D FORWARD {OURS}", f"-I FORWARD 2 {OURS}"]),
        (f"{LIBVIRT}\n-A LIBVIRT_FWI -i zt0 -m comment --comment zthook -j ACCEPT",
         ["-D LIBVIRT_FWI -i zt0 -m comment --comment zthook -j ACCEPT", f"-I FORWARD 2 {OURS}"]),
        # It stays where nothing stops any more: what will stop tomorrow finds it there.
        (f"-A FORWARD {OURS}", []),
        (f"-A FORWARD {OURS}\n-A FORWARD {OURS}", [f"-D FORWARD {OURS}"] * 2),
        # An edge on the same machine has a rule of its own.
        (f"-A FORWARD {EDGES}\n{LIBVIRT}", [f"-I FORWARD 3 {OURS}"]),
        (f"-P FORWARD DROP\n-A FORWARD {EDGES}", [f"-I FORWARD 2 {OURS}"]),
        (f"-A FORWARD {EDGES}\n-A FORWARD {OURS}\n{LIBVIRT}", []),
    ],
)  # fmt: skip
def test_what_iptables_are_told(listing: str, orders: list[str]) -> None:
    chains = iptables(listing)
    assert changes(chains, place(chains, "FORWARD"), PASSAGE, HOST) == orders


def test_what_iptables_are_told_without_mappings() -> None:
    chains = iptables(f"{LIBVIRT}\n-A FORWARD {OURS}\n-A FORWARD {EDGES}")
    assert changes(chains, None, None, HOST) == [f"-D FORWARD {OURS}"]
    assert changes(chains, None, None, EDGE) == [f"-D FORWARD {EDGES}"]
    assert changes(iptables(LIBVIRT), None, None, HOST) == []


def test_a_listing_is_read_with_its_quotes() -> None:
    (rule,) = iptables('-A FORWARD -m comment --comment "not zthook" -j DROP')["FORWARD"].rules
    assert rule.owner == ""
    assert rule.stops
    assert rule.words == ("-m", "comment", "--comment", "not zthook", "-j", "DROP")


BASE = Base("inet", "filter", "forward")


@pytest.mark.netns
@pytest.mark.parametrize(
    ("policy", "rules", "expected"),
    [
        ("accept", "", None),
        ("drop", "", 0),
        ("drop", "ct state established accept", 1),
        ("accept", 'iifname "a" accept; oifname "b" reject', 1),
        ("accept", "meta l4proto tcp reject with tcp reset; reject", 0),
        ("accept", "ip saddr 192.0.2.0/24 drop; tcp dport 25 drop; ct state invalid drop", None),
        ("accept", "ip saddr != 192.0.2.0/24 drop", 0),
        ("accept", "ip daddr 192.0.2.0/24 drop", 0),
        ("accept", "ip saddr 192.0.2.1 jump stop", None),
        ("accept", 'ct state invalid drop; iifname "a" goto stop', 1),
        ("accept", "iifname vmap { a : accept, b : jump stop }", 0),
        ("accept", "ip saddr vmap { 192.0.2.1 : drop }", None),
        ("accept", "iifname vmap @ways", 0),
        ("accept", "ip saddr . ip daddr vmap @pairs", None),
        ("accept", "jump ok", None),
        ("drop", "ip saddr @banned drop", 1),
    ],
)
def test_in_nftables_own_chains(policy: str, rules: str, expected: int | None) -> None:
    found = place(nftables(policy, rules), "forward")
    assert found == (None if expected is None else Place("forward", expected))


@pytest.mark.netns
def test_what_nftables_are_told() -> None:
    comment = PASSAGE.comment
    rule = {"family": "inet", "table": "filter", "chain": "forward", "comment": comment}
    rule["expr"] = PASSAGE.expression
    chains = nftables("drop", "ct state invalid drop; reject")
    handle = chains["forward"].rules[1].handle
    assert chain_changes(BASE, chains, PASSAGE, HOST) == [
        {"insert": {"rule": {**rule, "handle": handle}}}
    ]
    assert chain_changes(BASE, nftables("drop", ""), PASSAGE, HOST) == [{"add": {"rule": rule}}]
    assert chain_changes(BASE, chains, None, HOST) == []

    chains = nftables("drop", f'accept comment "{comment}"; drop')
    assert chain_changes(BASE, chains, PASSAGE, HOST) == []
    old = {"family": "inet", "table": "filter", "chain": "forward"}
    old["handle"] = chains["forward"].rules[0].handle
    assert chain_changes(BASE, chains, None, HOST) == [{"delete": {"rule": old}}]
    other = Passage(HOST, Of.CONNECTION, 0x30)
    assert [*map(list, chain_changes(BASE, chains, other, HOST))] == [["delete"], ["insert"]]


@pytest.mark.netns
def test_what_docker_says_of_its_own_devices_is_no_matter_but_its_policy_is() -> None:
    assert (
        place(nftables("accept", "iifname vmap @ways", table="docker-bridges"), "forward") is None
    )
    dropping = nftables("drop", "iifname vmap @ways", table="docker-bridges")
    assert place(dropping, "forward") == Place("forward", 1)

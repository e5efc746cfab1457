"""Policy rules of both families on a real kernel, and those that come before the local table."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.kernel.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.rules import FIRST, PolicyRule, add_rules, own_rules, remove_rules

pytestmark = pytest.mark.netns
BOTH = pytest.mark.parametrize("version", [4, 6])
PREFIXES = {4: ("203.0.113.0/24", "192.0.2.1/32"), 6: ("2001:db8:1::/48", "2001:db8:2::1/128")}
UPLINK = {4: ("203.0.113.20", "198.51.100.7"), 6: ("2001:db8::20", "2001:db8:f::7")}
"""An address of the machine itself, and a client's."""


class Place:
    """A machine with an uplink, an overlay, and a table 8 that has a way into the latter."""

    def __init__(self) -> None:
        self.inside = Namespace("rules")
        for name in ("eth0", "zt0"):
            self.inside.run(
                f"ip link add {name} type veth peer name far-{name}",
                f"ip link set far-{name} up",
                f"ip link set {name} up",
            )
        for version, (own, _) in UPLINK.items():
            self.inside.run(
                f"ip addr add {own}/{24 if version == 4 else '64 nodad'} dev eth0",
                f"ip -{version} route add default dev eth0",
                f"ip -{version} route add {own} dev zt0 table 8",
            )
        self.inside.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        self.kernel = self.inside.call(lambda: Netlink(ROUTE))
        self.before = self.listed()

    def listed(self) -> tuple[str, ...]:
        return tuple(self.inside.run(f"ip -{version} -d rule show") for version in (4, 6))

    def own(self) -> frozenset[PolicyRule]:
        return self.inside.call(own_rules)

    def add(self, *rules: PolicyRule) -> None:
        self.inside.call(lambda: add_rules(self.kernel, rules))

    def remove(self, *rules: PolicyRule) -> None:
        self.inside.call(lambda: remove_rules(self.kernel, rules))

    def way(self, version: int) -> str:
        """The device by which a client's packet to the own address leaves; "lo" is here."""
        own, client = UPLINK[version]
        found = self.inside.run(
            f"ip -{version} route get {own} from {client} iif eth0", check=False
        ).split()
        return "lo" if "local" in found[:1] else found[found.index("dev") + 1]

    def close(self) -> None:
        self.kernel.close()
        self.inside.close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def some_rules(version: int) -> list[PolicyRule]:
    source, destination = (ip_network(one) for one in PREFIXES[version])
    return [
        PolicyRule(version, 100, 8),
        PolicyRule(version, 101, 12300, mark=0x8000000, mask=0xC000000),
        PolicyRule(version, 102, 12300, mark=0, mask=0xC000000),
        PolicyRule(version, 103, 8, source=source),
        PolicyRule(version, 103, 9, destination=destination, incoming="lo"),
        PolicyRule(version, 104, 8, source=destination, destination=source, incoming="not there"),
        PolicyRule(version, 105, 254, incoming="zt0", longer_than=0),
        PolicyRule(version, 4294967295, 254, 1, 1, source, destination, "eth0", longer_than=31),
    ]


def test_what_is_added_is_read_back(place: Place) -> None:
    rules = [*some_rules(4), *some_rules(6)]
    place.inside.run("ip rule add pref 100 lookup 9", "ip -6 rule add pref 100 iif lo lookup 9")
    before = place.listed()
    place.add(*rules)
    place.add(*rules)
    assert place.own() == set(rules)
    place.remove(*rules[::2])
    place.remove(*rules[::2])
    assert place.own() == set(rules[1::2])
    place.remove(*rules)
    assert place.listed() == before


@BOTH
def test_a_rule_of_ours_stands_beside_anothers_that_is_the_same(place: Place, version: int) -> None:
    rule = some_rules(version)[1]
    place.inside.run(f"ip -{version} rule add fwmark 0x8000000/0xc000000 lookup 12300 pref 101")
    before = place.listed()
    place.add(rule)
    assert place.own() == {rule}
    place.remove(rule)
    assert place.listed() == before


@BOTH
def test_a_first_rule_comes_before_the_machines_own_addresses(place: Place, version: int) -> None:
    rule = PolicyRule(version, FIRST, 8, incoming="eth0")
    assert place.way(version) == "lo"
    place.add(rule)
    assert place.way(version) == "zt0"
    assert place.own() == {rule}
    place.remove(rule)
    assert place.way(version) == "lo"
    assert place.listed() == place.before


@BOTH
def test_several_first_rules_and_again(place: Place, version: int) -> None:
    rules = [PolicyRule(version, FIRST, 8, incoming=one) for one in ("eth0", "lo")]
    rules.append(PolicyRule(10 - version, FIRST, 8, incoming="eth0"))
    place.add(rules[0])
    place.add(*rules)
    assert place.own() == set(rules)
    assert [place.way(4), place.way(6)] == ["zt0", "zt0"]
    place.remove(*rules)
    assert place.listed() == place.before


@BOTH
def test_a_local_table_that_somebody_moved_stays_there(place: Place, version: int) -> None:
    place.inside.run(
        f"ip -{version} rule add pref 32765 lookup local", f"ip -{version} rule del pref 0"
    )
    before = place.listed()
    rule = PolicyRule(version, FIRST, 8, incoming="eth0")
    place.add(rule)
    assert place.way(version) == "zt0"
    place.remove(rule)
    assert place.listed() == before


@BOTH
def test_a_local_table_that_somebody_made_anew_comes_after_ours_too(
    place: Place, version: int
) -> None:
    place.inside.run(
        f"ip -{version} rule add pref 9 lookup local",
        f"ip -{version} rule del pref 0",
        f"ip -{version} rule add pref 0 lookup local",
        f"ip -{version} rule del pref 9",
    )
    rule = PolicyRule(version, FIRST, 8, incoming="eth0")
    place.add(rule)
    assert place.way(version) == "zt0"
    place.remove(rule)
    assert place.listed() == place.before


class Killed(Exception):
    """The process ended here."""


@BOTH
@pytest.mark.parametrize("step", range(5))
def test_a_process_that_ends_on_the_way_leaves_what_the_next_one_mends(
    place: Place, version: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = PolicyRule(version, FIRST, 8, incoming="eth0")
    carry_out, done = Netlink.carry_out, []

    def until_killed(*asked: object, **words: object) -> None:
        if len(done) == step:
            raise Killed
        carry_out(*asked, **words)  # type: ignore[arg-type]
        done.append(asked)

    with monkeypatch.context() as patched:
        patched.setattr(Netlink, "carry_out", until_killed)
        with pytest.raises(Killed):
            place.add(rule)
    assert place.way(version) in {"lo", "zt0"}, "the own address is looked up all the time"
    place.add(*({rule} - place.own()))
    place.remove(*(place.own() - {rule}))
    assert place.own() == {rule}
    place.remove(rule)
    assert place.listed() == place.before


@BOTH
def test_what_such_a_process_left_goes_also_where_the_rule_is_wanted_no_more(
    place: Place, version: int
) -> None:
    place.inside.run(
        f"ip -{version} rule add pref 1 lookup local protocol 123", f"ip -{version} rule del pref 0"
    )
    place.remove(*place.own())
    assert place.listed() == place.before


def test_a_refusal_names_the_rule(place: Place) -> None:
    wrong = replace(some_rules(4)[0], incoming="a name that is too long")
    with pytest.raises(KernelError, match=r"adding IPv4 rule 100: by a name .* to table 8: "):
        place.add(wrong)


def test_rules_for_people_in_their_order() -> None:
    assert [str(rule) for rule in sorted(some_rules(6)[::-1] + some_rules(4)[::-1])] == [
        "IPv4 rule 100: all to table 8",
        "IPv4 rule 101: with mark 0x8000000/0xc000000 to table 12300",
        "IPv4 rule 102: with mark 0x0/0xc000000 to table 12300",
        "IPv4 rule 103: from 203.0.113.0/24 to table 8",
        "IPv4 rule 103: to 192.0.2.1/32 by lo to table 9",
        "IPv4 rule 104: from 192.0.2.1/32 to 203.0.113.0/24 by not there to table 8",
        "IPv4 rule 105: by zt0 by routes longer than /0 to table 254",
        "IPv4 rule 4294967295: from 203.0.113.0/24 to 192.0.2.1/32 by eth0 with mark 0x1/0x1 "
        "by routes longer than /31 to table 254",
        "IPv6 rule 100: all to table 8",
        "IPv6 rule 101: with mark 0x8000000/0xc000000 to table 12300",
        "IPv6 rule 102: with mark 0x0/0xc000000 to table 12300",
        "IPv6 rule 103: from 2001:db8:1::/48 to table 8",
        "IPv6 rule 103: to 2001:db8:2::1/128 by lo to table 9",
        "IPv6 rule 104: from 2001:db8:2::1/128 to 2001:db8:1::/48 by not there to table 8",
        "IPv6 rule 105: by zt0 by routes longer than /0 to table 254",
        "IPv6 rule 4294967295: from 2001:db8:1::/48 to 2001:db8:2::1/128 by eth0 "
        "with mark 0x1/0x1 by routes longer than /31 to table 254",
    ]

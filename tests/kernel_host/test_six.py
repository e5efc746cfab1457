"""What is IPv6's alone: it is there where a rule asks for it, and only then."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.kernel_host.home import (
    EDGE_MAC,
    GUEST,
    HOST_ON_LAN,
    MEMBER,
    POOLS,
    PUBLIC,
    Home,
    Spoken,
    echoes,
    plane,
    rule,
)
from tests.kernel_host.twins import six_plane
from zthook.kernel import sysctl
from zthook.kernel.links import link_local_of
from zthook.model.mappings import HostPlane

pytestmark = pytest.mark.netns

FOUR = plane(rule(GUEST, public=PUBLIC[GUEST]), pools=POOLS)
SIX = six_plane(FOUR)
BOTH = HostPlane(FOUR.overlay, FOUR.edge, FOUR.edge_mac, FOUR.rules | SIX.rules, FOUR.pools)
FORWARDING = "net/ipv6/conf/all/forwarding"
HOP = link_local_of(EDGE_MAC)


def elements_of(home: Home, six: bool) -> dict[str, int]:
    """How many each set of a version has."""
    listed = home.spaces["host"].run("nft", "-j", "list", "table", "inet", "zthook_host").stdout
    sets = [one.get("set") or one.get("map") for one in json.loads(listed)["nftables"]]
    return {
        one["name"]: len(one.get("elem", ()))
        for one in sets
        if one is not None and one["name"].endswith("6") is six
    }


def way_of(home: Home, version: int) -> str:
    """Rules and routes of ours, and neighbours that are pinned."""
    shown = ("rule", "route show table all proto 123", "neigh show nud permanent")
    host = home.spaces["host"]
    lines = "".join(host.run("ip", f"-{version}", *one.split()).stdout for one in shown)
    return "\n".join(line for line in lines.splitlines() if "lookup local" not in line)


@contextmanager
def setting(home: Home, **settings: int) -> Iterator[None]:
    """With these under net/, and then as it was."""
    paths = [name.replace("__", "/") for name in settings]
    before = [home.inside["host"](sysctl.read, f"net/{path}") for path in paths]
    home.spaces["host"].sysctl(**settings)
    try:
        yield
    finally:
        home.spaces["host"].sysctl(**dict(zip(settings, before, strict=True)))


def test_without_a_rule_of_it_there_is_nothing_of_it(home: Home) -> None:
    inside, dataplane = home.inside["host"], home.dataplane()
    before = way_of(home, 6)
    with setting(home, ipv6__conf__all__forwarding=0, ipv6__conf__wan0__accept_ra=1):
        inside(dataplane.apply, FOUR)
        assert not any(elements_of(home, six=True).values())
        assert way_of(home, 6) == before
        assert inside(sysctl.read, FORWARDING) == "0"
        assert inside(sysctl.read, "net/ipv6/conf/wan0/accept_ra") == "1"
        inside(dataplane.apply, None)
    inside(dataplane.close)


def test_it_alone_has_nothing_of_ipv4(home: Home) -> None:
    inside, dataplane = home.inside["host"], home.dataplane()
    before = way_of(home, 4)
    with setting(home, ipv4__ip_forward=0):
        inside(dataplane.apply, SIX)
        found = elements_of(home, six=False)
        assert {name for name, count in found.items() if count} == {"overlay", "edge", "bridges"}
        agents = f"{SIX.edge} dev zt0 lladdr {EDGE_MAC} PERMANENT proto 124"
        assert way_of(home, 4).splitlines() == [*before.splitlines(), f"{agents} "]
        assert inside(sysctl.read, "net/ipv4/ip_forward") == "0"
        assert inside(dataplane.apply, SIX) == []
        inside(dataplane.apply, None)
    inside(dataplane.close)


def test_it_goes_with_its_last_rule(home: Home) -> None:
    inside, dataplane = home.inside["host"], home.dataplane()
    inside(dataplane.apply, FOUR)
    before = home.footprint()
    assert inside(dataplane.apply, BOTH)
    assert inside(dataplane.apply, BOTH) == []
    assert not inside(dataplane.drifted)
    assert inside(dataplane.apply, FOUR)
    assert home.footprint() == before
    assert inside(dataplane.apply, SIX)
    assert inside(dataplane.apply, None)
    assert "fe80::ff:fe00:222" not in way_of(home, 6)
    inside(dataplane.close)


def test_who_the_edge_is_nobody_can_say_but_it(home: Home, dataplane: Spoken) -> None:
    """The entry is permanent; without it the next packet would ask who has the address."""
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, SIX)
    pinned = f"{HOP} dev zt0 lladdr {EDGE_MAC} PERMANENT proto 124"
    assert pinned in host.run("ip", "-6", "neigh", "show").stdout
    for command in (f"neigh del {HOP} dev zt0", f"neigh replace {HOP} dev zt0 lladdr 2:0:0:0:6:6"):
        host.ip(command)
        assert inside(dataplane.drifted), command
        assert inside(dataplane.apply, SIX), command
        assert pinned in host.run("ip", "-6", "neigh", "show").stdout


@pytest.mark.parametrize("flushed", [False, True], ids=["", "whose routes others flushed"])
def test_another_edge_takes_the_place_of_the_first(
    home: Home, dataplane: Spoken, *, flushed: bool
) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, SIX)
    for table in ("12300", "12301") if flushed else ():
        home.spaces["host"].run("ip", "-6", "route", "flush", "table", table)
    other = "02:00:00:00:09:99"
    inside(dataplane.apply, HostPlane("zt0", SIX.edge, other, SIX.rules))
    way = way_of(home, 6)
    assert str(link_local_of(other)) in way
    assert str(HOP) not in way


def test_what_was_changed_by_hand_is_put_right(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, SIX)
    right = home.footprint()
    for command in (
        "ip -6 route flush table 12300",
        "ip -6 rule del preference 12302",
        "ip -6 route add default via fd00:192:0:2::1 dev wan0 table 12300 metric 5 proto 123",
        "ip -6 rule add fwmark 0x8000000/0xc000000 lookup 12301 preference 12000 protocol 123",
        "nft flush set inet zthook_host pools6",
    ):
        host.run(*command.split())
        assert inside(dataplane.drifted), command
        assert inside(dataplane.apply, SIX), command
        assert home.footprint() == right, command
        assert not inside(dataplane.drifted), command


@pytest.mark.parametrize("version", [6])
def test_forwarding_that_was_off_is_on_for_mappings_alone(home: Home, dataplane: Spoken) -> None:
    """For every device, as nothing was forwarded between any; what is bridged goes on."""
    inside, host = home.inside["host"], home.spaces["host"]
    home.ip("router", f"route add 192.168.193.0/24 via {HOST_ON_LAN}")
    inside(dataplane.apply, None)
    with setting(home, ipv6__conf__all__forwarding=0):
        try:
            inside(dataplane.apply, FOUR)
            assert home.reaches(GUEST)
            assert home.answers("sibling", PUBLIC[GUEST])
            assert not home.answers("member", "10.20.0.1", seconds=0.5)
            assert not home.answers("guest", "192.0.2.1", seconds=0.5)
            assert not home.answers("guest", MEMBER, seconds=0.5)
            assert home.answers("router", "10.20.0.50")
            host.run("nft", "flush", "ruleset")
            assert inside(dataplane.apply, FOUR)
            assert not home.answers("member", "10.20.0.1", seconds=0.5)
            assert home.reaches(GUEST)
        finally:
            inside(dataplane.apply, None)
            host.run("nft", "flush", "ruleset")
            home.load_rules()
            home.ip("router", "route del 192.168.193.0/24")


def test_routers_are_heeded_as_before(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    with setting(home, ipv6__conf__all__forwarding=0):
        with setting(
            home,
            ipv6__conf__wan0__accept_ra=1,
            ipv6__conf__br0__accept_ra=0,
            ipv6__conf__default__accept_ra=1,
        ):
            host.ip("route add fd00:aaaa::/64 via fe80::1 dev wan0 proto ra")
            lines = inside(dataplane.apply, SIX)
            assert "net.ipv6.conf.wan0.accept_ra set to 2" in lines
            assert lines.index("net.ipv6.conf.wan0.accept_ra set to 2") < lines.index(
                "net.ipv6.conf.all.forwarding set to 1"
            )
            assert inside(sysctl.read, "net/ipv6/conf/br0/accept_ra") == "0"
            assert inside(sysctl.read, "net/ipv6/conf/default/accept_ra") == "2"
            assert inside(dataplane.apply, SIX) == []
            host.ip("route del fd00:aaaa::/64 via fe80::1 dev wan0 proto ra")
        host.sysctl(ipv6__conf__all__forwarding=0)
        assert inside(dataplane.drifted)
        assert "net.ipv6.conf.all.forwarding set to 1" in inside(dataplane.apply, SIX)


@pytest.mark.parametrize("version", [6])
def test_from_outside_nothing_has_an_address_of_this_host(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, FOUR)
    home.ip("edge", "addr add 192.168.122.1/32 dev lo")
    try:
        with home.udp("edge", GUEST) as one:
            one.send(b"spoofed")
        with home.udp("client", PUBLIC[GUEST]) as one, closing(home.leak()) as leak:
            assert echoes(one)
            assert leak.packets() == []
    finally:
        home.ip("edge", "addr del 192.168.122.1/32 dev lo")

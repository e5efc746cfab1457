"""Mapped guests are reached through whatever firewall stands on their host, and nobody else is."""

from collections.abc import Iterator

import pytest

from tests.firewalls.others import DOCKERS, FIREWALLS, OF_IPV6, Firewall
from tests.kernel_host.home import GUEST, NEIGHBOUR, PUBLIC, Home, plane, rule
from zthook.kernel.firewalls.firewalld import NO_WAY_BACK
from zthook.kernel.host.dataplane import KernelHostDataplane

pytestmark = pytest.mark.netns
MAPPED = plane(rule(GUEST), rule(NEIGHBOUR, "br0", hide=True))


@pytest.fixture(params=FIREWALLS, ids=str)
def firewall(request: pytest.FixtureRequest, home: Home) -> Iterator[Firewall]:
    """It stands on the host, after libvirt's."""
    firewall: Firewall = request.param
    firewall.start(home.spaces["host"].name, home.version)
    yield firewall
    for iptables in ("iptables-legacy", "ip6tables-legacy"):
        home.spaces["host"].run(iptables, "-P", "FORWARD", "ACCEPT")
    home.spaces["host"].run("nft", "flush", "ruleset")
    home.load_rules()


def test_the_guest_is_reached_and_what_is_not_mapped_is_not(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    reached_and_nothing_else(home, dataplane)


@pytest.mark.parametrize("version", [6])
@pytest.mark.parametrize("firewall", OF_IPV6, indirect=True, ids=str)
def test_the_guest_is_reached_by_ipv6_too(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    reached_and_nothing_else(home, dataplane)


def reached_and_nothing_else(home: Home, dataplane: KernelHostDataplane) -> None:
    inside = home.inside["host"]
    assert not home.answers("client", PUBLIC[NEIGHBOUR], seconds=0.3)
    inside(dataplane.apply, plane(rule(NEIGHBOUR, "br0", hide=True)))
    assert home.reaches(NEIGHBOUR)
    assert not home.answers("client", PUBLIC[GUEST], seconds=0.3)
    inside(dataplane.apply, MAPPED)
    assert home.reaches(GUEST)
    assert not home.answers("member", GUEST, seconds=0.3)


@pytest.mark.parametrize("version", [6])
@pytest.mark.parametrize("flags", ["saddr . mark . iif", "saddr . mark"], ids=["strict", "loose"])
def test_firewalld_that_asks_for_the_way_back_is_named(
    home: Home, dataplane: KernelHostDataplane, flags: str
) -> None:
    """Its IPv6_rpfilter, which comes strict."""
    host, inside = home.spaces["host"], home.inside["host"]
    rule_of_its = f"meta nfproto ipv6 fib {flags} oif missing drop"
    hook = "type filter hook prerouting priority filter + 10"
    chain = f"chain filter_PREROUTING {{ {hook}; {rule_of_its}; }}"
    host.run("nft", "-f", "-", stdin=f"table inet firewalld {{ {chain}; }}")
    try:
        lines = inside(dataplane.apply, MAPPED)
        assert (NO_WAY_BACK in lines) == ("iif" in flags)
        assert home.answers("client", PUBLIC[GUEST], seconds=0.5) == ("iif" not in flags)
        assert NO_WAY_BACK not in inside(dataplane.apply, MAPPED), "it is told once"
    finally:
        host.run("nft", "delete", "table", "inet", "firewalld")


def test_when_it_is_set_up_anew_so_is_our_way_through(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, MAPPED)
    firewall.start(home.spaces["host"].name)
    assert inside(dataplane.drifted)
    inside(dataplane.apply, MAPPED)
    assert home.reaches(GUEST)
    assert home.reaches(NEIGHBOUR)
    assert inside(dataplane.apply, MAPPED) == []
    assert not inside(dataplane.drifted)


@pytest.mark.parametrize("firewall", DOCKERS, indirect=True, ids=str)
def test_a_restart_of_docker_interrupts_nothing(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    home.inside["host"](dataplane.apply, MAPPED)
    firewall.start(home.spaces["host"].name)
    assert home.reaches(GUEST)


def test_it_is_left_as_it_was(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    before = home.footprint()
    home.inside["host"](dataplane.apply, MAPPED)
    assert home.footprint() != before
    home.inside["host"](dataplane.apply, None)
    assert home.footprint() == before


def test_libvirt_that_starts_after_it_is_opened_too(
    home: Home, firewall: Firewall, dataplane: KernelHostDataplane
) -> None:
    """Its jumps stand at the top of the chain then."""
    host, inside = home.spaces["host"], home.inside["host"]
    inside(dataplane.apply, MAPPED)
    for chain in ("FWO", "FWI", "FWX"):
        host.run("iptables-nft", "-D", "FORWARD", "-j", f"LIBVIRT_{chain}", check=False)
        host.run("iptables-nft", "-I", "FORWARD", "-j", f"LIBVIRT_{chain}")
    inside(dataplane.apply, MAPPED)
    assert home.reaches(GUEST)

"""Our rule in the firewalls of others: with packets, and with both kinds of iptables."""

from collections.abc import Iterator

import pytest

from tests.kernel_host import libvirt_rules
from tests.kernel_host.home import GUEST, LONELY, PUBLIC, Home, plane, rule
from tests.kernel_host.inside import Inside, own_name
from tests.lab.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.firewalls.iptables import Iptables, legacy_in_use
from zthook.kernel.firewalls.keeper import Firewalls, Opening
from zthook.kernel.firewalls.passage import HOST, Of, Passage
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.kernel.nft import Nft

pytestmark = pytest.mark.netns
OPENING = Opening(Passage(HOST, Of.CONNECTION, 0x0C000000), frozenset({4}))
OURS = "-A FORWARD -m connmark ! --mark 0x0/0xc000000 -m comment --comment zthook -j ACCEPT"


def test_a_restart_of_libvirtd_interrupts_nothing(
    home: Home, dataplane: KernelHostDataplane
) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    desired = plane(rule(GUEST), rule(LONELY, "virbr1", hide=True))
    inside(dataplane.apply, desired)
    right = home.footprint()
    host.run("iptables-nft-restore", "--noflush", stdin=libvirt_rules.rebuild())
    assert home.reaches(GUEST)
    assert home.reaches(LONELY)
    assert inside(dataplane.drifted)
    assert inside(dataplane.apply, desired) == []
    assert home.footprint() == right


def test_it_opens_nothing_that_is_not_mapped(home: Home, dataplane: KernelHostDataplane) -> None:
    home.inside["host"](dataplane.apply, plane(rule(LONELY, "virbr1", hide=True)))
    assert home.reaches(LONELY)
    assert not home.answers("client", PUBLIC[GUEST], seconds=0.5)
    assert not home.answers("member", GUEST, seconds=0.5)
    assert not home.answers("lonely", "192.168.193.222", seconds=0.5)


@pytest.fixture
def bare() -> Iterator[Namespace]:
    """A machine without any rule."""
    space = Namespace.create(own_name("iptables"))
    space.ip("link add zt0 type bridge", "link set zt0 up")
    yield space
    space.remove()


@pytest.fixture
def inside(bare: Namespace) -> Iterator[Inside]:
    inside = Inside(bare)
    yield inside
    inside.close()


@pytest.fixture
def firewalls(inside: Inside) -> Iterator[Firewalls]:
    nft = inside(Nft)
    yield inside(Firewalls, nft, HOST)
    inside(nft.close)


def saved(space: Namespace, backend: str) -> list[str]:
    """Every chain and rule, without counters."""
    listed = space.run(f"iptables-{backend}-save").stdout.splitlines()
    return [line.partition(" [")[0] for line in listed if not line.startswith("#")]


def test_where_nothing_stops_us_nothing_is_made(
    bare: Namespace, inside: Inside, firewalls: Firewalls
) -> None:
    assert inside(firewalls.keep, OPENING) == []
    assert bare.run("nft", "list", "ruleset").stdout == ""
    assert not inside(legacy_in_use, 4)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_iptables_are_opened_and_left_as_they_were(
    bare: Namespace, inside: Inside, firewalls: Firewalls, backend: str
) -> None:
    bare.run(f"iptables-{backend}-restore", "--noflush", stdin=libvirt_rules.networks())
    before = saved(bare, backend)
    assert inside(firewalls.keep, OPENING) == [f"iptables-{backend}: our rule set in FORWARD"]
    assert inside(firewalls.keep, OPENING) == []
    after = saved(bare, backend)
    assert sorted(set(after) - set(before)) == [OURS]
    assert after.index(OURS) == after.index("-A FORWARD -j LIBVIRT_FWI") - 1
    assert inside(firewalls.keep, None) == [f"iptables-{backend}: our rule removed"]
    assert inside(firewalls.keep, None) == []
    assert saved(bare, backend) == before


def test_a_change_of_legacy_iptables_is_noticed_too(
    bare: Namespace, inside: Inside, firewalls: Firewalls
) -> None:
    bare.run("iptables-legacy-restore", "--noflush", stdin=libvirt_rules.networks())
    inside(firewalls.keep, OPENING)
    assert not inside(firewalls.drifted)
    bare.run("iptables-legacy-restore", stdin=libvirt_rules.networks())
    assert inside(firewalls.drifted)
    assert inside(firewalls.keep, OPENING) == ["iptables-legacy: our rule set in FORWARD"]
    assert not inside(firewalls.drifted)


def test_a_command_that_fails_is_named_with_what_it_said(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KernelError, match=r"iptables-nft .*no-such-option"):
        inside(Iptables(4, "nft")._run, "", "--no-such-option")

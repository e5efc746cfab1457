"""Our rules in libvirt's chains: decided purely, and seen with both kinds of iptables."""

from collections.abc import Iterator

import pytest

from tests.kernel_host import libvirt_rules
from tests.kernel_host.home import GUEST, LONELY, PUBLIC, Home, plane, rule
from tests.kernel_host.inside import Inside, own_name
from tests.lab.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.host import LEGACY_CHECK_SECONDS, KernelHostDataplane
from zthook.kernel.libvirt_firewall import (
    OwnRule,
    changes,
    is_ours,
    keep_open,
    legacy_in_use,
    own_rules,
    read_chain,
)
from zthook.model.clock import ManualClock

OURS, THEIRS = ("-m", "comment", "--comment", "zthook", "-j", "ACCEPT"), ("-j", "REJECT")
OLD = ("-i", "zt7", *OURS)
WANTED = (OwnRule("LIBVIRT_FWI", OURS), OwnRule("LIBVIRT_FWO", OLD))
NONE = (OwnRule("LIBVIRT_FWO", OLD),)
TO_INSERT = "-I LIBVIRT_FWI 1 -m comment --comment zthook -j ACCEPT"
TO_DELETE = "-D LIBVIRT_FWI -m comment --comment zthook -j ACCEPT"


@pytest.mark.parametrize(
    ("found", "wanted", "steps"),
    [
        ([], NONE, []),
        ([THEIRS], NONE, []),
        ([THEIRS], WANTED, [TO_INSERT]),
        ([OURS, THEIRS], WANTED, []),
        ([OURS, THEIRS], NONE, [TO_DELETE]),
        ([THEIRS, OURS], WANTED, [TO_DELETE, TO_INSERT]),
        ([OURS, OURS, THEIRS], WANTED, [TO_DELETE, TO_DELETE, TO_INSERT]),
        (
            [OLD, THEIRS],
            WANTED,
            ["-D LIBVIRT_FWI -i zt7 -m comment --comment zthook -j ACCEPT", TO_INSERT],
        ),
    ],
)
def test_our_rule_alone_heads_the_chain(
    found: list[tuple[str, ...]], wanted: tuple[OwnRule, ...], steps: list[str]
) -> None:
    assert changes("LIBVIRT_FWI", found, wanted) == steps


def test_a_listing_is_read_with_its_quotes() -> None:
    listing = (
        "-N LIBVIRT_FWI\n"
        '-A LIBVIRT_FWI -m comment --comment "not zthook" -j ACCEPT\n'
        "-A LIBVIRT_FWI -m comment --comment zthook -j ACCEPT\n"
    )
    theirs, ours = read_chain(listing)
    assert theirs == ("-m", "comment", "--comment", "not zthook", "-j", "ACCEPT")
    assert not is_ours(theirs)
    assert ours == OURS
    assert is_ours(ours)


def test_a_device_name_that_would_be_an_argument_is_refused() -> None:
    with pytest.raises(KernelError):
        own_rules("zt0 -j ACCEPT", 0x0C000000)


@pytest.mark.netns
class TestWithPackets:
    def test_a_restart_of_libvirtd_is_noticed(
        self, home: Home, dataplane: KernelHostDataplane
    ) -> None:
        inside, host = home.inside["host"], home.spaces["host"]
        desired = plane(rule(GUEST), rule(LONELY, "virbr1", hide=True))
        inside(dataplane.apply, desired)
        right = home.footprint()
        host.run("iptables-nft-restore", "--noflush", stdin=libvirt_rules.rebuild())
        assert not home.answers("client", PUBLIC[GUEST], seconds=0.5)
        assert inside(dataplane.drifted)
        assert inside(dataplane.apply, desired) == [
            "LIBVIRT_FWI (iptables-nft): our rules set at its top",
            "LIBVIRT_FWO (iptables-nft): our rules set at its top",
        ]
        assert home.footprint() == right
        assert home.reaches(GUEST)
        assert home.reaches(LONELY)

    def test_it_opens_nothing_that_is_not_mapped(
        self, home: Home, dataplane: KernelHostDataplane
    ) -> None:
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


@pytest.mark.netns
class TestBackends:
    def test_where_libvirt_has_no_chain_nothing_is_made(
        self, bare: Namespace, inside: Inside
    ) -> None:
        assert inside(keep_open, own_rules("zt0", 0x0C000000)) == []
        assert bare.run("nft", "list", "ruleset").stdout == ""
        assert not inside(legacy_in_use)

    @pytest.mark.parametrize("backend", ["nft", "legacy"])
    def test_the_chains_are_headed_and_left_as_they_were(
        self, bare: Namespace, inside: Inside, backend: str
    ) -> None:
        bare.run(f"iptables-{backend}-restore", "--noflush", stdin=libvirt_rules.networks())
        before = saved(bare, backend)
        wanted = own_rules("zt0", 0x0C000000)
        assert len(inside(keep_open, wanted)) == 2
        assert inside(keep_open, wanted) == []
        after = saved(bare, backend)
        reply, begun = "-m conntrack --ctdir REPLY", "-m conntrack --ctdir ORIGINAL"
        ours = "-m comment --comment zthook -j ACCEPT"
        assert sorted(set(after) - set(before)) == [
            f"-A LIBVIRT_FWI -i zt0 -m connmark --mark 0x4000000/0xc000000 {reply} {ours}",
            f"-A LIBVIRT_FWI -i zt0 -m connmark --mark 0x8000000/0xc000000 {ours}",
            f"-A LIBVIRT_FWI -m connmark --mark 0xc000000/0xc000000 {ours}",
            f"-A LIBVIRT_FWO -o zt0 -m connmark --mark 0x4000000/0xc000000 {begun} {ours}",
            f"-A LIBVIRT_FWO -o zt0 -m connmark --mark 0x8000000/0xc000000 {reply} {ours}",
        ]
        assert len(inside(keep_open, own_rules("zt1", 0x0C000000))) == 2
        assert len(inside(keep_open, ())) == 2
        assert inside(keep_open, ()) == []
        assert saved(bare, backend) == before

    def test_with_legacy_iptables_drift_is_looked_for_now_and_then(
        self, bare: Namespace, inside: Inside
    ) -> None:
        clock = ManualClock()
        dataplane = inside(KernelHostDataplane, clock=clock)
        desired = plane(rule(GUEST))
        bare.run("iptables-legacy-restore", "--noflush", stdin=libvirt_rules.networks())
        inside(dataplane.apply, desired)
        bare.run("iptables-legacy-restore", "--noflush", stdin=libvirt_rules.rebuild())
        assert not inside(dataplane.drifted)
        clock.advance(LEGACY_CHECK_SECONDS)
        assert inside(dataplane.drifted)
        assert len(inside(dataplane.apply, desired)) == 2
        assert not inside(dataplane.drifted)
        inside(dataplane.close)

    def test_a_command_that_fails_is_named_with_what_it_said(
        self, bare: Namespace, inside: Inside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bare.run("iptables-nft-restore", "--noflush", stdin=libvirt_rules.networks())
        broken = (OwnRule("LIBVIRT_FWI", ("--no-such-option",)),)
        with pytest.raises(KernelError, match=r"iptables-nft-restore .*no-such-option"):
            inside(keep_open, broken)


def saved(space: Namespace, backend: str) -> list[str]:
    """Every chain and rule, without counters."""
    listed = space.run(f"iptables-{backend}-save").stdout.splitlines()
    return [line.partition(" [")[0] for line in listed if not line.startswith("#")]

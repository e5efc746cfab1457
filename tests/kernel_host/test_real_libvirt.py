"""A real libvirtd makes its rules anew: ours stays, or is put back."""

from collections.abc import Iterator

import pytest

from tests.kernel_host import libvirt_rules
from tests.kernel_host.home import plane, rule
from tests.kernel_host.inside import Inside
from tests.lab import Host, Lab
from zthook.kernel.host.dataplane import KernelHostDataplane

pytestmark = pytest.mark.lab

DESIRED = plane(rule("192.168.122.50"))
OURS = "-A FORWARD -m connmark ! --mark 0x0/0xc000000 -m comment --comment zthook -j ACCEPT"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab(["home1"]) as lab:
        lab["home1"].libvirtd.start()
        yield lab["home1"]


@pytest.fixture(scope="module")
def inside(host: Host) -> Iterator[Inside]:
    inside = Inside(host.namespace)
    yield inside
    inside.close()


@pytest.fixture
def dataplane(inside: Inside) -> Iterator[KernelHostDataplane]:
    one = inside(KernelHostDataplane)
    yield one
    inside(one.apply, None)
    inside(one.close)


def forwarding(host: Host) -> list[str]:
    """The chain FORWARD and libvirt's in it."""
    listed = host.run("iptables", "-S").stdout.splitlines()
    return [line for line in listed if line.startswith(("-A FORWARD", "-A LIBVIRT_FW"))]


def test_the_rules_of_our_other_tests_are_libvirts(host: Host) -> None:
    bridge, _ = libvirt_rules.NAT
    made = {line for line in libvirt_rules.networks().splitlines() if f" {bridge} " in line}
    saved = host.run("iptables-save").stdout.splitlines()
    assert made == {line for line in saved if f" {bridge} " in line and "CHECKSUM" not in line}


def test_a_network_that_was_restarted(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    inside(dataplane.apply, DESIRED)
    right = forwarding(host)
    assert right.index(OURS) < right.index("-A FORWARD -j LIBVIRT_FWI")
    host.virsh("net-destroy", "default")
    assert inside(dataplane.drifted)
    inside(dataplane.apply, DESIRED)
    host.virsh("net-start", "default")
    assert forwarding(host) == right
    assert inside(dataplane.drifted)
    inside(dataplane.apply, DESIRED)
    assert forwarding(host) == right
    assert not inside(dataplane.drifted)


def test_a_libvirtd_that_was_restarted(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    inside(dataplane.apply, DESIRED)
    right = forwarding(host)
    host.libvirtd.restart()
    assert inside(dataplane.drifted)
    assert forwarding(host) == right
    inside(dataplane.apply, DESIRED)
    assert forwarding(host) == right


def test_without_guests_libvirts_chains_are_as_libvirt_made_them(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    before = forwarding(host)
    inside(dataplane.apply, DESIRED)
    inside(dataplane.apply, None)
    assert forwarding(host) == before

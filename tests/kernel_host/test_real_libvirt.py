"""A real libvirtd makes its rules anew: ours are found missing, and put back."""

from collections.abc import Iterator

import pytest

from tests.kernel_host import libvirt_rules
from tests.kernel_host.home import plane, rule
from tests.kernel_host.inside import Inside
from tests.lab import Host, Lab
from zthook.kernel.host import KernelHostDataplane

pytestmark = pytest.mark.lab

DESIRED = plane(rule("192.168.122.50"))


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


def chain(host: Host, name: str) -> list[str]:
    return host.run("iptables", "-S", name).stdout.splitlines()[1:]


def test_the_rules_of_our_other_tests_are_libvirts(host: Host) -> None:
    bridge, _ = libvirt_rules.NAT
    made = {line for line in libvirt_rules.networks().splitlines() if f" {bridge} " in line}
    saved = host.run("iptables-save").stdout.splitlines()
    assert made == {line for line in saved if f" {bridge} " in line and "CHECKSUM" not in line}


def test_a_network_that_was_restarted(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    inside(dataplane.apply, DESIRED)
    right = chain(host, "LIBVIRT_FWI")
    assert "zthook" in right[0]
    host.virsh("net-destroy", "default")
    host.virsh("net-start", "default")
    assert inside(dataplane.drifted)
    inside(dataplane.apply, DESIRED)
    assert chain(host, "LIBVIRT_FWI") == right
    assert not inside(dataplane.drifted)


def test_a_libvirtd_that_was_restarted(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    inside(dataplane.apply, DESIRED)
    right = chain(host, "LIBVIRT_FWI"), chain(host, "LIBVIRT_FWO")
    host.libvirtd.restart()
    assert inside(dataplane.drifted)
    inside(dataplane.apply, DESIRED)
    assert (chain(host, "LIBVIRT_FWI"), chain(host, "LIBVIRT_FWO")) == right


def test_without_guests_libvirts_chains_are_as_libvirt_made_them(
    host: Host, inside: Inside, dataplane: KernelHostDataplane
) -> None:
    before = chain(host, "LIBVIRT_FWI"), chain(host, "LIBVIRT_FWO")
    inside(dataplane.apply, DESIRED)
    inside(dataplane.apply, None)
    assert (chain(host, "LIBVIRT_FWI"), chain(host, "LIBVIRT_FWO")) == before

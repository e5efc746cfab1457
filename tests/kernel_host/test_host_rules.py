"""The table's text against golden files, checked by nft itself, and read back from the kernel.

Where a change is meant: ``WRITE_GOLDEN=1 pytest tests/kernel_host/test_host_rules.py``.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel_host.home import GUEST, LONELY, NEIGHBOUR, plane, rule
from tests.kernel_host.inside import Inside, own_name
from tests.lab.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel import host_rules, host_table
from zthook.kernel.host import concerns
from zthook.kernel.host_rules import chains, elements, render_change, render_table, version
from zthook.kernel.netlink import attribute
from zthook.kernel.nft import Nft
from zthook.kernel.watch import Notification
from zthook.model.mappings import HostPlane

GOLDEN = Path(__file__).parent / "golden"
CHAINS = chains(0x0C000000)
ONE = plane(rule(GUEST))
THREE = plane(
    rule(GUEST), rule(NEIGHBOUR, "br0", hide=True), rule(LONELY, "virbr1", hide=True)
)  # fmt: skip
COUNTED = {("inbound", GUEST): (1500, 3), ("outbound", GUEST): (90_000, 70)}

RENDERED = {
    "table": render_table(CHAINS, elements(THREE, closed=False), COUNTED),
    "closed": render_table(chains(0x60), elements(ONE, closed=True), {}),
    "more": render_change(elements(ONE, closed=False), elements(THREE, closed=False)),
    "fewer": render_change(elements(THREE, closed=False), elements(ONE, closed=False)),
}


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_text_is_as_written_down(name: str) -> None:
    file = GOLDEN / f"{name}.nft"
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(RENDERED[name], encoding="ascii")
    assert RENDERED[name] == file.read_text(encoding="ascii")


def test_the_same_elements_are_no_change() -> None:
    assert render_change(elements(THREE, closed=True), elements(THREE, closed=True)) == ""


def test_another_mark_is_another_version() -> None:
    assert version(chains(0x60)) != version(CHAINS)
    assert version(chains(0x0C000000)) == version(CHAINS)


@pytest.mark.parametrize("name", ["", "x" * 16, "zt 0", 'zt"0', "zt*", "zt/0", "zt\n", "zt\\"])
def test_names_that_no_device_can_have_are_refused(name: str) -> None:
    with pytest.raises(KernelError, match="no name"):
        elements(HostPlane(name, ONE.edge, ONE.edge_mac, ONE.rules), closed=False)


@pytest.fixture
def inside() -> Iterator[Inside]:
    space = Namespace.create(own_name("rules"))
    inside = Inside(space)
    yield inside
    inside.close()
    space.remove()


@pytest.mark.netns
@pytest.mark.parametrize("name", ["table", "closed"])
def test_nft_takes_the_golden_file(inside: Inside, name: str) -> None:
    inside.namespace.run("nft", "-c", "-f", GOLDEN / f"{name}.nft")


@pytest.mark.netns
def test_nft_takes_the_golden_changes(inside: Inside) -> None:
    space = inside.namespace
    space.run("nft", "-f", "-", stdin=render_table(CHAINS, elements(ONE, closed=False), {}))
    space.run("nft", "-c", "-f", GOLDEN / "more.nft")
    space.run("nft", "-f", GOLDEN / "more.nft")
    space.run("nft", "-c", "-f", GOLDEN / "fewer.nft")


@pytest.mark.netns
@pytest.mark.parametrize("closed", [True, False])
def test_what_is_loaded_is_read_back(inside: Inside, closed: bool) -> None:
    nft = inside(Nft)
    assert inside(host_table.observe, nft) is None
    wanted = elements(THREE, closed=closed)
    inside(nft.run, render_table(CHAINS, wanted, COUNTED))
    found = inside(host_table.observe, nft)
    inside(nft.close)
    assert found is not None
    assert found.is_whole(CHAINS)
    assert not found.is_whole(chains(0x60))
    assert found.sets == wanted
    assert COUNTED.items() <= found.counters.items()


IPV4, IPV6 = b"\2", b"\x0a"


def link(name: bytes) -> Notification:
    return Notification("link", 0, bytes(16) + attribute(3, name + b"\0"))


def route(family: bytes, table: int) -> Notification:
    return Notification("route", 0, family + bytes(11) + attribute(15, struct.pack("=I", table)))


@pytest.mark.parametrize(
    ("told", "concerned"),
    [
        (link(b"zt0"), True),
        (link(b"vnet7"), False),
        (Notification("address", 0, IPV4 + bytes(7)), True),
        (Notification("address", 0, IPV6 + bytes(7)), False),
        (route(IPV4, 12300), True),
        (route(IPV4, 254), False),
        (route(IPV6, 12300), False),
        (Notification("rule", 0, IPV4 + bytes(11)), True),
        (Notification("rule", 0, IPV6 + bytes(11)), False),
        (Notification("lost", 0, b""), True),
    ],
)
def test_what_the_kernel_tells_concerns_us_or_not(told: Notification, concerned: bool) -> None:
    assert concerns(told, "zt0", 12300) is concerned


def test_every_set_is_filled() -> None:
    assert elements(THREE, closed=True).keys() == host_rules.SETS.keys()

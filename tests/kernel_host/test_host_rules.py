"""The table's text against golden files, checked by nft itself, and read back from the kernel.

Where a change is meant: ``WRITE_GOLDEN=1 pytest tests/kernel_host/test_host_rules.py``.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kernel_host.home import GUEST, LONELY, NEIGHBOUR, POOLS, SIBLING, plane, routed, rule
from tests.kernel_host.inside import Inside, own_name
from tests.kernel_host.twins import six_plane
from tests.lab.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.host import sets, table
from zthook.kernel.host.chains import chains
from zthook.kernel.host.elements import Around, elements
from zthook.kernel.host.rules import render_change, render_table, version
from zthook.kernel.host.sets import Elements
from zthook.kernel.links import link_local_of
from zthook.kernel.nft import Nft
from zthook.model.addresses import AddressRange
from zthook.model.mappings import HostPlane
from zthook.model.publication import Egress

GOLDEN = Path(__file__).parent / "golden"
CHAINS = chains(0x0C000000)
ONE = plane(rule(GUEST))
SIX_POOL = AddressRange.parse("fd00:203:0:113::/64")
THREE = plane(
    rule(GUEST), rule(NEIGHBOUR, "br0", hide=True), rule(LONELY, "virbr1", hide=True)
)  # fmt: skip


NOT_IN_USE = {"arriving", "arriving6", "itself6"}


def filled(plane: HostPlane, *, closed: Collection[int] = ()) -> Elements:
    """Its elements, with the edge's next hops as the dataplane finds them."""
    hops = {4: plane.edge, 6: link_local_of(plane.edge_mac)}
    return elements(plane, Around(hops, closed, bridged={4}))


EACH_KIND = plane(
    rule(GUEST, public="203.0.113.10", allow=["198.51.100.0/24", "192.0.2.7/32"]),
    routed(SIBLING, ports=["tcp/80-82:8080", "udp/27000-27100"], egress=Egress.PUBLIC),
    rule(NEIGHBOUR, "br0", hide=True, public="203.0.113.11"),
    pools=POOLS,
)
EVERYTHING = replace(
    EACH_KIND,
    rules=EACH_KIND.rules | six_plane(EACH_KIND).rules,
    pools=(*POOLS, SIX_POOL),
    newcomers=frozenset({("virbr0", "52:54:00:aa:00:01")}),
)
COUNTED = {("inbound", GUEST): (1500, 3), ("outbound", GUEST): (90_000, 70)}

RENDERED = {
    "everything": render_table(CHAINS, filled(EVERYTHING, closed={6}), {}),
    "table": render_table(CHAINS, filled(THREE), COUNTED),
    "closed": render_table(chains(0x60), filled(ONE, closed={4}), {}),
    "more": render_change(filled(ONE), filled(THREE)),
    "fewer": render_change(filled(THREE), filled(ONE)),
}


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_text_is_as_written_down(name: str) -> None:
    file = GOLDEN / f"{name}.nft"
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(RENDERED[name], encoding="ascii")
    assert RENDERED[name] == file.read_text(encoding="ascii")


def test_the_same_elements_are_no_change() -> None:
    assert render_change(filled(THREE, closed={4}), filled(THREE, closed={4})) == ""


def test_another_mark_is_another_version() -> None:
    assert version(chains(0x60)) != version(CHAINS)
    assert version(chains(0x0C000000)) == version(CHAINS)


@pytest.mark.parametrize("name", ["", "x" * 16, "zt 0", 'zt"0', "zt*", "zt/0", "zt\n", "zt\\"])
def test_names_that_no_device_can_have_are_refused(name: str) -> None:
    with pytest.raises(KernelError, match="no name"):
        filled(HostPlane(name, ONE.edge, ONE.edge_mac, ONE.rules))


@pytest.fixture
def inside() -> Iterator[Inside]:
    space = Namespace.create(own_name("rules"))
    inside = Inside(space)
    yield inside
    inside.close()
    space.remove()


@pytest.mark.netns
@pytest.mark.parametrize("name", ["table", "closed", "everything"])
def test_nft_takes_the_golden_file(inside: Inside, name: str) -> None:
    inside.namespace.run("nft", "-c", "-f", GOLDEN / f"{name}.nft")


@pytest.mark.netns
def test_nft_takes_the_golden_changes(inside: Inside) -> None:
    space = inside.namespace
    space.run("nft", "-f", "-", stdin=render_table(CHAINS, filled(ONE), {}))
    space.run("nft", "-c", "-f", GOLDEN / "more.nft")
    space.run("nft", "-f", GOLDEN / "more.nft")
    space.run("nft", "-c", "-f", GOLDEN / "fewer.nft")


@pytest.mark.netns
@pytest.mark.parametrize("closed", [True, False])
def test_what_is_loaded_is_read_back(inside: Inside, closed: bool) -> None:
    nft = inside(Nft)
    assert inside(table.observe, nft) is None
    wanted = filled(THREE, closed={4} if closed else ())
    inside(nft.run, render_table(CHAINS, wanted, COUNTED))
    found = inside(table.observe, nft)
    inside(nft.close)
    assert found is not None
    assert found.is_whole(CHAINS)
    assert not found.is_whole(chains(0x60))
    assert found.sets == wanted
    assert COUNTED.items() <= found.counters.items()


@pytest.mark.netns
def test_everything_is_read_back(inside: Inside) -> None:
    nft, wanted = inside(Nft), filled(EVERYTHING, closed={6})
    inside(nft.run, render_table(CHAINS, wanted, {}))
    found = inside(table.observe, nft)
    assert found is not None
    assert found.sets == wanted
    inside(nft.run, render_change(found.sets, filled(THREE)))
    inside(nft.run, render_change(filled(THREE), wanted))
    assert inside(table.observe, nft) == found
    inside(nft.close)
    assert {name for name, some in wanted.items() if not some} == NOT_IN_USE


def test_every_set_is_filled() -> None:
    assert filled(THREE, closed={4}).keys() == sets.SPECS.keys()

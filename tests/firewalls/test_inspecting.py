"""What only looks sees each firewall that stops mapped packets, until it is opened, and leaves no
trace of its look.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.firewalls.others import OF_IPV6, Firewall
from tests.firewalls.test_packets import MAPPED, firewall
from tests.kernel_host.home import GUEST, Home
from zthook.kernel.firewalls.inspecting import Standing
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.kernel.host.inspecting import host_standings, host_table, way_lacks
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.way import Way
from zthook.kernel.nft import Nft

__all__ = ["firewall"]

pytestmark = pytest.mark.netns
MARK = 0x0C000000
DOCKERS_OWN = {"Docker 20.10", "Docker 28"}


@pytest.fixture
def looking(home: Home) -> Callable[[], list[Standing]]:
    """What stops there, of the version that is spoken; the ruleset stays what it is."""

    def look() -> list[Standing]:
        before = generation()
        found = host_standings(MARK, {home.version})
        assert generation() == before
        return [one for one in found if one.stops]

    return lambda: home.inside["host"](look)


def generation() -> int:
    nft = Nft()
    try:
        return nft.generation()
    finally:
        nft.close()


def test_each_is_seen_to_stop_until_it_is_opened(
    home: Home,
    firewall: Firewall,
    dataplane: KernelHostDataplane,
    looking: Callable[[], list[Standing]],
) -> None:
    before = looking()
    assert before
    assert not any(one.opened for one in before)
    home.inside["host"](dataplane.apply, MAPPED)
    after = looking()
    assert [one.where for one in after] == [one.where for one in before]
    assert all(one.opened for one in after)
    whose = {word for one in after for word in one.whose}
    assert ("Docker" in whose) == (firewall.name in DOCKERS_OWN)
    assert "libvirt (iptables)" in whose


@pytest.mark.parametrize("version", [6])
@pytest.mark.parametrize("firewall", OF_IPV6, indirect=True, ids=str)
def test_those_of_ipv6_too(
    home: Home,
    firewall: Firewall,
    dataplane: KernelHostDataplane,
    looking: Callable[[], list[Standing]],
) -> None:
    assert not any(one.opened for one in looking())
    home.inside["host"](dataplane.apply, MAPPED)
    assert looking()
    assert all(one.opened for one in looking())


@pytest.mark.parametrize("version", [4, 6])
def test_our_table_and_the_way_back_are_seen_as_they_are(
    home: Home, dataplane: KernelHostDataplane, version: int
) -> None:
    host, inside = home.spaces["host"], home.inside["host"]
    assert not inside(host_table, MARK).there
    inside(dataplane.apply, MAPPED)
    table = inside(host_table, MARK)
    assert (table.there, table.whole, len(table.guests)) == (True, True, 2)
    assert table.edge_mac == MAPPED.edge_mac

    def lacks() -> Any:
        way = Way(Marks(MARK), 12300, 12300)
        edge = MAPPED.edge, table.edge_mac
        return inside(way_lacks, way, MAPPED.overlay, *edge, {version}, pinned=True)

    assert lacks() == []
    family = "-4" if version == 4 else "-6"
    host.run("ip", family, "rule", "del", "pref", "12301")
    assert [one.split(":")[0] for one in lacks()] == [f"IPv{version} rule 12301"]
    host.run("ip", family, "route", "flush", "table", "12301")
    assert len(lacks()) == 2
    host.run("ip", family, "neigh", "flush", "dev", "zt0", "nud", "permanent")
    assert lacks()[-1].endswith(f" at {table.edge_mac}")
    assert len(lacks()) == 3
    host.run("nft", "flush", "chain", "inet", "zthook_host", "forward")
    broken = inside(host_table, MARK)
    assert (broken.there, broken.whole) == (True, False)
    inside(dataplane.apply, MAPPED)
    assert lacks() == []
    assert GUEST in {str(one) for one in table.guests} or version == 6

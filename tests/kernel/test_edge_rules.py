"""The edge's table as text: against golden files, and as nft itself reads and lists it.

Where a change is meant: ``WRITE_GOLDEN=1 pytest tests/kernel/test_edge_rules.py``.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.kernel.contract_edge import EMPTY, mapping
from tests.kernel.namespace import Namespace
from tests.kernel.nft_listing import read_listing
from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.errors import KernelError
from zthook.kernel.edge.boot import boot_rules, drop_rules
from zthook.kernel.edge.chains.layout import chains
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.elements import all_elements, less, together
from zthook.kernel.edge.rules import Transaction, differing, labels, render
from zthook.kernel.edge.sets import IPV4
from zthook.kernel.edge.static import (
    crossing_elements,
    mss_elements,
    names,
    own_elements,
    pool_elements,
)
from zthook.kernel.edge.uplinks import Way, uplink_elements
from zthook.model.addresses import AddressRange, Pool
from zthook.model.publication import Egress, Mode

GOLDEN = Path(__file__).parent / "golden"
HIDE_AS = IPv4Address("192.168.193.222")
KEEPS = mapping("203.0.113.30", "192.168.122.50")
HIDES = mapping("203.0.113.31", "192.168.122.51", hide=True)
STATIC = {
    "uplinks": names(["eth0"]),
    "overlay": names(["zt0"]),
    "doors": names(["eth0", "zt0"]),
    "crossings": crossing_elements(names(["eth0"]), names(["zt0"])),
    "members": pool_elements([AddressRange.parse("192.168.193.0/24")]),
    "own": own_elements("zt0", HIDE_AS),
    "closed": names(["eth0", "zt0"]),
    "api_ports": frozenset({"9443"}),
    "pool": pool_elements(EMPTY.pool_ranges),
    "near": pool_elements([*EMPTY.pool_ranges, AddressRange.parse("192.168.193.0/24")]),
    "mss": mss_elements("zt0", 1400),
}
COUNTERS = {
    ("arriving", "203.0.113.30 . 192.168.122.50"): "counter packets 3 bytes 180",
}
PARTS = mapping(
    "203.0.113.32",
    "192.168.122.50",
    egress=Egress.PUBLIC,
    ports=["tcp/80", "tcp/8000-8002:80", "udp/27000-27100"],
    allow=["198.51.100.0/24", "192.0.2.7/32", "2001:db8::/32"],
)
SHARES = mapping("203.0.113.32", "192.168.122.60", host=3, ports=["tcp/443"])
ALLOWS = mapping("203.0.113.36", "192.168.122.61", host=3, allow=["10.0.0.0/8"])
LEAVES = mapping("203.0.113.33", "192.168.122.70", egress=Egress.PUBLIC)
ROUTED = mapping("203.0.113.34", "192.168.122.50", host=4, mode=Mode.ROUTED)
ROUTED_PARTS = mapping(
    "203.0.113.35",
    "192.168.122.50",
    host=4,
    mode=Mode.ROUTED,
    ports=["tcp/80:8080", "udp/27000-27100"],
)
ROUTED_ALLOWS = replace(ALLOWS, arrives_as=IPv4Address("203.0.113.37"), mode=Mode.ROUTED)
TRACKED = replace(PARTS, arrives_as=IPv4Address("203.0.113.38"), private=HIDE_AS, mode=Mode.ROUTED)
KINDS = (PARTS, SHARES, ALLOWS, LEAVES, ROUTED, ROUTED_PARTS, ROUTED_ALLOWS, TRACKED)
ALL = all_elements([KEEPS, HIDES, *KINDS])
WAYS = [Way(4, "eth0", 2, 2, IPv4Address("203.0.113.1"))]
BOTH = together(ALL, uplink_elements([KEEPS, HIDES, *KINDS], ALL, WAYS))

NAMED = Shape((IPV4,), uplinks='"eth0"', overlay='"zt0"')
CHOOSING = chains(NAMED)
PLAIN = replace(NAMED, clamps=False, routed=False, hidden=False)
TABLES = {
    "table": render(Transaction(CHOOSING, refill=STATIC, add=BOTH, counters=COUNTERS)),
    "boot": drop_rules(EMPTY),
    "boot-unknown": drop_rules(replace(EMPTY, overlay="zt*")),
}
CHANGES = {
    "narrow": render(
        Transaction(
            delete=less(all_elements(KINDS), all_elements(KINDS[:-1])),
            add=less(all_elements([*KINDS, KEEPS]), all_elements(KINDS)),
        )
    ),
    "grant": render(Transaction(add=all_elements([mapping("192.0.2.1")]))),
    "withdraw": render(Transaction(delete=all_elements([HIDES]))),
    "refill": render(Transaction(refill={"pool": frozenset({"192.0.2.1"}), "mss": frozenset()})),
    "chains": render(Transaction(chains=differing(chains(PLAIN), labels(CHOOSING)))),
}


@pytest.mark.parametrize("name", [*TABLES, *CHANGES])
def test_text_is_as_written_down(name: str) -> None:
    text, file = (TABLES | CHANGES)[name], GOLDEN / f"{name}.nft"
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(text, encoding="ascii")
    assert text == file.read_text(encoding="ascii")


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("rules")
    yield made
    made.close()


@pytest.mark.netns
@pytest.mark.parametrize("name", TABLES)
def test_nft_takes_the_golden_table(where: Namespace, name: str) -> None:
    where.run(f"nft -c -f {GOLDEN / name}.nft")


@pytest.mark.netns
@pytest.mark.parametrize("name", CHANGES)
def test_nft_takes_the_golden_change(where: Namespace, name: str) -> None:
    where.run(f"nft -f {GOLDEN}/table.nft", f"nft -c -f {GOLDEN / name}.nft")


@pytest.mark.netns
def test_what_was_loaded_is_read_back(where: Namespace) -> None:
    where.run(f"nft -f {GOLDEN}/table.nft")
    found = read_listing(json.loads(where.run("nft -j list table inet zthook"))["nftables"])
    assert found.labels == labels(CHOOSING)
    assert {name: some for name, some in found.elements.items() if some} == {**STATIC, **BOTH}
    assert found.counters()["arriving", "203.0.113.30 . 192.168.122.50"] == (
        "counter packets 3 bytes 180"
    )


@pytest.mark.netns
def test_nft_reads_its_own_listing(where: Namespace) -> None:
    where.run(f"nft -f {GOLDEN}/table.nft")
    listed = where.run("nft list table inet zthook")
    where.run("nft flush ruleset")
    where.nft(listed)
    assert where.run("nft list table inet zthook") == listed


def ranges(*texts: str) -> list[AddressRange]:
    return [AddressRange.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        ([], set()),
        (["203.0.113.1"], {"203.0.113.1"}),
        (["203.0.113.2-203.0.113.4", "203.0.113.5"], {"203.0.113.2-203.0.113.5"}),
        (
            ["203.0.113.0/24", "203.0.113.7", "203.0.113.9-203.0.113.11"],
            {"203.0.113.0-203.0.113.255"},
        ),
        (["203.0.113.1", "203.0.113.3"], {"203.0.113.1", "203.0.113.3"}),
        (["2001:db8::/64", "203.0.113.1"], {"203.0.113.1"}),
    ],
)
def test_pools_neither_overlap_nor_touch(given: list[str], merged: set[str]) -> None:
    assert pool_elements(ranges(*given)) == merged
    assert pool_elements(reversed(ranges(*given))) == merged


@pytest.mark.parametrize("name", ["x" * 16, "eth 0", 'eth"0', "eth0\n", "eth/0"])
def test_names_that_no_device_can_have_are_refused(name: str) -> None:
    with pytest.raises(KernelError):
        names([name])


def test_boot_rules_know_zerotiers_devices_by_their_beginning() -> None:
    settings = EdgeSettings(
        overlay=OverlaySettings("zerotier", network="b87d70f46bc5c578"),
        pools=(
            Pool("hk", tuple(ranges("203.0.113.0/24", "192.0.2.0/24")), "eth0"),
            Pool("nat", tuple(ranges("198.18.0.10")), "eth0", tuple(ranges("203.0.113.40"))),
        ),
    )
    assert boot_rules(settings) == TABLES["boot-unknown"]
    named = replace(settings, overlay=OverlaySettings("interface", interface="zt0"))
    assert boot_rules(named) == TABLES["boot"]

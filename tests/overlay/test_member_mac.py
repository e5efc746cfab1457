"""Against what real nodes said of themselves (ZeroTier 1.14.1)."""

import json
from pathlib import Path

import pytest

from zthook.overlay.member_mac import member_mac, member_of

RECORDED = Path(__file__).parent / "zerotier-api"


@pytest.mark.parametrize(
    ("answer", "member"),
    [("network-ok.json", "5d4548d482"), ("network-ok-host2.json", "4e41020f73")],
)
def test_it_is_the_one_that_the_node_has(answer: str, member: str) -> None:
    said = json.loads((RECORDED / answer).read_text())
    assert member_mac(said["nwid"], member) == said["mac"]
    assert member_of(said["nwid"], said["mac"]) == member


def test_the_first_octet_is_never_52() -> None:
    """What libvirt gives its guests."""
    assert member_mac("8056c2e21c000050", "0000000000").startswith("32:")
    assert member_mac("8056c2e21c000001", "0000000000").startswith("02:")


def test_who_is_no_member_has_none_of_their_macs() -> None:
    assert member_of("8056c2e21c000001", "02:00:00:00:00:00") is not None
    assert member_of("8056c2e21c000001", "52:54:00:aa:00:01") is None

"""MAC addresses inside of longer identifiers."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from zthook.model.ethernet import mac_of_duid, stable_address


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("00:03:00:01:52:54:00:aa:00:01", "52:54:00:aa:00:01"),
        ("0:3:0:1:52:54:0:aa:0:1", "52:54:00:aa:00:01"),
        ("00:01:00:01:2c:8a:1f:00:52:54:00:AA:00:01", "52:54:00:aa:00:01"),
        ("00:02:00:00:ab:11:52:54:00:aa:00:01", None),  # a vendor's own
        ("00:04:52:54:00:aa:00:01:00:01:00:01:00:01:00:01:00:01", None),  # a machine's UUID
        ("00:03:00:06:52:54:00:aa:00:01", None),  # no Ethernet
        ("00:03:00:01:52:54:00:aa:00", None),
        ("01:52:54:00:aa:00:01", None),  # what DHCPv4 has
        ("", None),
        ("web1", None),
        ("100:3:0:1:52:54:0:aa:0:1", None),
    ],
)
def test_a_duid_tells_the_mac_it_was_made_of(text: str, mac: str | None) -> None:
    assert mac_of_duid(text) == mac


def test_an_interface_names_itself_by_its_mac() -> None:
    network = IPv6Network("fd00:122::/64")
    assert stable_address(network, "52:54:00:aa:00:01") == IPv6Address("fd00:122::5054:ff:feaa:1")
    assert stable_address(IPv6Network("fd00:122::/80"), "52:54:00:aa:00:01") is None

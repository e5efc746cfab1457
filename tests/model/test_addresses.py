"""Ranges of addresses, also of those that no machine can count one by one."""

from ipaddress import ip_address
from itertools import islice

import pytest

from zthook.model.addresses import AddressRange


def test_a_range_has_its_first_and_its_last_address() -> None:
    some = AddressRange.parse("203.0.113.10-203.0.113.12")
    assert (some.size, [str(one) for one in some]) == (
        3,
        ["203.0.113.10", "203.0.113.11", "203.0.113.12"],
    )
    assert some[2] == ip_address("203.0.113.12")
    with pytest.raises(IndexError):
        some[3]


def test_an_ipv6_prefix_is_counted_and_begun_though_nobody_comes_to_its_end() -> None:
    some = AddressRange.parse("2001:db8::/64")
    assert some.size == 2**64
    assert [str(one) for one in islice(some, 2)] == ["2001:db8::", "2001:db8::1"]
    assert some[2**64 - 1] == ip_address("2001:db8::ffff:ffff:ffff:ffff")

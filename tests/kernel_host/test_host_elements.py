"""What guests' rules become in sets and maps, decided purely."""

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.kernel_host.home import GUEST, LONELY, POOLS, SIBLING, plane, rule
from zthook.kernel.host.elements import Around, elements, merged
from zthook.kernel.host.sets import SPECS
from zthook.model.mappings import GuestRule
from zthook.model.publication import Egress, Mode, PortRange, Protocol

PUBLIC = "203.0.113.10"
ROUTED, OUT = {"mode": Mode.ROUTED}, {"egress": Egress.PUBLIC}


def filled(*rules: GuestRule) -> dict[str, set[str]]:
    """The sets that have any elements, without those that every guest is in."""
    desired = plane(*rules, pools=POOLS)
    everywhere = {"overlay", "edge", "bridges", "guests", "inbound", "outbound", "edge_hop"}
    found = elements(desired, Around({4: desired.edge, 6: ip_address("fe80::1")}))
    return {name: set(some) for name, some in found.items() if some and name not in everywhere}


def only(found: dict[str, set[str]], *names: str) -> dict[str, set[str]]:
    return {name: found.get(name, set()) for name in names}


def test_one_that_waits_for_the_edge() -> None:
    """The edge may bring what it translated; what is public is not known yet."""
    assert filled(rule(GUEST)) == {
        "brought": {f"{GUEST} . {GUEST}"},
        "leaving": {f"{GUEST} : {GUEST}"},
        "placed": {f'"virbr0" . {GUEST}'},
        "speaking": {f"{GUEST} . tcp . 0-65535"},
        "pools": {"203.0.113.0-203.0.113.31"},
    }
    assert "brought" not in filled(rule(GUEST, **ROUTED))


def test_hidden_guests_neither_leave_nor_are_heard_of_first() -> None:
    found = filled(rule(LONELY, "virbr1", hide=True, public=PUBLIC, **OUT))
    assert found["hidden"] == {f'"virbr1" . {LONELY}'}
    assert found["nearby"] == {f"{PUBLIC} : {LONELY}"}
    assert not {"outgoing", "leaving", "placed", "speaking"} & found.keys()


def test_ports_same_and_moved() -> None:
    ports = ["tcp/80-82:8080", "udp/27000-27100", "tcp/22"]
    found = filled(rule(GUEST, public=PUBLIC, ports=ports, **ROUTED))
    moved = {f"{PUBLIC} . tcp . {80 + i} : {GUEST} . {8080 + i}" for i in range(3)}
    same = {f"{PUBLIC} . tcp . 22 : {GUEST}", f"{PUBLIC} . udp . 27000-27100 : {GUEST}"}
    pairs = {
        f"{PUBLIC} . {GUEST} . {one}"
        for one in ("tcp . 22", "tcp . 8080-8082", "udp . 27000-27100")
    }
    for name in ("arriving", "nearby"):
        assert only(found, name) == {name: set()}
        assert found[f"{name}_moved"] == moved
        assert found[f"{name}_ports"] == same
    assert found["brought_ports"] == found["met_ports"] == pairs
    assert found["speaking"] == {f"{GUEST} . tcp . 22", f"{GUEST} . tcp . 8080-8082"}
    assert found["leaving_moved"] == {
        f"{GUEST} . tcp . {8080 + i} : {PUBLIC} . {80 + i}" for i in range(3)
    }
    assert found["leaving_ports"] == {
        f"{GUEST} . tcp . 22 : {PUBLIC}", f"{GUEST} . udp . 27000-27100 : {PUBLIC}",
    }  # fmt: skip


def test_ports_that_the_edge_translates() -> None:
    """It leaves as it is: the edge makes its port the public one again."""
    found = filled(rule(GUEST, public=PUBLIC, ports=["tcp/80:8080"]))
    assert found["brought_ports"] == {f"{GUEST} . {GUEST} . tcp . 8080"}
    assert found["leaving_ports"] == {f"{GUEST} . tcp . 8080 : {GUEST}"}
    assert found["nearby_moved"] == {f"{PUBLIC} . tcp . 80 : {GUEST} . 8080"}


def test_a_guest_with_two_addresses_leaves_as_the_one_that_says_so() -> None:
    found = filled(
        rule(GUEST, public="203.0.113.11", **ROUTED, **OUT),
        rule(GUEST, public=PUBLIC, **ROUTED),
    )
    assert found["leaving"] == {f"{GUEST} : 203.0.113.11"}
    assert found["arriving"] == {f"{PUBLIC} : {GUEST}", f"203.0.113.11 : {GUEST}"}


def test_ports_that_overlap_are_one_element() -> None:
    found = filled(
        rule(GUEST, public=PUBLIC, ports=["tcp/80-90"]),
        rule(GUEST, public="203.0.113.11", ports=["tcp/85-95", "tcp/96"]),
    )
    assert found["brought_ports"] == {f"{GUEST} . {GUEST} . tcp . 80-96"}


def test_of_two_in_each_others_way_the_active_one_counts() -> None:
    """For as long as a guest's address changes both are asked for."""
    old = rule(SIBLING, public=PUBLIC, **ROUTED)
    coming = GuestRule(ip_address(GUEST), "virbr0", public=ip_address(PUBLIC), mode=Mode.ROUTED)
    assert filled(coming, old)["arriving"] == {f"{PUBLIC} : {SIBLING}"}
    assert filled(coming)["arriving"] == {f"{PUBLIC} : {GUEST}"}


def admitted(*rules: GuestRule) -> set[str]:
    key = f"{PUBLIC} . {GUEST} . "
    found = filled(*rules).get("admitted", set())
    return {one.removeprefix(key) for one in found if one.startswith(key)}


def test_who_is_admitted() -> None:
    everybody = rule(GUEST, public=PUBLIC)
    assert admitted(everybody) == {"0.0.0.0-255.255.255.255"}
    some = rule(GUEST, public=PUBLIC, allow=["10.0.0.0/9", "10.128.0.0/9", "192.0.2.1/32"])
    assert admitted(some) == {"10.0.0.0-10.255.255.255", "192.0.2.1"}
    assert admitted(rule(GUEST, public=PUBLIC, allow=["2001:db8::/32"])) == set()


def test_who_leaves_as_public_is_admitted_as_that() -> None:
    sender = rule(SIBLING, public="203.0.113.11", **OUT)
    near = rule(GUEST, public=PUBLIC, allow=["192.168.122.48/29"])
    assert admitted(near, sender) == {
        "192.168.122.48-192.168.122.50", "192.168.122.52-192.168.122.55",
    }  # fmt: skip
    far = rule(GUEST, public=PUBLIC, allow=["203.0.113.11/32"])
    assert admitted(far, sender) == {"203.0.113.11", SIBLING}
    only_it = rule(GUEST, public=PUBLIC, allow=[f"{SIBLING}/32"])
    assert admitted(only_it, sender) == set()


PORTS = st.builds(
    lambda protocol, first, length, target: PortRange(protocol, first, first + length, target),
    st.sampled_from(Protocol),
    st.integers(1, 60),
    st.integers(0, 20),
    st.integers(1, 60),
)
RULES = st.builds(
    GuestRule,
    private=st.sampled_from([ip_address(GUEST), ip_address(SIBLING)]),
    device=st.just("virbr0"),
    hide=st.booleans(),
    public=st.none() | st.sampled_from([ip_address(PUBLIC), ip_address("203.0.113.11")]),
    mode=st.sampled_from(Mode),
    egress=st.sampled_from(Egress),
    ports=st.lists(PORTS, max_size=3).map(tuple),
    active=st.booleans(),
)


def span(element: str) -> tuple[str, tuple[int, int]]:
    """What stands before the last part of a key, and that as a range of numbers."""
    before, _, last = element.partition(" : ")[0].rpartition(" . ")
    first, _, end = last.partition("-")
    numbers = [
        int(one) if one.isdecimal() else int(ip_address(one)) for one in (first, end or first)
    ]
    return before, (numbers[0], numbers[1])


def overlapping(keys: Iterable[str]) -> list[tuple[str, tuple[int, int]]]:
    """Those that nft would refuse."""
    spans = sorted(map(span, keys))
    return [
        other for one, other in pairwise(spans) if one[0] == other[0] and other[1][0] <= one[1][1]
    ]


@given(st.frozensets(RULES, max_size=4))
def test_whatever_is_asked_for_can_be_loaded(rules: frozenset[GuestRule]) -> None:
    for name, some in filled(*rules).items():
        if SPECS[name].value or SPECS[name].interval:
            assert overlapping(some) == [], name


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)).map(lambda s: (s[0], sum(s)))))
def test_merged_spans_have_the_same_numbers(spans: list[tuple[int, int]]) -> None:
    def numbers(some: Iterable[tuple[int, int]]) -> list[int]:
        return [one for first, last in some for one in range(first, last + 1)]

    assert numbers(merged(spans)) == sorted(set(numbers(spans)))
    assert all(one[1] + 1 < other[0] for one, other in pairwise(merged(spans)))

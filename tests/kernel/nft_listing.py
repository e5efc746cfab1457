"""Reading the edge's table out of nft's JSON."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from zthook.kernel.edge.sets import Elements
from zthook.model.addresses import AddressRange

PLAIN = frozenset({"ether_addr", "ipv4_addr"})
"""Types whose values nft lists as we write them, which most of many elements are made of."""
PROTOCOLS = {6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Listing:
    """The table's chains with their rules' comments, its elements and their counters."""

    labels: Mapping[str, tuple[str, ...]]
    elements: Elements
    counted: Mapping[tuple[str, str], tuple[int, int]]

    def counters(self) -> dict[tuple[str, str], str]:
        """Set and element → the counter as nft reads it."""
        return {
            key: f"counter packets {packets} bytes {size}"
            for key, (packets, size) in self.counted.items()
        }


def read_listing(objects: Iterable[Mapping[str, Any]]) -> Listing:
    """Understand what ``nft -j list`` prints for the table, or for some of its sets.

    ``counted`` is (packets, bytes) by set and element.
    """
    labels: dict[str, list[str]] = {}
    elements: dict[str, frozenset[str]] = {}
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    rules: dict[str, list[str]] = defaultdict(list)
    for one in objects:
        if chain := one.get("chain"):
            labels[chain["name"]] = rules[chain["name"]]
        elif rule := one.get("rule"):
            rules[rule["chain"]].append(rule.get("comment", ""))
        elif found := one.get("set") or one.get("map"):
            read = [_element(item, found["type"]) for item in found.get("elem", ())]
            elements[found["name"]] = frozenset(text for text, _ in read)
            counted |= {(found["name"], text): count for text, count in read if count}
    return Listing({name: tuple(rules) for name, rules in labels.items()}, elements, counted)


def _element(item: Any, kind: Any) -> tuple[str, tuple[int, int] | None]:
    """What is listed, as we write it, and its packets and bytes where it counts."""
    if isinstance(item, list):
        return f"{_text(item[0], kind)} : {_value(item[1])}", None
    if isinstance(item, dict) and "elem" in item:
        counter = item["elem"].get("counter")
        count = (counter["packets"], counter["bytes"]) if counter else None
        return _text(item["elem"]["val"], kind), count
    return _text(item, kind), None


def _value(value: Any) -> str:
    match value:
        case {"goto": {"target": chain}}:
            return f"goto {chain}"
        case {"concat": parts}:
            return " . ".join(map(_value, parts))
        case str() if ":" in value:
            return str(IPv6Address(value))
        case _:
            return str(value)


def _text(value: Any, kind: Any) -> str:
    if isinstance(kind, list):
        parts = value["concat"]
        if PLAIN.issuperset(kind) and all(isinstance(part, str) for part in parts):
            return " . ".join(parts)
        return " . ".join(_part(part, one) for part, one in zip(parts, kind, strict=True))
    match value:
        case {"range": [first, last]}:
            return str(AddressRange.parse(f"{first}-{last}"))
        case {"prefix": {"addr": address, "len": length}}:
            return str(AddressRange.parse(f"{address}/{length}"))
        case _:
            return _part(value, kind)


def _part(value: Any, kind: str) -> str:
    match value:
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case {"prefix": {"addr": address, "len": length}}:
            return f"{_part(address, kind)}/{length}"
        case str() if kind == "ifname":
            return f'"{value}"'
        case str() if kind == "ipv6_addr":
            return str(IPv6Address(value))
        case int() if kind == "inet_proto":  # where there is no /etc/protocols
            return PROTOCOLS.get(value, str(value))
        case _:
            return str(value)

"""Policy rules of ours (protocol 123), and the way that they send marked packets."""

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from zthook.kernel.routes import Route, own_routes, remove_route, set_route
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking

ALL = IPv4Network("0.0.0.0/0")
BLACKHOLE = 6
LAST_RESORT = 0xFFFFFFFF
"""The metric of the black hole: any other route of the table comes before it."""
GONE = {errno.ENOENT, errno.ESRCH}


@dataclass(frozen=True, slots=True, order=True)
class MarkRule:
    """Packets with all bits of ``mark`` set go by ``table``."""

    mark: int
    table: int
    preference: int

    def __str__(self) -> str:
        return f"rule {self.preference}: mark 0x{self.mark:x} to table {self.table}"


def mark_rules(ip: IPRoute) -> frozenset[MarkRule]:
    """Every IPv4 policy rule of ours by a mark, whatever its preference."""
    with asking("listing policy rules"):
        return frozenset(
            MarkRule(one.get("fwmark"), one.get("table"), one.get("priority") or 0)
            for one in ip.rule("dump", family=socket.AF_INET)
            if one.get("protocol") == PROTOCOL and one.get("fwmark")
        )


def add_mark_rule(ip: IPRoute, rule: MarkRule) -> None:
    """Add the rule; it may be there already."""
    try:
        ip.rule("add", **_request(rule))
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            with asking(f"adding {rule}"):
                raise


def remove_mark_rule(ip: IPRoute, rule: MarkRule) -> None:
    """Remove the rule; it may be gone already."""
    try:
        ip.rule("del", **_request(rule))
    except NetlinkError as error:
        if error.code not in GONE:
            with asking(f"removing {rule}"):
                raise


def _request(rule: MarkRule) -> dict[str, object]:
    return {
        "family": socket.AF_INET,
        "table": rule.table,
        "priority": rule.preference,
        "fwmark": rule.mark,
        "fwmask": rule.mark,
        "protocol": PROTOCOL,
    }


def has_black_hole(ip: IPRoute, table: int) -> bool:
    """Whether what no other route of ``table`` takes is dropped by a route of ours."""
    with asking(f"listing our routes in table {table}"):
        return any(
            one["type"] == BLACKHOLE and one.get("priority") == LAST_RESORT
            for one in ip.route("dump", family=socket.AF_INET, table=table, proto=PROTOCOL)
        )


def add_black_hole(ip: IPRoute, table: int) -> None:
    """Drop what no other route of ``table`` takes: it would go on to the next table."""
    with asking(f"setting the black hole in table {table}"):
        ip.route("replace", **_black_hole(table))


def remove_black_hole(ip: IPRoute, table: int) -> None:
    """Take it away; it may be gone already."""
    try:
        ip.route("del", **_black_hole(table))
    except NetlinkError as error:
        if error.code not in GONE:
            with asking(f"removing the black hole in table {table}"):
                raise


def _black_hole(table: int) -> dict[str, object]:
    return {
        "family": socket.AF_INET,
        "dst": str(ALL),
        "type": BLACKHOLE,
        "table": table,
        "priority": LAST_RESORT,
        "proto": PROTOCOL,
    }


def keep_way(ip: IPRoute, rule: MarkRule, edge: IPv4Address, device: int | None) -> list[str]:
    """Make marked packets go to ``edge`` by the device with that index, or nowhere (None).

    The black hole comes first and the rule last, so that at no moment a marked packet
    leaves by another line. A line for each thing that was put right.
    """
    lines = []
    if not has_black_hole(ip, rule.table):
        add_black_hole(ip, rule.table)
        lines.append(f"black hole in table {rule.table} was missing: added")
    lines += _keep_route(ip, rule.table, edge, device)
    found = mark_rules(ip)
    if rule not in found:
        add_mark_rule(ip, rule)
        lines.append(f"{rule} was missing: added")
    return lines + _remove_rules(ip, found - {rule}, kept=rule.table)


def _keep_route(ip: IPRoute, table: int, edge: IPv4Address, device: int | None) -> list[str]:
    wanted = {Route(ALL, device, edge, table)} if device is not None else set()
    found = own_routes(ip, table)
    lines = []
    for route in found - wanted:
        remove_route(ip, route)
        lines.append(f"route {route} in table {table} removed")
    for route in wanted - found:
        set_route(ip, route)
        lines.append(f"route {route} in table {table} was missing: added")
    return lines


def remove_way(ip: IPRoute, table: int) -> list[str]:
    """Take every mark rule of ours away, and our routes in its table and in ``table``."""
    return _remove_rules(ip, mark_rules(ip), kept=None) + _remove_routes(ip, table)


def _remove_rules(ip: IPRoute, some: frozenset[MarkRule], *, kept: int | None) -> list[str]:
    lines = []
    for rule in sorted(some):
        remove_mark_rule(ip, rule)
        lines.append(f"{rule} removed")
        if rule.table != kept:
            lines += _remove_routes(ip, rule.table)
    return lines


def _remove_routes(ip: IPRoute, table: int) -> list[str]:
    lines = []
    for route in own_routes(ip, table):
        remove_route(ip, route)
        lines.append(f"route {route} in table {table} removed")
    if has_black_hole(ip, table):
        remove_black_hole(ip, table)
        lines.append(f"black hole in table {table} removed")
    return lines

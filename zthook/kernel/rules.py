"""Policy rules of ours (protocol 123), and the way that they send marked packets."""

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import Route, own_routes
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking

ALL = IPv4Network("0.0.0.0/0")
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


def keep_way(ip: IPRoute, rule: MarkRule, edge: IPv4Address, device: int | None) -> list[str]:
    """Make marked packets go to ``edge`` by the device with that index, or nowhere (None).

    The black hole comes first and the rule last, so that at no moment a marked packet
    leaves by another line. A line for each thing that was put right.
    """
    lines = _keep_routes(rule.table, edge, device)
    found = mark_rules(ip)
    if rule not in found:
        add_mark_rule(ip, rule)
        lines.append(f"{rule} was missing: added")
    return lines + _remove_rules(ip, found - {rule}, kept=rule.table)


def _keep_routes(table: int, edge: IPv4Address, device: int | None) -> list[str]:
    wanted = [Route(ALL, None, table=table)]
    wanted += [Route(ALL, device, edge, table)] if device is not None else []
    found = own_routes(table)
    missing, extra = [one for one in wanted if one not in found], found - set(wanted)
    with Netlink(ROUTE) as kernel:
        remove_routes(kernel, extra)
        set_routes(kernel, missing)
    return [f"{_named(one)} removed" for one in extra] + [
        f"{_named(one)} was missing: added" for one in missing
    ]


def _named(route: Route) -> str:
    kind = "" if route.device is None else "route "
    return f"{kind}{route} in table {route.table}"


def remove_way(ip: IPRoute, table: int) -> list[str]:
    """Take every mark rule of ours away, and our routes in its table and in ``table``."""
    return _remove_rules(ip, mark_rules(ip), kept=None) + _remove_routes(table)


def _remove_rules(ip: IPRoute, some: frozenset[MarkRule], *, kept: int | None) -> list[str]:
    lines = []
    for rule in sorted(some):
        remove_mark_rule(ip, rule)
        lines.append(f"{rule} removed")
        if rule.table != kept:
            lines += _remove_routes(rule.table)
    return lines


def _remove_routes(table: int) -> list[str]:
    found = own_routes(table)
    with Netlink(ROUTE) as kernel:
        remove_routes(kernel, found)
    return [f"{_named(one)} removed" for one in found]

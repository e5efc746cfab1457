"""firewalld, where nobody else may change its table: a policy of ours, asked for over D-Bus.

A policy can only be made for good, and is there after a reload of firewalld: both are done once,
and from then on it stays, empty while nobody is mapped. Its rules are firewalld's to forget with
each reload. It knows no marks: they say whose packets may pass, and to whom.

firewalld asks policies only where one of the two devices is in a zone by name. Libvirt's networks
are; to put a device into the default zone by name would open others to it.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zthook.errors import KernelError
from zthook.model.addresses import IPAddress

TABLE = "firewalld"
SERVICE = "org.fedoraproject.FirewallD1"
PLACE = "/org/fedoraproject/FirewallD1"
EVERYWHERE = ("1", "ANY")
FIRST = -100
"""The policy's priority: before zones, and before policies of others without one of their own."""

NO_WAY_BACK = (
    "firewalld drops what comes from the edge over IPv6, as its answers go by marks: set"
    " IPv6_rpfilter=loose in /etc/firewalld/firewalld.conf, and restart firewalld"
)
LONGEST_CALL = 20.0


@dataclass(frozen=True, slots=True, order=True)
class Reach:
    """Packets of ``mac`` that come by device ``overlay`` and leave to ``address`` by ``device``."""

    mac: str
    address: IPAddress
    overlay: str
    device: str

    def __str__(self) -> str:
        """As firewalld writes it."""
        return (
            f'rule family="ipv{self.address.version}" source mac="{self.mac.lower()}"'
            f' destination address="{self.address}/{self.address.max_prefixlen}" accept'
        )


def keep(owner: str, wanted: Iterable[Reach]) -> list[str]:
    """Make the policy ``owner`` have exactly these rules; without any, only if it is there.

    A line for each thing that was put right. Raises KernelError.
    """
    rules = {str(one) for one in wanted}
    lines: list[str] = []
    if owner not in _call("policy", "getPolicies"):
        if not rules:
            return []
        lines = _make(owner)
    found = _rules(owner)
    if found == rules:
        return lines
    words = ("1", "rich_rules", "as", str(len(rules)), *sorted(rules))
    _call("policy", "setPolicySettings", "sa{sv}", owner, *words)
    gone, come = found - rules, rules - found
    return (
        lines
        + [f"firewalld: {rule} removed" for rule in sorted(gone)]
        + [f"firewalld: {rule} added" for rule in sorted(come)]
    )


def lacking(owner: str, wanted: Iterable[Reach]) -> list[str]:
    """What ``keep`` would add, a line each; nothing is changed. Raises KernelError."""
    there = owner in _call("policy", "getPolicies")
    missing = {str(one) for one in wanted} - (_rules(owner) if there else set())
    return [f"firewalld lacks our {one}" for one in sorted(missing)]


def _rules(owner: str) -> set[str]:
    settings = _call("policy", "getPolicySettings", "s", owner)
    return set(settings["rich_rules"]["data"]) if "rich_rules" in settings else set()


def unasked(wanted: Iterable[Reach]) -> list[str]:
    """Whom no policy of firewalld's can open the way to: a line for each pair of devices.

    Raises KernelError.
    """
    pairs = sorted({(one.overlay, one.device) for one in wanted})
    zones = {
        name: _call("zone", "getZoneOfInterface", "s", name) for pair in pairs for name in pair
    }
    return [
        f"firewalld stops what comes by {overlay} for guests on {device}, as neither is in a zone"
        f" by name: firewall-cmd --permanent --zone=ZONE --add-interface={device}, and --reload"
        for overlay, device in pairs
        if not zones[overlay] and not zones[device]
    ]


def refuses_ways_back(table: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it drops IPv6 that comes by another device than answers leave by, marks apart.

    That is its IPv6_rpfilter=strict, or strict-forward; what the edge brings comes so.
    """
    rules = (one["rule"]["expr"] for one in table if "rule" in one)
    return any(_is_strict(expressions) for expressions in rules)


def _is_strict(expressions: Iterable[Mapping[str, Any]]) -> bool:
    lefts = (one["match"]["left"] for one in expressions if "match" in one)
    flags = (left["fib"]["flags"] for left in lefts if isinstance(left, dict) and "fib" in left)
    return any({"saddr", "iif"} <= set(some) for some in flags)


def _make(owner: str) -> list[str]:
    """The policy, from everywhere to everywhere: its rules say what is meant."""
    lines = []
    if owner not in _call("config", "getPolicyNames", place="/config"):
        settings = (
            *("ingress_zones", "as", *EVERYWHERE),
            *("egress_zones", "as", *EVERYWHERE),
            *("priority", "i", str(FIRST)),
            *("target", "s", "CONTINUE"),
        )
        _call("config", "addPolicy", "sa{sv}", owner, "4", *settings, place="/config")
        lines.append(f"firewalld: policy {owner} made")
    _call("", "reload")
    return [*lines, "firewalld: reloaded, for its policies to count"]


def _call(interface: str, method: str, *arguments: str, place: str = "") -> Any:
    """What firewalld answers; None where it is nothing."""
    where = f"{SERVICE}.{interface}" if interface else SERVICE
    # Not to be started: where it does not run, nobody wants it to.
    command = ["busctl", "--json=short", "--auto-start=no", "--", "call", SERVICE]
    try:
        done = subprocess.run(
            [*command, PLACE + place, where, method, *arguments],
            capture_output=True,
            text=True,
            timeout=LONGEST_CALL,
            check=False,
            # Programs of systemd's would tell our own service manager how they ended.
            env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"},
        )
    except FileNotFoundError as error:
        raise KernelError(
            "firewalld can not be spoken to: there is no busctl command",
            hint="apt install systemd, or set NftablesTableOwner=no in firewalld.conf",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"firewalld did not answer within {LONGEST_CALL:.0f} s") from error
    if done.returncode:
        said = done.stderr.strip() or "it gave no reason"
        raise KernelError(f"firewalld refused {method}: {said}")
    return json.loads(done.stdout)["data"][0] if done.stdout.strip() else None

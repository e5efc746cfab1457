"""What of ours stands in the kernels, as text that is the same whenever it is the same."""

import re

from tests.kernel.shown import settled
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.topology import OVERLAY_DEVICE, UPLINK_DEVICE

WORD = re.compile(r"[^,{}\n]+")


def nft_words(machine: Machine, table: str) -> set[str]:
    """The rules and elements of a table, whatever their order; empty where there is none."""
    listed = machine.run("nft", "-s", "list", "table", "inet", table, check=False).stdout
    return {word.strip() for word in WORD.findall(settled(listed))} - {""}


def lines(machine: Machine, *command: str) -> set[str]:
    """What a program prints, line by line."""
    return {" ".join(line.split()) for line in machine.run(*command).stdout.splitlines()}


def settings(machine: Machine, *paths: str) -> set[str]:
    """Settings under /proc/sys/net/ipv4, also where they are not there."""
    command = "for one; do echo $one $(cat /proc/sys/net/ipv4/$one 2>/dev/null); done"
    return lines(machine, "sh", "-c", command, "sh", *paths)


def edge_kernel(lab: Lab) -> set[str]:
    """All that zthook keeps in the edge's kernel."""
    return (
        nft_words(lab.edge, "zthook")
        | lines(lab.edge, "ip", "route", "show", "proto", "123")
        | lines(lab.edge, "ip", "neigh", "show", "proxy")
        | lines(lab.edge, "ip", "neigh", "show", "nud", "permanent")
        | settings(
            lab.edge,
            f"conf/{OVERLAY_DEVICE}/forwarding",
            f"conf/{OVERLAY_DEVICE}/accept_redirects",
            f"conf/{OVERLAY_DEVICE}/rp_filter",
            f"conf/{UPLINK_DEVICE}/forwarding",
            f"neigh/{UPLINK_DEVICE}/proxy_delay",
        )
    )


def host_kernel(host: Host) -> set[str]:
    """All that zthook keeps in a host's kernel, and the chain of others that it is in."""
    return (
        nft_words(host, "zthook_host")
        | lines(host, "ip", "rule", "show")
        | lines(host, "ip", "route", "show", "table", "12300")
        | lines(host, "ip", "neigh", "show", "nud", "permanent")
        | lines(host, "iptables", "-S", "FORWARD")
        | settings(host, f"conf/{OVERLAY_DEVICE}/rp_filter", "ip_forward")
    )

"""Firewalls as text, and as they are listed."""

import json
import subprocess

from zthook.kernel.firewalls import chains
from zthook.kernel.firewalls import iptables as listed
from zthook.kernel.firewalls.placing import Chains

TABLE = """
table inet {table} {{
    set banned {{ type ipv4_addr; elements = {{ 192.0.2.1 }}; }}
    map ways {{ type ifname : verdict; }}
    map pairs {{ type ipv4_addr . ipv4_addr : verdict; }}
    chain stop {{
        drop
    }}
    chain ok {{
        accept
    }}
    chain other {{
        type filter hook input priority filter; policy drop;
    }}
    chain forward {{
        type filter hook forward priority filter; policy {policy};
        {rules}
    }}
}}
"""


def iptables(listing: str) -> Chains:
    """The chains of ``iptables -S``; those of a fresh table are there in any case."""
    lines = ["-P FORWARD ACCEPT", *listing.splitlines()]
    return listed.read("\n".join(filter(None, lines)))


def nftables(policy: str, rules: str, *, table: str = "filter") -> Chains:
    """The chains of a table with a chain ``forward`` of these rules, as nft lists it."""
    text = TABLE.format(table=table, policy=policy, rules=rules)
    # In a network namespace of the process's own, which is gone with it.
    script = f"nft -f - && nft -j -t list table inet {table}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return chains.read(json.loads(done.stdout)["nftables"], "forward").chains

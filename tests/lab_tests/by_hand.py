"""What zthook does, typed by hand: to see that the lab carries it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import Host, Lab

PUBLIC = "203.0.113.10"

# What people type by hand on the edge today: DNAT in, and the edge's overlay address as source.
BY_HAND = """
table ip by_hand {{
    chain in {{
        type nat hook prerouting priority dstnat
        ip daddr 203.0.113.10 dnat to {private}
    }}
    chain out {{
        type nat hook postrouting priority srcnat
        oifname overlay0 masquerade
    }}
}}
"""


@contextmanager
def mapped_by_hand(lab: Lab, host: Host, private: str) -> Iterator[None]:
    """While inside, the client reaches ``private`` on ``host`` at PUBLIC."""
    hole = ("FORWARD", "-i", "overlay0", "-d", private, "-j", "ACCEPT")
    lab.edge.namespace.sysctl(ipv4__ip_forward=1)
    lab.edge.ip(
        f"addr add {PUBLIC}/32 dev uplink0",
        f"route add {private}/32 via {host.overlay_address}",
    )
    lab.edge.run("nft", "-f", "-", stdin=BY_HAND.format(private=private))
    host.run("iptables", "-I", *hole)
    try:
        yield
    finally:
        host.run("iptables", "-D", *hole)
        lab.edge.run("nft", "flush", "ruleset")
        lab.edge.ip(f"route del {private}/32", f"addr del {PUBLIC}/32 dev uplink0")
        lab.edge.namespace.sysctl(ipv4__ip_forward=0)

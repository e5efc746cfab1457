"""What is for the edge itself, and what it sends."""

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.inward import clamp
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import IPV6, Family

# Of IPv4 the kernel itself drops such advice where an address is translated, as a member's is.
NO_SHORTER_WAY = (
    "oifname @overlay icmpv6 type nd-redirect drop",
    "members go by the edge, also to each other",
)

NEIGHBOURS = (
    "iifname @uplinks icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "who asks whether an address is still here asks at that address",
)

KNOCKS_A_SECOND, KNOCKS_AT_ONCE = 4, 32
"""Connections to the API that one address may begin; an agent needs two, and several hosts may
come by one LAN gateway. Whoever is dropped tries again after a second, as TCP does. The MAC counts
too: nobody uses up what another may by sending under his address."""
DEFINITIONS = (
    "set knocks { type ether_addr . ipv4_addr; size 65535; flags dynamic; timeout 60s; }",
)  # fmt: skip
"""The set that the kernel itself fills, by who begins connections to the API. Of one that is full
nothing matches: all come through then to the edge, which has bounds of its own."""

API = (
    (
        'tcp dport @api_ports iifname != "lo" iifname != @overlay drop',
        "the API is for the overlay",
    ),
    (
        f"iifname @overlay tcp dport @api_ports {shelter.OPENS}"
        " update @knocks { ether saddr . ip saddr"
        f" limit rate over {KNOCKS_A_SECOND}/second burst {KNOCKS_AT_ONCE} packets }} drop",
        "a member knocks too often",
    ),
)


def own_ports(of: Family, shape: Shape) -> Rules:
    return (
        *((NEIGHBOURS,) if of is IPV6 else ()),
        (
            f"iifname @uplinks {of.ip} daddr @routed{of.suffix} drop",
            "a guest's, also while the overlay is away",
        ),
        *shelter.asked(of, shape),
    )


def own_packets(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        *((NO_SHORTER_WAY,) if of is IPV6 else ()),
        clamp(of, "oifname"),
        (
            "ct direction original"
            f" ct original {ip} daddr . {ip} daddr @arriving_parts{s} goto own_to_parts{s}",
            "to a part of an address",
        ),
        (f"{ip} daddr @routed{s} goto own_to_routed{s}", "to a routed address"),
    )


def own_to_parts(of: Family) -> Rules:
    return (
        (f"jump to_ports{of.suffix}", "also the edge is one of the clients"),
        ("accept", "through a mapping that is"),
    )


def own_to_routed(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{ip} daddr @routed_whole{s} accept", "to all of it"),
        (f"goto to_routed_parts{s}", "to a part of it"),
    )

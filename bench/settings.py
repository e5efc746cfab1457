"""What forwards at the edges that are measured: a router, our mappings, rules of today."""

from collections.abc import Callable
from ipaddress import IPv4Address

from bench.lanes import HOST, HOST_MAC, OVERLAY, Lane, Target, inside
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Mode

FIRST_PUBLIC, FIRST_PRIVATE = IPv4Address("198.19.0.0"), IPv4Address("10.0.0.0")
PLAIN = Target(FIRST_PUBLIC, FIRST_PUBLIC)
KEEP = Target(FIRST_PUBLIC + 1, FIRST_PRIVATE + 1)
HIDE = Target(FIRST_PUBLIC + 2, FIRST_PRIVATE + 2, OVERLAY)
ROUTED = Target(FIRST_PUBLIC + 3, FIRST_PUBLIC + 3)
KINDS = (KEEP, HIDE, ROUTED)
OTHERS = 4
"""From this one on addresses are those of mappings that nothing is sent to."""

CONNTRACK = """table inet bench {
    chain look { type filter hook forward priority 0; policy accept; ct state invalid drop; }
}
"""
MAPS_ALONE = f"""table ip bench {{
    map inward {{ type ipv4_addr : ipv4_addr;
        elements = {{ {KEEP.public} : {KEEP.private}, {HIDE.public} : {HIDE.private} }}
    }}
    map hidden {{ type ipv4_addr : ipv4_addr; elements = {{ {HIDE.private} : {OVERLAY} }}
    }}
    chain arriving {{ type nat hook prerouting priority dstnat; policy accept;
        dnat to ip daddr map @inward
    }}
    chain leaving {{ type nat hook postrouting priority srcnat; policy accept;
        snat to ip daddr map @hidden
    }}
}}
"""
UNTRACKED = f"""table ip bench {{
    set routed {{ type ipv4_addr; elements = {{ {ROUTED.public} }}
    }}
    chain untrack {{ type filter hook prerouting priority raw; policy accept;
        ip daddr @routed notrack
        ip saddr @routed notrack
    }}
    chain look {{ type filter hook forward priority 0; policy accept; ct state invalid drop
    }}
}}
"""
"""With what makes this kernel track connections at all, as it does at our edges."""

Setting = Callable[[Lane], None]


def routing(lane: Lane) -> None:
    """A plain router."""
    lane.inside("ip", "route", "add", f"{PLAIN.public}/32", "via", HOST)


def following(lane: Lane) -> None:
    """A router that follows connections."""
    routing(lane)
    lane.inside("nft", "-f", "-", stdin=CONNTRACK)


def maps_alone(lane: Lane) -> None:
    """What translating costs where nothing is filtered and nothing counted."""
    lane.inside("nft", "-f", "-", stdin=MAPS_ALONE)
    for one in (KEEP, HIDE):
        lane.inside("ip", "route", "add", f"{one.private}/32", "via", HOST)


def untracked_alone(lane: Lane) -> None:
    """What routing without tracking costs where nothing is filtered and nothing counted."""
    lane.inside("nft", "-f", "-", stdin=UNTRACKED)
    lane.inside("ip", "route", "add", f"{ROUTED.public}/32", "via", HOST)


def ours(size: int, *kinds: Target) -> Setting:
    """The edge that ``plane_of`` describes."""

    def apply(lane: Lane) -> None:
        with inside(lane.edge):
            dataplane = KernelEdgeDataplane()
            dataplane.apply(plane_of(size, *kinds))
            dataplane.close()

    return apply


def plane_of(size: int, *kinds: Target) -> EdgePlane:
    """``size`` mappings, one of each of these kinds, and others of all kinds."""
    others = (
        forwarding_of(KINDS[one % 3], FIRST_PUBLIC + one, FIRST_PRIVATE + one)
        for one in range(OTHERS, OTHERS + size - len(kinds))
    )
    measured = (forwarding_of(kind, kind.public, kind.private) for kind in kinds)
    return EdgePlane(
        overlay="overlay0",
        overlay_address=OVERLAY,
        uplinks=frozenset({"uplink0"}),
        api_port=9443,
        pool_ranges=(AddressRange(FIRST_PUBLIC, FIRST_PUBLIC + 2**16 - 1),),
        forwardings=frozenset((*measured, *others)),
    )


def forwarding_of(kind: Target, public: IPv4Address, private: IPv4Address) -> Forwarding:
    """A mapping of that kind."""
    return Forwarding(
        public=public,
        arrives_as=public,
        private=private,
        next_hop=HOST,
        next_hop_mac=HOST_MAC,
        uplink="uplink0",
        hide=kind is HIDE,
        mode=Mode.ROUTED if kind is ROUTED else Mode.NAT,
    )


def by_iptables(size: int) -> Setting:
    """Two rules a guest, as people type them; the last guest's is measured."""

    def apply(lane: Lane) -> None:
        others = range(OTHERS, OTHERS + size - 1)
        pairs = [(FIRST_PUBLIC + one, FIRST_PRIVATE + one) for one in others]
        pairs.append((KEEP.public, KEEP.private))
        arriving = (
            f"-A PREROUTING -d {public} -j DNAT --to {private}" for public, private in pairs
        )
        leaving = (
            f"-A POSTROUTING -s {private} -j SNAT --to {public}" for public, private in pairs
        )
        rules = "\n".join(["*nat", *arriving, *leaving, "COMMIT\n"])
        lane.inside("iptables-restore", stdin=rules)
        lane.inside("ip", "route", "add", f"{KEEP.private}/32", "via", HOST)

    return apply

"""What passes on its way to guests: to parts of addresses, whose clients or ports are checked."""

from zthook.kernel.edge.chains.chain import NOTHING_ELSE, PASSED, Rules
from zthook.kernel.edge.sets import IPV4, Family


def passed(of: Family) -> Rules:
    """At the head of where all goes that crosses: what is dropped after it is seen by nobody."""
    mark = f"meta mark set meta mark | 0x{PASSED:08x}"
    return ((mark, "other firewalls know by it what was let through here"),) if of is IPV4 else ()


def clamp(of: Family, device: str) -> tuple[str, str]:
    return (
        f"tcp flags & (syn | rst) == syn tcp option maxseg size set {device} map @mss{of.suffix}",
        "what the overlay can carry",
    )


def to_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr @arriving_parts{s} accept"
    return (
        (f"{ip} daddr @routed{s} goto to_routed_parts{s}", "routed"),
        (
            f"ct state related meta l4proto {of.icmp} {way}",
            "routers may report errors, whoever they are",
        ),
        (f"jump to_ports{s}", "only to the ports and from the clients that are"),
        (way, "through a mapping that is"),
        NOTHING_ELSE,
    )


def to_ports(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    ported = f"{way} . meta l4proto . th dport"
    return (
        (f"{ported} @ports{s} goto from_clients{s}", "the guest's port"),
        (f"{ported} @port_ranges{s} goto from_clients{s}", "the guest's range of ports"),
        (f"{way} @whole{s} goto from_clients{s}", "all of them"),
        NOTHING_ELSE,
    )


def from_clients(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    return (
        (f"{way} @everybody{s} return", "everybody may"),
        (f"{way} . {ip} saddr @allowed{s} return", "this client may"),
        ("drop", "nobody else"),
    )


def to_routed_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    ported = f"{ip} daddr . meta l4proto . th dport"
    return (
        (f"{of.errors} accept", "routers may report errors, whoever they are"),
        (f"{ported} @routed_ports{s} accept", "a port, for everybody"),
        (f"{ported} . {ip} saddr @routed_ranges{s} accept", "ports, for these clients"),
        (f"{ip} daddr . {ip} saddr @routed_clients{s} accept", "all of it, for these clients"),
        NOTHING_ELSE,
    )

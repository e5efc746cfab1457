"""What passes on its way from guests, each from the member that has it."""

from zthook.kernel.edge.chains.chain import NOTHING_ELSE, Rules
from zthook.kernel.edge.sets import Family


def answering(of: Family) -> str:
    """Also errors that routers on the way to the guest report: they belong to the connection."""
    ip, s = of.ip, of.suffix
    return f"ether saddr . ct reply {ip} saddr . ct original {ip} daddr @answering{s}"


def from_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    related = f"ct state related meta l4proto {of.icmp} ether saddr . ct original {ip} saddr"
    return (
        (
            "ct direction original ct state new tcp flags & (fin | syn | rst | ack) != syn"
            f" {ip} saddr != @untracked{s} drop",
            "an answer in a connection that was ended begins none",
        ),
        (
            f"ct direction original ether saddr . {ip} saddr @outgoing_parts{s} accept",
            "what a guest begins, from its member",
        ),
        (f"{related} @outgoing{s} accept", "routers on the way to it may report errors"),
        (f"{related} @outgoing_parts{s} accept", "routers on the way to it may report errors"),
        (f"goto from_routed_parts{s}", "or routed"),
    )


def from_routed_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    ported = f"ether saddr . {ip} saddr . meta l4proto . th sport"
    return (
        (f"{ported} @routed_out_ports{s} accept", "from a port, from its member"),
        (f"{ported} @routed_out_ranges{s} accept", "from its ports, from its member"),
        (f"ether saddr . {ip} saddr @routed_errors{s} {of.errors} accept", "errors"),
        NOTHING_ELSE,
    )

"""What passes from one member to another: to a public address, and back."""

from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.outward import answering
from zthook.kernel.edge.sets import Family


def between_members(of: Family) -> Rules:
    """The way of one guest, or member, to another guest's public address."""
    ip, s = of.ip, of.suffix
    return (
        (f"ct direction reply goto answers_between{s}", "answers"),
        (f"jump senders{s}", "with an address that is the sender's"),
        (
            f"{ip} saddr set {ip} saddr map @outward{s}",
            "clients are allowed by their public address",
        ),
        (f"ct original {ip} daddr . {ip} daddr @arriving{s} accept", "through a mapping that is"),
        (f"{ip} daddr @routed_whole{s} accept", "to a routed address"),
        (f"goto to_parts{s}", "to a part of an address, or to nobody"),
    )


def answers_between(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{answering(of)} accept", "from the member that holds it"),
        (f"ether saddr . {ip} saddr @routed_out{s} accept", "routed, from its member"),
        (f"goto from_routed_parts{s}", "from a part of an address, or from nobody"),
    )


def senders(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    member = f"ether saddr . {ip} saddr"
    ported = f"{member} . meta l4proto . th sport"
    return (
        (f"{member} @outgoing{s} return", "a guest that leaves by the edge"),
        (f"{member} @outgoing_parts{s} return", "a guest that leaves by the edge"),
        (f"{ip} saddr @members{s} return", "a member"),
        (f"{member} @routed_out{s} return", "a routed address"),
        (f"{ported} @routed_out_ports{s} return", "a routed port"),
        (f"{ported} @routed_out_ranges{s} return", "a routed port"),
        (f"{member} @routed_errors{s} {of.errors} return", "errors"),
        ("drop", "nobody else"),
    )

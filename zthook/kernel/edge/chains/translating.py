"""Public to private and back, and clients that are hidden."""

from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import Family

ARRIVING: Rules = (
    ("iifname @uplinks goto translations", "a client, if anything"),
    ("iifname @overlay goto translations", "or a member"),
)

OWN: Rules = (("goto translations", "also the edge is a client"),)

HIDING: Rules = (
    ("iifname @uplinks goto hide_client", "a client, if anything"),
    ("jump hide_client", "also members and the edge are clients"),
)


def translations(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    port = f"meta l4proto {{ tcp, udp }} dnat {ip} to {ip} daddr . meta l4proto . th dport"
    return (
        (f"dnat {ip} to {ip} daddr map @inward{s}", "public to private"),
        (f"{port} map @inward_ports{s}", "public port to the guest's"),
        (f"{port} map @inward_ranges{s}", "public port to the same of the guest's"),
    )


def hide_client(of: Family, shape: Shape) -> Rules:
    way = f"ct original {of.ip} daddr . ct reply {of.ip} saddr"
    rule = f"{way} @sheltered{of.suffix} goto hidden{of.suffix}"
    return ((rule, "hidden, here or by a host"),) if shape.hidden else ()


def hidden(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"meta l4proto tcp jump counted{s}", "how many begin"),
        (
            f"ct original {ip} daddr . ct reply {ip} saddr @hiding{s}"
            f" snat {ip} to oifname map @own{s}",
            "the client becomes the edge",
        ),
    )


def translate_leaving(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (
            f"iifname @overlay snat {ip} to ct original {ip} saddr map @outward{s}",
            "what a guest begins comes from its public address",
        ),
        (
            f"iifname @overlay oifname @overlay {ip} saddr @members{s}"
            f" snat {ip} to oifname map @own{s}",
            "a member becomes the edge: the answer has to come back here",
        ),
        (
            f"oifname @overlay ct status dnat {ip} saddr != @members{s} fib saddr type local"
            f" snat {ip} to oifname map @own{s}",
            "the edge is what it is on the overlay",
        ),
    )

"""What goes neither to the overlay nor comes from it, and must not."""

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import CLOSED6, IPV4, Family

A_HOSTS = 0x0C000000
"""A host's connection marks, as they are unless host.toml says otherwise."""

CLOSED = ("meta nfproto ipv4 iifname @closed drop", "forwarding is on for mappings alone")


def elsewhere(of: Family, shape: Shape) -> Rules:
    """From the uplinks to where neither overlay nor guest is."""
    ip, s = of.ip, of.suffix
    away = "the overlay is away: it must not go anywhere else"
    return (
        *shelter.asked(of, shape),
        (f"iifname @uplinks ct original {ip} daddr @pool{s} jump astray{s}", "of a pool"),
        (
            "iifname @uplinks ct direction reply"
            f" ct reply {ip} daddr . {ip} daddr @returning{s} drop",
            f"an answer to a guest, but {away}",
        ),
        (f"iifname @uplinks {ip} daddr @routed{s} drop", f"routed, but {away}"),
    )


def shut(of: Family) -> Rules:
    """Of IPv6 forwarding is on for all devices at once: where it was off, not for them."""
    if of is IPV4:
        return ()
    shut = f"meta nfproto @{CLOSED6}"
    return (
        (f'{shut} meta iifkind "bridge" meta oifkind "bridge" accept', "bridged, not routed"),
        (f"{shut} ct mark & 0x{A_HOSTS:08x} != 0x0 accept", "a host's, on this machine"),
        (f"{shut} drop", "forwarding is on for mappings alone"),
    )


def astray(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    away = "translated, but the overlay is away: it must not go anywhere else"
    return (
        (f"{way} @arriving{s} drop", away),
        (f"{way} @arriving_parts{s} drop", away),
        ("oifname @uplinks drop", "nobody's: it must not go round in circles"),
    )

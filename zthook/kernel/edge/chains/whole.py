"""What most packets need: whether they pass to, or from, a whole address that is mapped.

As long as its connection lives each packet goes through two or three rules and one look into
one set; to a port that everybody may reach, through two more. What does not pass here goes on
to the rules for all the rest.
"""

from zthook.kernel.edge.chains.chain import PASSED, Rules
from zthook.kernel.edge.chains.inward import clamp
from zthook.kernel.edge.chains.outward import answering
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import Family

PASS = f"meta mark set meta mark | 0x{PASSED:08x} accept"
"""Other firewalls know by the mark what was let through here."""

WHOLE: Rules = (
    ("iifname @overlay oifname @uplinks jump from_whole", "members to the internet"),
    ("oifname @overlay iifname @uplinks jump to_whole", "the internet to members"),
)


def to_whole(of: Family, shape: Shape) -> Rules:
    ip, s = of.ip, of.suffix
    routed = (f"{ip} daddr @routed_whole{s} {PASS}", "to a routed address")
    return (
        *((clamp(of, "oifname"),) if shape.clamps else ()),
        (f"ct original {ip} daddr . {ip} daddr @arriving{s} {PASS}", "through a mapping that is"),
        *((routed,) if shape.routed else ()),
        (
            f"ct direction reply ct reply {ip} daddr . {ip} daddr @returning{s} {PASS}",
            "answers to what a guest began",
        ),
        (
            f"ct original {ip} daddr . {ip} daddr . meta l4proto . th dport @open_ports{s} {PASS}",
            "to a port, for everybody",
        ),
    )


def from_whole(of: Family, shape: Shape) -> Rules:
    ip, s = of.ip, of.suffix
    routed = (f"ether saddr . {ip} saddr @routed_out{s} {PASS}", "routed, from its member")
    return (
        *((clamp(of, "iifname"),) if shape.clamps else ()),
        (
            f"ct direction reply {answering(of)} {PASS}",
            "answers, from the member that holds it",
        ),
        *((routed,) if shape.routed else ()),
        (
            f"ct direction original ether saddr . {ip} saddr @outgoing{s} {PASS}",
            "what a guest begins, from its member",
        ),
    )

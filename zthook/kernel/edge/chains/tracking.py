"""What is remembered of packets as they arrive, and what is forged."""

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import Family

# What IPv4 has rp_filter for, and what it never lets in.
FORGED: Rules = tuple(
    (f"iifname {which} ip6 saddr != {{ ::, fe80::/10 }} fib saddr {what} drop", why)
    for which, what, why in (
        ("@doors", "type local", "from outside nothing has an address of this machine"),
        ("@overlay", "oif missing", "no such source is anywhere"),
    )
)


MEMBERS = ("iifname @overlay goto untrack_answers", "what members send")


def untrack(of: Family, shape: Shape) -> Rules:
    ip, s = of.ip, of.suffix
    routed = (
        f"{ip} daddr @untracked{s} iifname @uplinks notrack accept",
        "routed: nothing to remember",
    )
    return (*((routed,) if shape.routed else ()), *shelter.untracked(of, shape))


def untrack_answers(of: Family) -> Rules:
    """Not those to guests whose address was translated, nor to the edge, whose address a member
    was given: all of them are ``near``.
    """
    ip, s = of.ip, of.suffix
    return (
        (
            f"{ip} saddr @untracked{s} {ip} daddr != @near{s} notrack accept",
            "routed: of the answers neither",
        ),
        (
            f"{ip} saddr @untracked{s} {ip} daddr @untracked{s} notrack",
            "from one routed address to another",
        ),
    )

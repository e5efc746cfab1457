"""What is remembered of packets as they arrive, and what is forged."""

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.sets import Family

# What IPv4 has rp_filter for, and what it never lets in.
FORGED: Rules = tuple(
    (f"iifname {which} ip6 saddr != {{ ::, fe80::/10 }} fib saddr {what} drop", why)
    for which, what, why in (
        ("@doors", "type local", "from outside nothing has an address of this machine"),
        ("@overlay", "oif missing", "no such source is anywhere"),
    )
)


def untrack(of: Family) -> Rules:
    """By address first: it is cheaper to look for than the name of a device."""
    ip, s = of.ip, of.suffix
    return (
        (
            f"{ip} daddr @untracked{s} iifname @uplinks notrack accept",
            "routed: nothing to remember",
        ),
        (
            f"{ip} saddr @untracked{s} iifname @overlay goto answers_untracked{s}",
            "routed: of the answers neither, but for some",
        ),
        shelter.untracked(of),
    )


def answers_untracked(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{ip} daddr @untracked{s} notrack accept", "from one routed address to another"),
        (f"{ip} daddr @pool{s} accept", "to a guest whose address was translated"),
        (f"{ip} daddr @members{s} accept", "to the edge, whose address a member was given"),
        ("notrack", "to the internet"),
    )

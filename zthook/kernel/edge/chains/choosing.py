"""By which uplink packets leave, where uplinks have routers of their own."""

from zthook.kernel.edge.chains.chain import Chain, Rules
from zthook.kernel.edge.sets import Family
from zthook.kernel.edge.uplinks import MASK, SHIFT

DEPARTURE = ("iifname @overlay goto uplink_of", "what leaves, if it does")


def uplink_of(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (
            f"ct direction reply ct original {ip} daddr vmap @way_of_public{s}",
            "answers leave by the uplink that was asked",
        ),
        (f"{ip} saddr vmap @way_of_public{s}", "routed: by that of its address"),
        (
            f"ct direction original ct original {ip} saddr vmap @way_of_guest{s}",
            "what a guest begins leaves by that of its public address",
        ),
    )


def own_uplink(of: Family) -> Rules:
    """Of what the edge itself sends in a guest's place (``shelter``)."""
    ip, s = of.ip, of.suffix
    way = f"vmap @way_of_public{s}"
    return (
        (f"meta l4proto tcp ct state invalid {ip} saddr {way}", "a cookie: of no connection yet"),
        (
            f"meta l4proto tcp ct direction reply ct status dnat ct original {ip} daddr {way}",
            "that the guest is there",
        ),
    )


def uplink(number: int) -> Chain:
    mark = f"meta mark set meta mark & 0x{~MASK & 0xFFFFFFFF:08x} | 0x{number << SHIFT:08x}"
    return Chain(f"uplink{number}", "", ((mark, "policy rules know the way by it"),))

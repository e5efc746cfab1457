"""The edge's rules, which are the same for no mapping and for 65,000.

What most packets need stands first (``whole``). IPv6 has the same rules in chains of its own,
but where they stand behind IPv4's.
"""

from collections.abc import Callable

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.between import answers_between, between_members, senders
from zthook.kernel.edge.chains.chain import Chain, Rules
from zthook.kernel.edge.chains.choosing import DEPARTURE, own_uplink, uplink, uplink_of
from zthook.kernel.edge.chains.elsewhere import CLOSED, astray, elsewhere, shut
from zthook.kernel.edge.chains.inward import (
    from_clients,
    passed,
    to_parts,
    to_ports,
    to_routed_parts,
)
from zthook.kernel.edge.chains.outward import from_parts, from_routed_parts
from zthook.kernel.edge.chains.own import API, own_packets, own_ports, own_to_parts, own_to_routed
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.chains.tracking import FORGED, MEMBERS, untrack, untrack_answers
from zthook.kernel.edge.chains.translating import (
    ARRIVING,
    HIDING,
    OWN,
    hidden,
    hide_client,
    translate_leaving,
    translations,
)
from zthook.kernel.edge.chains.whole import WHOLE, from_whole, to_whole
from zthook.kernel.edge.sets import IPV4, IPV6, Family
from zthook.kernel.edge.uplinks import MOST

BEFORE_THE_OVERLAY = "before_the_overlay"

# Where the kernel calls a chain: before conntrack looks; before the NAT and the filters of others.
UNTRACK = "filter hook prerouting priority raw"

CHOOSE = "filter hook prerouting priority mangle"

CHOOSE_OWN = "route hook output priority mangle"

ARRIVE = "nat hook prerouting priority dstnat - 5"

BEGIN = "nat hook output priority -105"

LEAVE = "nat hook postrouting priority srcnat - 5"

FORWARD = "filter hook forward priority filter - 10"

INPUT = "filter hook input priority filter - 5"

OUTPUT = "filter hook output priority filter - 5"

CROSSINGS = (
    "iifname . oifname vmap @crossings",
    "internet to overlay, overlay to internet, overlay to overlay",
)


def chains(shape: Shape) -> tuple[Chain, ...]:
    """All that an edge of this shape needs; for other shapes chains of the same names differ."""
    families = shape.families
    found = (
        *_bases(shape),
        *(chain for of in families for chain in _subchains(of, shape)),
        *(_choosing(families) if shape.ways else ()),
    )
    return tuple(
        Chain(one.name, one.hook, tuple((shape.naming(rule), why) for rule, why in one.rules))
        for one in found
    )


def _bases(shape: Shape) -> tuple[Chain, ...]:
    """What the kernel calls, and what of both families they have in common."""

    def each(rules: Callable[[Family], Rules]) -> Rules:
        return tuple(rule for family in shape.families for rule in rules(family))

    def shaped(rules: Callable[[Family, Shape], Rules]) -> Rules:
        return each(lambda of: rules(of, shape))

    forged = FORGED if IPV6 in shape.families else ()
    members = (MEMBERS,) if shape.routed else ()
    return (
        Chain("untrack", UNTRACK, (*forged, *members, *shaped(untrack))),
        Chain("untrack_answers", "", each(untrack_answers)),
        Chain("translate_arriving", ARRIVE, (*shaped(shelter.untranslated), *ARRIVING)),
        Chain("translate_own", BEGIN, OWN),
        Chain("translations", "", each(translations)),
        Chain("translate_leaving", LEAVE, (*HIDING, *each(translate_leaving))),
        Chain("hide_client", "", shaped(hide_client)),
        Chain("forward", FORWARD, (*WHOLE, CROSSINGS, *shaped(elsewhere), CLOSED, *each(shut))),
        Chain("own_ports", INPUT, (*API, *shaped(own_ports))),
        Chain("own_packets", OUTPUT, each(own_packets)),
    )


def _choosing(families: tuple[Family, ...]) -> tuple[Chain, ...]:
    return (
        Chain("choose_uplink", CHOOSE, (DEPARTURE,)),
        Chain(
            "choose_for_cookies",
            CHOOSE_OWN,
            tuple(rule for of in families for rule in own_uplink(of)),
        ),
        *(
            Chain(
                f"uplink_of{of.suffix}",
                "",
                (*_next(of, families)("uplink_of"), *uplink_of(of)),
            )
            for of in families
        ),
        *(uplink(number) for number in range(1, MOST + 1)),
    )


def _next(family: Family, families: tuple[Family, ...]) -> Callable[[str], Rules]:
    """The rule by which IPv6 leaves chains in which IPv4 comes first."""
    if family is IPV4 and IPV6 in families:
        return lambda chain: ((f"meta nfproto ipv6 goto {chain}6", "by rules of its own"),)
    return lambda _: ()


def _subchains(of: Family, shape: Shape) -> tuple[Chain, ...]:
    six = _next(of, shape.families)
    rules = {
        "to_whole": (*to_whole(of, shape), *six("to_whole")),
        "from_whole": (*from_whole(of, shape), *six("from_whole")),
        "hidden": hidden(of),
        "counted": shelter.counted(of),
        "cookies": shelter.cookies(of),
        "astray": astray(of),
        "to_guests": (
            *passed(of),
            *six("to_guests"),
            *shelter.asked(of, shape),
            (f"goto to_parts{of.suffix}", "to a part of an address, or to nobody"),
        ),
        "to_parts": to_parts(of),
        "to_ports": to_ports(of),
        "from_clients": from_clients(of),
        "to_routed_parts": to_routed_parts(of),
        "from_guests": (
            *passed(of),
            *six("from_guests"),
            (f"goto from_parts{of.suffix}", "from a part of an address, or from nobody"),
        ),
        "from_parts": from_parts(of),
        "from_routed_parts": from_routed_parts(of),
        "between_members": (*passed(of), *six("between_members"), *between_members(of)),
        "answers_between": answers_between(of),
        "senders": senders(of),
        "own_to_parts": own_to_parts(of),
        "own_to_routed": own_to_routed(of),
    }
    return tuple(Chain(f"{name}{of.suffix}", "", some) for name, some in rules.items())


def before_the_overlay(overlay: str) -> Chain:
    """What drops while the overlay's name is only known by a pattern ("zt*")."""
    return Chain(
        BEFORE_THE_OVERLAY,
        FORWARD,
        (
            (f'iifname @uplinks oifname "{overlay}" drop', "no mapping is known yet"),
            (f'iifname "{overlay}" drop', "no member is known yet"),
        ),
    )

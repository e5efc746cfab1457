"""The edge's rules, which are the same for no mapping and for 65,000.

What most packets need stands first: once it is known from where to where, a client's packet to
a whole address passes after one look into one set, and so does the answer to it. IPv6 has the
same rules in chains of its own.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from zthook.kernel.edge import shelter
from zthook.kernel.edge.sets import CLOSED6, IPV4, IPV6, Family
from zthook.kernel.edge.uplinks import MASK, MOST, SHIFT

BEFORE_THE_OVERLAY = "before_the_overlay"
Rules = tuple[tuple[str, str], ...]
"""Rules, each with why it is there."""

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

PASSED = 0x10000000
"""The bit of packet marks that says that these rules let it through."""

NOTHING_ELSE = ("drop", "nothing else")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: the hook at which it is called (none: other chains go to it), and its rules."""

    name: str
    hook: str
    rules: Rules

    @property
    def base(self) -> str:
        """What nft calls its type, hook and priority; empty without a hook."""
        return f"type {self.hook}; policy accept;" if self.hook else ""


def chains(families: Collection[Family], *, uplinks: bool = False) -> tuple[Chain, ...]:
    """All of them, of IPv4 and, where it is among the families, of IPv6.

    ``uplinks``: with those that choose one. They would cost each new flow some percent.
    """

    def each(rules: Callable[[Family], Rules]) -> Rules:
        return tuple(rule for family in families for rule in rules(family))

    return (
        Chain("untrack", UNTRACK, (*(FORGED if IPV6 in families else ()), *each(_untrack))),
        Chain("translate_arriving", ARRIVE, each(_translate_arriving)),
        Chain("translate_own", BEGIN, each(lambda family: _translations(family, ""))),
        Chain("translate_leaving", LEAVE, (*HIDING, *each(_translate_leaving))),
        Chain("hide_client", "", each(_hide_client)),
        Chain("forward", FORWARD, (CROSSINGS, *each(_elsewhere), CLOSED, *each(_shut))),
        Chain("own_ports", INPUT, (API, *each(_own_ports))),
        Chain("own_packets", OUTPUT, each(_own_packets)),
        *(chain for family in families for chain in _subchains(family, _next(family, families))),
        *(_choosing(families) if uplinks else ()),
    )


def _choosing(families: Collection[Family]) -> tuple[Chain, ...]:
    return (
        Chain("choose_uplink", CHOOSE, (DEPARTURE,)),
        Chain(
            "choose_for_cookies",
            CHOOSE_OWN,
            tuple(rule for of in families for rule in _own_uplink(of)),
        ),
        *(
            Chain(
                f"uplink_of{of.suffix}",
                "",
                (*_next(of, families)("uplink_of"), *_uplink_of(of)),
            )
            for of in families
        ),
        *(_uplink(number) for number in range(1, MOST + 1)),
    )


def _next(family: Family, families: Collection[Family]) -> Callable[[str], Rules]:
    """The rule by which IPv6 leaves chains in which IPv4 comes first."""
    if family is IPV4 and IPV6 in families:
        return lambda chain: ((f"meta nfproto ipv6 goto {chain}6", "by rules of its own"),)
    return lambda _: ()


def _subchains(of: Family, six: Callable[[str], Rules]) -> tuple[Chain, ...]:
    rules = {
        "hidden": _hidden(of),
        "counted": shelter.counted(of),
        "cookies": shelter.cookies(of),
        "answers_untracked": _answers_untracked(of),
        "astray": _astray(of),
        "to_guests": (
            *_passed(of),
            _clamp(of, "oifname"),
            *_to_whole(of),
            _returning(of),
            *six("to_guests"),
            shelter.asked(of),
            (f"goto to_parts{of.suffix}", "to a part of an address, or to nobody"),
        ),
        "to_parts": _to_parts(of),
        "to_ports": _to_ports(of),
        "from_clients": _from_clients(of),
        "to_routed_parts": _to_routed_parts(of),
        "from_guests": (
            *_passed(of),
            _clamp(of, "iifname"),
            *_from_whole(of),
            *six("from_guests"),
            (f"goto from_parts{of.suffix}", "from a part of an address, or from nobody"),
        ),
        "from_parts": _from_parts(of),
        "from_routed_parts": _from_routed_parts(of),
        "between_members": (*_passed(of), *six("between_members"), *_between_members(of)),
        "answers_between": _answers_between(of),
        "senders": _senders(of),
        "own_to_parts": _own_to_parts(of),
        "own_to_routed": _own_to_routed(of),
    }
    return tuple(Chain(f"{name}{of.suffix}", "", some) for name, some in rules.items())


CROSSINGS = (
    "iifname . oifname vmap @crossings",
    "internet to overlay, overlay to internet, overlay to overlay",
)
DEPARTURE = ("iifname @overlay goto uplink_of", "what leaves, if it does")
CLOSED = ("meta nfproto ipv4 iifname @closed drop", "forwarding is on for mappings alone")
A_HOSTS = 0x0C000000
"""A host's connection marks, as they are unless host.toml says otherwise."""
HIDING: Rules = (
    ("iifname @uplinks goto hide_client", "a client, if anything"),
    ("jump hide_client", "also members and the edge are clients"),
)
# Of IPv4 the kernel itself drops such advice where an address is translated, as a member's is.
NO_SHORTER_WAY = (
    "oifname @overlay icmpv6 type nd-redirect drop",
    "members go by the edge, also to each other",
)
NEIGHBOURS = (
    "iifname @uplinks icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "who asks whether an address is still here asks at that address",
)
# What IPv4 has rp_filter for, and what it never lets in.
FORGED: Rules = tuple(
    (f"iifname {which} ip6 saddr != {{ ::, fe80::/10 }} fib saddr {what} drop", why)
    for which, what, why in (
        ("@doors", "type local", "from outside nothing has an address of this machine"),
        ("@overlay", "oif missing", "no such source is anywhere"),
    )
)
API = (
    'tcp dport @api_ports iifname != "lo" iifname != @overlay drop',
    "the API is for the overlay",
)


def _untrack(of: Family) -> Rules:
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


def _answers_untracked(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{ip} daddr @untracked{s} notrack accept", "from one routed address to another"),
        (f"{ip} daddr @pool{s} accept", "to a guest whose address was translated"),
        (f"{ip} daddr @members{s} accept", "to the edge, whose address a member was given"),
        ("notrack", "to the internet"),
    )


def _uplink_of(of: Family) -> Rules:
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


def _own_uplink(of: Family) -> Rules:
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


def _uplink(number: int) -> Chain:
    mark = f"meta mark set meta mark & 0x{~MASK & 0xFFFFFFFF:08x} | 0x{number << SHIFT:08x}"
    return Chain(f"uplink{number}", "", ((mark, "policy rules know the way by it"),))


def _translate_arriving(of: Family) -> Rules:
    return shelter.untranslated(of), *_translations(of, "iifname @doors ")


def _translations(of: Family, where: str) -> Rules:
    ip, s = of.ip, of.suffix
    port = f"{where}meta l4proto {{ tcp, udp }} dnat {ip} to {ip} daddr . meta l4proto . th dport"
    return (
        (f"{where}dnat {ip} to {ip} daddr map @inward{s}", "public to private"),
        (f"{port} map @inward_ports{s}", "public port to the guest's"),
        (f"{port} map @inward_ranges{s}", "public port to the same of the guest's"),
    )


def _hide_client(of: Family) -> Rules:
    way = f"ct original {of.ip} daddr . ct reply {of.ip} saddr"
    return ((f"{way} @sheltered{of.suffix} goto hidden{of.suffix}", "hidden, here or by a host"),)


def _hidden(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"meta l4proto tcp jump counted{s}", "how many begin"),
        (
            f"ct original {ip} daddr . ct reply {ip} saddr @hiding{s}"
            f" snat {ip} to oifname map @own{s}",
            "the client becomes the edge",
        ),
    )


def _translate_leaving(of: Family) -> Rules:
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


def _passed(of: Family) -> Rules:
    """At the head of where all goes that crosses: what is dropped after it is seen by nobody."""
    mark = f"meta mark set meta mark | 0x{PASSED:08x}"
    return ((mark, "other firewalls know by it what was let through here"),) if of is IPV4 else ()


def _elsewhere(of: Family) -> Rules:
    """From the uplinks to where neither overlay nor guest is."""
    ip, s = of.ip, of.suffix
    away = "the overlay is away: it must not go anywhere else"
    return (
        shelter.asked(of),
        (f"iifname @uplinks ct original {ip} daddr @pool{s} jump astray{s}", "of a pool"),
        (
            "iifname @uplinks ct direction reply"
            f" ct reply {ip} daddr . {ip} daddr @returning{s} drop",
            f"an answer to a guest, but {away}",
        ),
        (f"iifname @uplinks {ip} daddr @routed{s} drop", f"routed, but {away}"),
    )


def _shut(of: Family) -> Rules:
    """Of IPv6 forwarding is on for all devices at once: where it was off, not for them."""
    if of is IPV4:
        return ()
    shut = f"meta nfproto @{CLOSED6}"
    return (
        (f'{shut} meta iifkind "bridge" meta oifkind "bridge" accept', "bridged, not routed"),
        (f"{shut} ct mark & 0x{A_HOSTS:08x} != 0x0 accept", "a host's, on this machine"),
        (f"{shut} drop", "forwarding is on for mappings alone"),
    )


def _astray(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    away = "translated, but the overlay is away: it must not go anywhere else"
    return (
        (f"{way} @arriving{s} drop", away),
        (f"{way} @arriving_parts{s} drop", away),
        ("oifname @uplinks drop", "nobody's: it must not go round in circles"),
    )


def _clamp(of: Family, device: str) -> tuple[str, str]:
    return (
        f"tcp flags & (syn | rst) == syn tcp option maxseg size set {device} map @mss{of.suffix}",
        "what the overlay can carry",
    )


def _to_whole(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"ct original {ip} daddr . {ip} daddr @arriving{s} accept", "through a mapping that is"),
        (f"{ip} daddr @routed_whole{s} accept", "to a routed address"),
    )


def _returning(of: Family) -> tuple[str, str]:
    ip, s = of.ip, of.suffix
    return (
        f"ct direction reply ct reply {ip} daddr . {ip} daddr @returning{s} accept",
        "answers to what a guest began",
    )


def _to_parts(of: Family) -> Rules:
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


def _to_ports(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    ported = f"{way} . meta l4proto . th dport"
    return (
        (f"{ported} @ports{s} goto from_clients{s}", "the guest's port"),
        (f"{ported} @port_ranges{s} goto from_clients{s}", "the guest's range of ports"),
        (f"{way} @whole{s} goto from_clients{s}", "all of them"),
        NOTHING_ELSE,
    )


def _from_clients(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    way = f"ct original {ip} daddr . {ip} daddr"
    return (
        (f"{way} @everybody{s} return", "everybody may"),
        (f"{way} . {ip} saddr @allowed{s} return", "this client may"),
        ("drop", "nobody else"),
    )


def _to_routed_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    ported = f"{ip} daddr . meta l4proto . th dport"
    return (
        (f"{of.errors} accept", "routers may report errors, whoever they are"),
        (f"{ported} @routed_ports{s} accept", "a port, for everybody"),
        (f"{ported} . {ip} saddr @routed_ranges{s} accept", "ports, for these clients"),
        (f"{ip} daddr . {ip} saddr @routed_clients{s} accept", "all of it, for these clients"),
        NOTHING_ELSE,
    )


def _from_whole(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"ct direction reply {_answering(of)} accept", "answers, from the member that holds it"),
        (f"ether saddr . {ip} saddr @routed_out{s} accept", "routed, from its member"),
        (
            f"ct direction original ether saddr . {ip} saddr @outgoing{s} accept",
            "what a guest begins, from its member",
        ),
    )


def _answering(of: Family) -> str:
    """Also errors that routers on the way to the guest report: they belong to the connection."""
    ip, s = of.ip, of.suffix
    return f"ether saddr . ct reply {ip} saddr . ct original {ip} daddr @answering{s}"


def _from_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    related = f"ct state related meta l4proto {of.icmp} ether saddr . ct original {ip} saddr"
    return (
        (
            "ct direction original ct state new tcp flags & (fin | syn | rst | ack) != syn drop",
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


def _from_routed_parts(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    ported = f"ether saddr . {ip} saddr . meta l4proto . th sport"
    return (
        (f"{ported} @routed_out_ports{s} accept", "from a port, from its member"),
        (f"{ported} @routed_out_ranges{s} accept", "from its ports, from its member"),
        (f"ether saddr . {ip} saddr @routed_errors{s} {of.errors} accept", "errors"),
        NOTHING_ELSE,
    )


def _between_members(of: Family) -> Rules:
    """The way of one guest, or member, to another guest's public address."""
    ip, s = of.ip, of.suffix
    return (
        (f"ct direction reply goto answers_between{s}", "answers"),
        (f"jump senders{s}", "with an address that is the sender's"),
        (
            f"{ip} saddr set {ip} saddr map @outward{s}",
            "clients are allowed by their public address",
        ),
        *_to_whole(of),
        (f"goto to_parts{s}", "to a part of an address, or to nobody"),
    )


def _answers_between(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{_answering(of)} accept", "from the member that holds it"),
        (f"ether saddr . {ip} saddr @routed_out{s} accept", "routed, from its member"),
        (f"goto from_routed_parts{s}", "from a part of an address, or from nobody"),
    )


def _senders(of: Family) -> Rules:
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


def _own_ports(of: Family) -> Rules:
    return (
        *((NEIGHBOURS,) if of is IPV6 else ()),
        (
            f"iifname @uplinks {of.ip} daddr @routed{of.suffix} drop",
            "a guest's, also while the overlay is away",
        ),
        shelter.asked(of),
    )


def _own_packets(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        *((NO_SHORTER_WAY,) if of is IPV6 else ()),
        _clamp(of, "oifname"),
        (
            "ct direction original"
            f" ct original {ip} daddr . {ip} daddr @arriving_parts{s} goto own_to_parts{s}",
            "to a part of an address",
        ),
        (f"{ip} daddr @routed{s} goto own_to_routed{s}", "to a routed address"),
    )


def _own_to_parts(of: Family) -> Rules:
    return (
        (f"jump to_ports{of.suffix}", "also the edge is one of the clients"),
        ("accept", "through a mapping that is"),
    )


def _own_to_routed(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        (f"{ip} daddr @routed_whole{s} accept", "to all of it"),
        (f"goto to_routed_parts{s}", "to a part of it"),
    )


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

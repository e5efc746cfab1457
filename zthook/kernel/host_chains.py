"""The host's rules, which are the same for one guest and for a hundred.

What comes from the edge, and what begins here, is translated; then a connection gets its mark,
and by the marks alone its packets find their way, are let through, and are counted. A packet's
own mark says how it is routed: ``brought``, an answer, to the edge or nowhere; ``leaving`` the
same, but for what the main table knows a way to that is no default (a packet from a bridge to
the same bridge has it, too); ``local``, which only a
packet to a public address elsewhere has, to the edge where there is a way. Other owners' bits
of marks are left as they are.
"""

from collections.abc import Callable

from zthook.kernel.host_marks import Marks
from zthook.kernel.host_rules import Chain, Hook, Rule
from zthook.kernel.host_sets import FAMILIES, Family

Rules = tuple[Rule, ...]

ARRIVE, BEGIN = Hook("nat", "prerouting", -105), Hook("nat", "output", -105)
LEAVE = Hook("nat", "postrouting", 90)
"""Before others translate."""
MARK, MARK_OWN = Hook("filter", "prerouting", -95), Hook("route", "output", -95)
"""After the translation, and before the way is looked up."""
FORWARD, OWN = Hook("filter", "forward", -5), Hook("filter", "input", -5)
LAST = Hook("filter", "postrouting", 85)
"""Before the filters of others, and behind all of them."""

FROM_EDGE = "iifname . ether saddr @edge"
BEGUN, ANSWER = "ct direction original", "ct direction reply"
SPOOFED = "meta nfproto ipv6 fib saddr . iif oif missing"
NO_SUCH_SOURCE = "no such source is there: IPv4 has rp_filter for that"
NOBODY_ELSE = "nobody else speaks in our connections"
UNDER_WAY = "tcp flags & (syn | rst) == 0x0"


def chains(mark: int) -> tuple[Chain, ...]:
    """All of them. ``mark`` is the mask of the two bits that are ours (host_marks.Marks)."""
    words = Words(Marks(mark))
    return (
        *_translating(),
        *_marking(words),
        *_forwarding(words),
        *_rewriting(words),
    )


class Words:
    """How nft says what our bits of a mark are, of a connection ("ct") or a packet ("meta")."""

    def __init__(self, marks: Marks) -> None:
        self._mask = marks.mask
        self._others = ~marks.mask & 0xFFFFFFFF
        self.brought, self.leaving, self.local = marks.brought, marks.leaving, marks.local

    def is_(self, value: int, of: str = "ct") -> str:
        """The mark has this value."""
        return f"{of} mark & 0x{self._mask:08x} == 0x{value:08x}"

    def set(self, value: int, of: str) -> str:
        """Give it this value."""
        return f"{of} mark set {of} mark & 0x{self._others:08x} | 0x{value:08x}"

    def any(self, of: str = "ct") -> str:
        """It has any of our marks."""
        return f"{of} mark & 0x{self._mask:08x} != 0x00000000"

    def none(self, of: str = "ct") -> str:
        """It has none of our marks."""
        return f"{of} mark & 0x{self._mask:08x} == 0x00000000"

    def to_guests(self) -> str:
        """The connection is the edge's or this host's own, to a guest: the higher bit is set."""
        return f"ct mark & 0x{self.brought:08x} == 0x{self.brought:08x}"


def _each(rules: Callable[[Family], Rules]) -> Rules:
    return tuple(rule for family in FAMILIES for rule in rules(family))


def _translating() -> tuple[Chain, ...]:
    return (
        Chain(
            "arrive",
            ARRIVE,
            (
                Rule(f"{FROM_EDGE} goto arrive_by_edge", "from the edge, as it arrives there"),
                Rule(f"iifname @bridges {SPOOFED} accept", NO_SUCH_SOURCE),
                Rule("iifname @bridges goto arrive_nearby", "from guests here"),
            ),
        ),
        Chain("begin", BEGIN, (Rule("jump arrive_nearby", "from this host itself"),)),
        Chain("arrive_by_edge", None, _each(lambda of: _to_private(of, "arriving"))),
        Chain(
            "arrive_nearby",
            None,
            (*_each(_to_itself), *_each(lambda of: _to_private(of, "nearby"))),
        ),
    )


def _to_itself(of: Family) -> Rules:
    """Where bridged packets pass these rules, one that goes back where it came from is lost."""
    return (
        Rule(
            f"{of.ip} daddr . {of.ip} saddr @itself{of.suffix} accept",
            "a guest to itself: by the edge",
        ),
    )


def _to_private(of: Family, name: str) -> Rules:
    ip, s = of.ip, of.suffix
    by_port = f"dnat {ip} to {ip} daddr . meta l4proto . th dport map @{name}"
    return (
        Rule(f"{by_port}_moved{s}", "a public port becomes the guest's"),
        Rule(f"{by_port}_ports{s}", "a port stays what it is"),
        Rule(f"dnat {ip} to {ip} daddr map @{name}{s}", "the whole address"),
    )


def _marking(words: Words) -> tuple[Chain, ...]:
    brought, leaving = words.brought, words.leaving
    return (
        Chain(
            "mark_arriving",
            MARK,
            (
                Rule(
                    "iifname @overlay meta nfproto ipv6 fib saddr type local counter drop",
                    "from outside with an address of this host's, as IPv4 drops by itself",
                ),
                Rule(f"{FROM_EDGE} goto mark_brought", "connections that the edge brings"),
                Rule("iifname @overlay accept", "other members bring none"),
                *_on_their_way(words),
                Rule(f"iifname @bridges {SPOOFED} accept", NO_SUCH_SOURCE),
                Rule("iifname @bridges goto mark_begun", "connections that begin at guests here"),
            ),
        ),
        Chain("mark_brought", None, _each(lambda of: _mark_pairs(words, of, "brought", brought))),
        Chain(
            "mark_begun",
            None,
            (
                *_each(lambda of: _mark_pairs(words, of, "met", words.local, "goto mark_met")),
                Rule(f"{words.any()} accept", "its way is known"),
                *_each(lambda of: _mark_leaving(words, of)),
                *_each(lambda of: _mark_elsewhere(words, of, "")),
            ),
        ),
        Chain("mark_met", None, _each(lambda of: _mark_same_bridge(words, of))),
        Chain(
            "mark_own",
            MARK_OWN,
            (
                *_on_their_way(words),
                *_each(lambda of: _mark_pairs(words, of, "met", words.local, "goto admit")),
                Rule(f"{words.any()} accept", "its way is known"),
                # A tunnel of the kernel's to the edge has no user: it must not go through itself.
                *_each(lambda of: _mark_elsewhere(words, of, "meta skuid >= 0 ")),
            ),
        ),
        Chain(
            "mark_left",
            LAST,
            (
                Rule(
                    f"oifname @overlay {words.is_(words.local, 'meta')} ct state new"
                    f" {words.set(leaving, 'ct')}",
                    "what got out to a public address elsewhere stays on that way",
                ),
            ),
        ),
    )


def _on_their_way(words: Words) -> Rules:
    """Also what this host reports about them."""
    brought, leaving = words.brought, words.leaving
    return (
        Rule(
            f"{ANSWER} {words.is_(brought)} {words.set(brought, 'meta')} accept",
            "answers to what the edge brought go back there",
        ),
        Rule(
            f"{BEGUN} {words.is_(leaving)} {words.set(leaving, 'meta')} accept",
            "what left by the edge goes on by it",
        ),
    )


def _mark_pairs(words: Words, of: Family, name: str, mark: int, then: str = "accept") -> Rules:
    ip, s = of.ip, of.suffix
    pair = f"{BEGUN} ct original {ip} daddr . {ip} daddr"
    given = f"{words.set(mark, 'ct')} {then}"
    return (
        Rule(f"{pair} @{name}{s} {given}", "to a guest, by a mapping"),
        Rule(f"{pair} . meta l4proto . th dport @{name}_ports{s} {given}", "by one of its ports"),
    )


def _mark_same_bridge(words: Words, of: Family) -> Rules:
    """A packet that is bridged does not say any more, when it leaves, where it came from."""
    return (
        Rule(
            f"iifname . {of.ip} daddr @placed{of.suffix} {words.set(words.leaving, 'meta')}",
            "between two on the same bridge",
        ),
    )


def _mark_leaving(words: Words, of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    leave = f"{words.set(words.leaving, 'meta')} accept"
    return (
        Rule(
            f"iifname . {ip} saddr @outgoing{s} ct state new,invalid {leave}",
            "what such a guest begins leaves by the edge",
        ),
        Rule(
            f"iifname . {ip} saddr @placed{s} {ip} saddr . meta l4proto . th sport @speaking{s}"
            f" {UNDER_WAY} ct state new {leave}",
            "under way already: the edge brought it where the guest was before",
        ),
    )


def _mark_elsewhere(words: Words, of: Family, whose: str) -> Rules:
    return (
        Rule(
            f"{whose}ct state new {of.ip} daddr @pools{of.suffix} {words.set(words.local, 'meta')}",
            "to a public address that is not here",
        ),
    )


def _forwarding(words: Words) -> tuple[Chain, ...]:
    return (
        Chain("forward", FORWARD, _forward(words)),
        Chain("from_overlay", None, _from_overlay(words)),
        Chain(
            "own",
            OWN,
            (
                Rule(
                    f"iifname @overlay {words.any()} {FROM_EDGE} accept",
                    "the edge answers this host",
                ),
                Rule(f"iifname @overlay {words.any()} counter drop", NOBODY_ELSE),
            ),
        ),
        Chain("to_guest", None, (*_each(_count_in), Rule("counter drop", "not mapped any more"))),
        Chain("answer_guest", None, (*_each(_count_in), Rule("accept", "not a mapped guest's"))),
        Chain("to_overlay", None, _to_overlay(words)),
        Chain("to_edge", None, (*_each(_count_out), Rule("accept", "not a mapped guest's"))),
        Chain("admit", None, (*_each(_admit), Rule("counter drop", "not from there"))),
        Chain("shut", None, _shut(words)),
    )


def _forward(words: Words) -> Rules:
    return (
        Rule("iifname @overlay goto from_overlay", "from members"),
        Rule("oifname @overlay goto to_overlay", "to members"),
        Rule(
            f"{ANSWER} {words.is_(words.brought)} counter drop",
            "an answer that would not go back to the edge goes nowhere",
        ),
        Rule(
            f"{words.is_(words.leaving)} counter drop",
            "what leaves by the edge leaves by nothing else",
        ),
        Rule(f"{BEGUN} {words.is_(words.local)} goto admit", "from this host to a guest on it"),
        Rule("meta nfproto @closed goto shut", "forwarding is on for mappings alone"),
    )


def _from_overlay(words: Words) -> Rules:
    return (
        Rule(f"oifname @overlay {words.any()} counter drop", "it would go round in circles"),
        Rule(
            f"{FROM_EDGE} {BEGUN} {words.is_(words.brought)} goto to_guest",
            "the edge brings it",
        ),
        Rule(
            f"{FROM_EDGE} {ANSWER} {words.is_(words.leaving)} goto answer_guest",
            "answers to what left by the edge",
        ),
        Rule(f"{words.any()} counter drop", NOBODY_ELSE),
        *_each(_past_the_edge),
        Rule("meta nfproto @closed goto shut", "forwarding is on for mappings alone"),
    )


def _past_the_edge(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    return (
        Rule(
            f"{ip} daddr @guests{s} {ANSWER} accept",
            "answers to what the guest itself began with a member",
        ),
        Rule(f"{ip} daddr @guests{s} counter drop", "past its mapping"),
        Rule(f"{ip} daddr @pools{s} counter drop", "a public address that is not mapped here"),
        Rule(f"{ip} daddr @arrivals{s} counter drop", "not by its mapping"),
    )


def _to_overlay(words: Words) -> Rules:
    return (
        Rule(f"{ANSWER} {words.is_(words.brought)} goto to_edge", "answers to the edge"),
        Rule(f"{BEGUN} {words.is_(words.leaving)} goto to_edge", "what leaves by the edge"),
        Rule(f"{words.any()} counter drop", "it would not go to the edge"),
        *_each(lambda of: _leave(words, of)),
        Rule("meta nfproto @closed goto shut", "forwarding is on for mappings alone"),
    )


def _leave(words: Words, of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    leaving = f"meta nfproto ipv{of.version} {words.is_(words.leaving, 'meta')}"
    by_edge = f"{leaving} rt {ip} nexthop @edge_hop{s} {ip} daddr != @edge_hop{s}"
    begins = f"ct state new {words.set(words.leaving, 'ct')} goto to_edge"
    return (
        Rule(f"{by_edge} {begins}", "a connection begins to leave by the edge"),
        Rule(f"{leaving} {UNDER_WAY} {begins}", "under way already, also to the edge itself"),
        Rule(f"{by_edge} counter drop", "of no connection: it can not be translated"),
    )


def _count_in(of: Family) -> Rules:
    return (Rule(f"{of.ip} daddr @inbound{of.suffix} accept", "counted, to the guest"),)


def _count_out(of: Family) -> Rules:
    return (Rule(f"{of.ip} saddr @outbound{of.suffix} accept", "counted, from the guest"),)


def _admit(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    who = f"ct original {ip} daddr . {ip} daddr . {ip} saddr"
    return (Rule(f"{who} @admitted{s} accept", "the mapping allows it"),)


def _shut(words: Words) -> Rules:
    return (
        Rule("meta nfproto ipv4 iifname != @overlay accept", "IPv4 is shut to the overlay alone"),
        Rule(f"{ANSWER} accept", "answers"),
        Rule(f"{words.any()} accept", "ours"),
        Rule(f"{words.any('meta')} accept", "ours"),
        Rule('meta iifkind "bridge" meta oifkind "bridge" accept', "bridged, not routed"),
        Rule("counter drop", "nothing else"),
    )


def _rewriting(words: Words) -> tuple[Chain, ...]:
    hidden = f"{words.to_guests()} oifname ."
    return (
        Chain(
            "hide_client",
            LEAVE,
            (
                *_each(
                    lambda of: (
                        Rule(
                            f"{hidden} {of.ip} daddr @hidden{of.suffix} masquerade",
                            "the client becomes this host",
                        ),
                    )
                ),
                Rule(
                    f"{words.is_(words.local)} {words.is_(words.leaving, 'meta')} masquerade",
                    "two on the same bridge: the other would answer past this host",
                ),
                Rule(
                    f"oifname @overlay {words.is_(words.local, 'meta')} masquerade",
                    "the edge answers to this host",
                ),
                Rule(
                    f"oifname @overlay {words.is_(words.leaving)} goto become_public",
                    "past the translation of others",
                ),
            ),
        ),
        Chain("become_public", None, _each(_become_public)),
    )


def _become_public(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    by_port = f"snat {ip} to {ip} saddr . meta l4proto . th sport map @leaving"
    return (
        Rule(f"{by_port}_moved{s}", "the guest's port becomes the public one"),
        Rule(f"{by_port}_ports{s}", "a port stays what it is"),
        Rule(f"snat {ip} to {ip} saddr map @leaving{s}", "the whole address"),
    )

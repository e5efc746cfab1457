"""What passes of what is forwarded, by the marks, and what is counted."""

from zthook.kernel.edge.chains.chain import PASSED
from zthook.kernel.host.rules import Chain, Hook, Rule
from zthook.kernel.host.sets import Family
from zthook.kernel.host.words import (
    ANSWER,
    BEGUN,
    FROM_EDGE,
    LAST_WORD,
    UNDER_WAY,
    Rules,
    Words,
    each,
)

FORWARD, OWN = Hook("filter", "forward", -5), Hook("filter", "input", -5)
"""Before the filters of others; behind those of an edge on the same machine, which mark what
passes."""

NOBODY_ELSE = "nobody else speaks in our connections"


def filtering(words: Words) -> tuple[Chain, ...]:
    """The chains that let pass, or drop."""
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
        Chain("to_guest", None, (*each(_count_in), Rule("counter drop", "not mapped any more"))),
        Chain("answer_guest", None, (*each(_count_in), Rule("accept", "not a mapped guest's"))),
        Chain("to_overlay", None, _to_overlay(words)),
        Chain("to_edge", None, (*each(_count_out), Rule("accept", "not a mapped guest's"))),
        Chain("admit", None, (*each(_admit), Rule("counter drop", "not from there"))),
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
        Rule(
            f"{UNDER_WAY} ct state new,invalid iifname . ether saddr @newcomers"
            " oifname != @bridges counter drop",
            "under way where the guest was before: who gets it from here would end it",
        ),
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
        *each(_past_the_edge),
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
        *each(lambda of: _leave(words, of)),
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
        Rule(f"{leaving} {LAST_WORD} goto to_edge", "its end: translated by itself"),
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
    passed = f"0x{PASSED:08x}"
    return (
        Rule(f"meta mark & {passed} == {passed} accept", "an edge's, on this machine"),
        Rule("meta nfproto ipv4 iifname != @overlay accept", "IPv4 is shut to the overlay alone"),
        Rule(f"{ANSWER} accept", "answers"),
        Rule(f"{words.any()} accept", "ours"),
        Rule(f"{words.any('meta')} accept", "ours"),
        Rule('meta iifkind "bridge" meta oifkind "bridge" accept', "bridged, not routed"),
        Rule("counter drop", "nothing else"),
    )

"""Which connection gets which mark, and by which mark of its own a packet finds its way."""

from zthook.kernel.host.rules import Chain, Hook, Rule
from zthook.kernel.host.sets import Family
from zthook.kernel.host.words import (
    ANSWER,
    BEGUN,
    FROM_EDGE,
    LAST_WORD,
    SPOOFED,
    UNDER_WAY,
    Rules,
    Words,
    each,
)

MARK, MARK_OWN = Hook("filter", "prerouting", -95), Hook("route", "output", -95)
"""After the translation, and before the way is looked up."""
LAST = Hook("filter", "postrouting", 85)
"""Behind the filters of others."""


def marking(words: Words) -> tuple[Chain, ...]:
    """The chains that mark."""
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
                SPOOFED,
                Rule("iifname @bridges goto mark_begun", "connections that begin at guests here"),
            ),
        ),
        Chain("mark_brought", None, each(lambda of: _mark_pairs(words, of, "brought", brought))),
        Chain(
            "mark_begun",
            None,
            (
                *each(lambda of: _mark_pairs(words, of, "met", words.local, "goto mark_met")),
                Rule(f"{words.any()} accept", "its way is known"),
                *each(lambda of: _mark_leaving(words, of)),
                *each(lambda of: _mark_elsewhere(words, of, "")),
            ),
        ),
        Chain("mark_met", None, each(lambda of: _mark_same_bridge(words, of))),
        Chain(
            "mark_own",
            MARK_OWN,
            (
                *_on_their_way(words),
                *each(lambda of: _mark_pairs(words, of, "met", words.local, "goto admit")),
                Rule(f"{words.any()} accept", "its way is known"),
                # A tunnel of the kernel's to the edge has no user: it must not go through itself.
                *each(lambda of: _mark_elsewhere(words, of, "meta skuid >= 0 ")),
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
                Rule(
                    f"oifname @overlay {words.is_(leaving, 'meta')} {LAST_WORD} goto last_word",
                    "of no connection: nobody else translates it",
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
    speaks = f"iifname . {ip} saddr @placed{s} {ip} saddr . meta l4proto . th sport @speaking{s}"
    return (
        Rule(
            f"iifname . {ip} saddr @outgoing{s} ct state new,invalid {leave}",
            "what such a guest begins leaves by the edge",
        ),
        Rule(
            f"{speaks} {UNDER_WAY} ct state new {leave}",
            "under way already: the edge brought it where the guest was before",
        ),
        Rule(f"{speaks} {LAST_WORD} {leave}", "the end of such a one"),
    )


def _mark_elsewhere(words: Words, of: Family, whose: str) -> Rules:
    return (
        Rule(
            f"{whose}ct state new {of.ip} daddr @pools{of.suffix} {words.set(words.local, 'meta')}",
            "to a public address that is not here",
        ),
    )

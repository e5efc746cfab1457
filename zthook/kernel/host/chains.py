"""The host's rules, which are the same for one guest and for a hundred.

What comes from the edge, and what begins here, is translated; then a connection gets its mark,
and by the marks alone its packets find their way, are let through, and are counted. A packet's
own mark says how it is routed: ``brought``, an answer, to the edge or nowhere; ``leaving`` the
same, but for what the main table knows a way to that is no default (a packet from a bridge to
the same bridge has it, too); ``local``, which only a packet to a public address elsewhere has,
to the edge where there is a way. Other owners' bits of marks are left as they are.
"""

from zthook.kernel.host.filtering import filtering
from zthook.kernel.host.marking import marking
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.rules import Chain, Hook, Rule
from zthook.kernel.host.sets import Family
from zthook.kernel.host.words import FROM_EDGE, SPOOFED, Rules, Words, each

ARRIVE, BEGIN = Hook("nat", "prerouting", -105), Hook("nat", "output", -105)
LEAVE = Hook("nat", "postrouting", 90)
"""Before others translate."""


def chains(mark: int) -> tuple[Chain, ...]:
    """All of them. ``mark`` is the mask of the two bits that are ours (host_marks.Marks)."""
    words = Words(Marks(mark))
    return (
        *_translating(),
        *marking(words),
        *filtering(words),
        *_rewriting(words),
    )


def _translating() -> tuple[Chain, ...]:
    return (
        Chain(
            "arrive",
            ARRIVE,
            (
                Rule(f"{FROM_EDGE} goto arrive_by_edge", "from the edge, as it arrives there"),
                SPOOFED,
                Rule("iifname @bridges goto arrive_nearby", "from guests here"),
            ),
        ),
        Chain("begin", BEGIN, (Rule("jump arrive_nearby", "from this host itself"),)),
        Chain("arrive_by_edge", None, each(lambda of: _to_private(of, "arriving"))),
        Chain(
            "arrive_nearby",
            None,
            (*each(_to_itself), *each(lambda of: _to_private(of, "nearby"))),
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


def _rewriting(words: Words) -> tuple[Chain, ...]:
    hidden = f"{words.to_guests()} oifname ."
    return (
        Chain(
            "hide_client",
            LEAVE,
            (
                *each(
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
        Chain("become_public", None, each(_become_public)),
        Chain("last_word", None, each(_last_word)),
    )


def _become_public(of: Family) -> Rules:
    ip, s = of.ip, of.suffix
    by_port = f"snat {ip} to {ip} saddr . meta l4proto . th sport map @leaving"
    return (
        Rule(f"{by_port}_moved{s}", "the guest's port becomes the public one"),
        Rule(f"{by_port}_ports{s}", "a port stays what it is"),
        Rule(f"snat {ip} to {ip} saddr map @leaving{s}", "the whole address"),
    )


def _last_word(of: Family) -> Rules:
    """The same without a connection, by the packet alone."""
    ip, s = of.ip, of.suffix
    by_port = f"{ip} saddr . meta l4proto . th sport map"
    moved = f"tcp sport set {by_port} @parting_ports{s} {ip} saddr set {by_port} @parting{s}"
    return (
        Rule(
            f"{moved} accept",
            "the guest's port becomes the public one, then the address",
        ),
        Rule(f"{ip} saddr set {by_port} @leaving_ports{s} accept", "a port stays what it is"),
        Rule(f"{ip} saddr set {ip} saddr map @leaving{s} accept", "the whole address"),
    )

"""What the host's rules are made of: what they have to say again and again."""

from collections.abc import Callable

from zthook.kernel.host.marks import Marks
from zthook.kernel.host.rules import Rule
from zthook.kernel.host.sets import FAMILIES, Family

Rules = tuple[Rule, ...]

FROM_EDGE = "iifname . ether saddr @edge"
BEGUN, ANSWER = "ct direction original", "ct direction reply"
SPOOFED = Rule(
    "iifname @bridges meta nfproto ipv6 fib saddr . iif oif missing accept",
    "no such source is there: IPv4 has rp_filter for that",
)
UNDER_WAY = "tcp flags & (syn | rst) == 0x0"
LAST_WORD = "tcp flags & (fin | syn | rst | ack) == (fin | ack) ct state invalid"
"""The end of a connection of which this host saw nothing: of that packet conntrack makes none."""


def each(rules: Callable[[Family], Rules]) -> Rules:
    """The rules of both IP versions."""
    return tuple(rule for family in FAMILIES for rule in rules(family))


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

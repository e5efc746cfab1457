"""Which packets other firewalls have to let through, said in each of their languages.

The condition is a mark of ours and nothing else, so it never changes with the guests: what has
the mark has passed our own table, which comes before and drops what must not pass.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

HOST, EDGE = "zthook", "zthook-edge"
"""What the comments of our rules begin with: both may be one machine's."""
OWNERS = frozenset({HOST, EDGE})


class Of(StrEnum):
    """What carries the mark, as nftables calls it."""

    CONNECTION = "ct"
    PACKET = "meta"


@dataclass(frozen=True, slots=True)
class Passage:
    """What has any bit of ``mask`` in its mark passes, for as long as ``owner`` wants it."""

    owner: str
    of: Of
    mask: int

    @property
    def comment(self) -> str:
        """In nftables, where the rule itself is listed in other words by each version."""
        return f"{self.owner}: {self.of} mark 0x{self.mask:x}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The rule as ``iptables -S`` shows it."""
        match = "connmark" if self.of is Of.CONNECTION else "mark"
        mark = ("-m", match, "!", "--mark", f"0x0/0x{self.mask:x}")
        return (*mark, "-m", "comment", "--comment", self.owner, "-j", "ACCEPT")

    @property
    def expression(self) -> list[dict[str, Any]]:
        """The rule as nftables takes it."""
        marked = {"&": [{str(self.of): {"key": "mark"}}, self.mask]}
        match = {"op": "!=", "left": marked, "right": 0}
        return [{"match": match}, {"counter": None}, {"accept": None}]

"""The edge's table as nft shows it."""

import re

COUNTED = re.compile(r"(set (?:opened6?|besieged6?|knocks) \{[^{}]*?)\s*elements = \{[^{}]*\}")


def settled(table: str) -> str:
    """Without the elements that the kernel itself adds and forgets."""
    return COUNTED.sub(r"\1", table)

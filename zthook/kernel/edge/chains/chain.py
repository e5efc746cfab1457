"""What a chain is."""

from dataclasses import dataclass

Rules = tuple[tuple[str, str], ...]
"""Rules, each with why it is there."""

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

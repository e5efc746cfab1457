"""How mappings are told in a few words, on a host and on an edge alike."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from zthook.cli.screen import STYLES, styled

SHOWN = 2
"""Of a mapping's ports and of its sources; ``--json`` has them all."""


STATES = ("active", "pending", "conflict", "refused", "withdrawn", "reserved")
"""In the order in which they are counted for people."""


def counted(numbers: Mapping[str, int]) -> str:
    """How many mappings are in each state: ``48 active, 1 conflict``."""
    words = [styled(said, STYLES.get(state)) for state, said in _counts(numbers)]
    return ", ".join(words) or "none"


def counted_plainly(numbers: Mapping[str, int]) -> str:
    """The same without colours: ``48 active``."""
    return ", ".join(said for _, said in _counts(numbers)) or "none"


def _counts(numbers: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(state, f"{numbers[state]} {state}") for state in STATES if numbers.get(state)]


class Mapped(Protocol):
    """Either side's view of a mapping."""

    @property
    def mode(self) -> str | None: ...
    @property
    def client(self) -> str | None: ...
    @property
    def egress(self) -> str | None: ...
    @property
    def ports(self) -> Sequence[str]: ...
    @property
    def allow(self) -> Sequence[str]: ...


def way(view: Mapped) -> str:
    """How it is mapped: ``nat keep``, ``routed keep egress=public tcp/80:8080 tcp/443 +3``."""
    words = [
        view.mode,
        view.client,
        "egress=public" if view.egress == "public" else None,
        *_shown(view.ports),
        f"allow={','.join(_shown(view.allow))}" if view.allow else None,
    ]
    return " ".join(word for word in words if word)


def _shown(words: Sequence[str]) -> list[str]:
    more = len(words) - SHOWN
    return [*words[:SHOWN], f"+{more}"] if more > 0 else list(words)

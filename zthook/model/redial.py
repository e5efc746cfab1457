"""How soon the overlay is back after a home line redialled: what the status says of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Redial:
    """What was set up at this machine's ZeroTier so that a redial heals at once.

    ``wanted``: the configuration asks for it. ``restart``: part of it waits for zerotier-one
    to be started anew, which nobody does but its owner. ``hosts`` are an edge's, by name: the
    bond that is in force with each, empty where there is none; None on a host. ``notes`` say
    what is left as it was, and why; ``fault`` why nothing is known.
    """

    wanted: bool
    restart: bool = False
    hosts: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)
    fault: str = ""

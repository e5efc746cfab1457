"""By which way the overlay carries what is sent to another of its members."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OverlayPath:
    """As the overlay itself says: ``direct``, or through somebody who relays.

    ``latency`` is seconds there and back, None where it was not measured; ``address`` where
    the other one is reached outside the overlay, None where it is relayed.
    """

    direct: bool
    latency: float | None = None
    address: str | None = None

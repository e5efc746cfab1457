"""Who asked to join an overlay and was not let in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Knocking:
    """The node ``member``. Times are Unix time, None where nobody knows.

    ``since``: when it first asked. ``address`` is its physical one, as ``203.0.113.77/9993``;
    None where it comes relayed, or is silent. ``shut_out``: when it was last let in no more.
    """

    member: str
    since: float | None = None
    address: str | None = None
    shut_out: float | None = None

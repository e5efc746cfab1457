"""The audit trail's lines: who had which address when, and what else an edge decided."""

from enum import StrEnum

import msgspec

from zthook.store.rows import Row

MOST_EVENTS = 100_000
"""Lines that are kept; the oldest go."""
MOST_OF_ONE = 10_000
"""Of them those of one host (or, without a host, of one kind): whoever is let in, or knocks,
and asks without end pushes out what was noted of himself, and nobody else's."""


class Event(StrEnum):
    """What happened."""

    GRANTED = "granted"
    MOVED = "moved"
    """As GRANTED, to a guest that had it on another host until then."""
    CHANGED = "changed"
    """Held as before, with another private address, mode or other ports."""
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    RELEASED = "released"
    """The reservation of an address ended by an admin's hand."""
    LEASE_BEGAN = "lease began"
    LEASE_ENDED = "lease ended"
    HOST_ADDED = "host added"
    HOST_ENROLLED = "host enrolled"
    HOST_ROTATED = "host rotated"
    HOST_REMOVED = "host removed"
    HOST_LEFT = "host left"
    HOST_REACHED = "host reached"
    """Its overlay address, or the MAC there, is another than before."""
    MEMBER_APPROVED = "member approved"
    MEMBER_SHUT_OUT = "member shut out"
    STARTED = "edge started"
    POOLS = "pools changed"
    REQUESTS_REFUSED = "requests refused"
    """Of one source, ``times`` within a minute, each with the same status."""


class EventRow(Row, frozen=True):
    """One line. ``at`` is Unix time; ``name`` the guest's then, ``guest`` its UUID.

    ``source`` is the address that asked, empty where the edge or its admin acted. ``why`` is a
    sentence, or part of one. Empty is what the event says nothing of.
    """

    at: float
    event: Event
    host: str = ""
    public: str = ""
    guest: str = ""
    name: str = ""
    private: str | None = None
    mode: str = ""
    ports: tuple[str, ...] = ()
    epoch: int = 0
    source: str = ""
    why: str = ""
    times: int = 1

    @property
    def share(self) -> str:
        """Whose lines count together against MOST_OF_ONE."""
        return self.host or f"/{self.event}"


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines: the last ``most`` of those that fit; what is empty fits all.

    ``guest`` is a UUID or a name. ``since`` is Unix time.
    """

    public: str = ""
    host: str = ""
    guest: str = ""
    since: float = 0.0
    most: int = MOST_EVENTS

    def fits(self, row: EventRow) -> bool:
        """Whether the line is among those asked for, however many they are."""
        return (
            self.public in ("", row.public)
            and self.host in ("", row.host)
            and self.guest in ("", row.guest, row.name)
            and row.at >= self.since
        )

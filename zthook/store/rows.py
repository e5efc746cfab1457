"""The ledger's rows. A field added later needs a default: rows are kept as JSON."""

from enum import StrEnum

import msgspec


class Standing(StrEnum):
    """Where a claim stands. HOLDING and LEAVING occupy the public address."""

    HOLDING = "holding"
    LEAVING = "leaving"
    """It held; the kernel has yet to let go, nobody is granted before."""
    WAITING = "waiting"
    REFUSED = "refused"


OCCUPYING = (Standing.HOLDING, Standing.LEAVING)


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen record; change it with ``msgspec.structs.replace``."""


class ClaimRow(Row, frozen=True):
    """One claim of one host. Addresses and UUIDs are in their usual text.

    ``place`` rises with arrival and orders those who wait; ``heir`` goes before all of
    them (a guest that moved within its migration group, and runs there). ``epoch`` is that
    of the last grant, 0 for none. ``session`` and ``sequence`` tell the reservation that
    asked last. ``after`` is what a LEAVING row becomes (None: it goes). ``since`` is Unix
    time.
    """

    host: str
    guest: str
    public: str
    name: str
    private: str | None
    mode: str
    client: str
    rewriter: str
    standing: Standing
    place: int
    since: float
    epoch: int = 0
    heir: bool = False
    after: Standing | None = None
    reason: str = ""
    session: int = 0
    sequence: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Host, guest, public: no two rows share it."""
        return self.host, self.guest, self.public


class HostRow(Row, frozen=True):
    """A host that was invited or enrolled.

    ``prefixes`` None means the default ones, ``pools`` empty every pool. ``credential`` is
    a SHA-256 in hex, None before enrolment. ``session`` is the valid one, ``sequence`` that
    of its last list, ``digest`` that list's, empty where the host should send it again.
    ``superseded`` are the agents (instances) that were fenced off, oldest first.
    ``leaving`` while the kernel has yet to let go of a removed host's mappings.
    """

    name: str
    member: str | None = None
    prefixes: tuple[str, ...] | None = None
    pools: tuple[str, ...] = ()
    group: str | None = None
    credential: str | None = None
    hostname: str = ""
    agent: str = ""
    instance: str = ""
    superseded: tuple[str, ...] = ()
    session: int = 0
    sequence: int = 0
    digest: str = ""
    address: str | None = None
    mac: str | None = None
    seen: float | None = None
    leaving: bool = False


class InvitationRow(Row, frozen=True):
    """A one-time secret, as its SHA-256 in hex. ``expires`` is Unix time."""

    secret: str
    host: str
    expires: float
    used: bool = False

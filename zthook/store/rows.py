"""The ledger's rows. A field added later needs a default: rows are kept as JSON."""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Self

import msgspec

from zthook.errors import StoreError
from zthook.model.mappings import Auto
from zthook.model.publication import HIGHEST_PORT, Mode, PortRange, Protocol


class Standing(StrEnum):
    """Where a claim stands. HOLDING and LEAVING occupy the public address, or its ports."""

    HOLDING = "holding"
    LEAVING = "leaving"
    """It held; the kernel has yet to let go, nobody is granted before."""
    WAITING = "waiting"
    REFUSED = "refused"


OCCUPYING = (Standing.HOLDING, Standing.LEAVING)


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen record; change it with ``msgspec.structs.replace``."""


class Content(Row, frozen=True, kw_only=True):
    """What a host says of a claim. Addresses, ports and prefixes are in their usual text.

    ``ports`` empty: the whole address. ``leaving``: the guest went to another host.
    """

    name: str
    private: str | None
    mode: str
    client: str
    rewriter: str
    egress: str = "home"
    ports: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    leaving: bool = False


class ClaimRow(Content, frozen=True, kw_only=True):
    """One claim of one host: its content, and where it stands. UUIDs are in their usual text.

    ``asked`` is what is asked for, an address or ``auto/POOL/NUMBER``; ``public`` the
    address, empty while an ``auto`` has none. ``place`` rises with arrival and orders those
    who wait; ``heir`` goes before all of them (its guest came here from another host, or is
    to have what it had there). ``epoch`` is that of the last grant, 0 for none. ``session``
    and ``sequence`` tell the reservation that asked last. ``since`` is Unix time.

    ``after`` is what a LEAVING row becomes (None: it goes); its content stays what the
    kernel had, and ``then`` is what it claims once that is gone (None: the same).
    """

    host: str
    guest: str
    asked: str
    public: str
    standing: Standing
    place: int
    since: float
    epoch: int = 0
    heir: bool = False
    after: Standing | None = None
    then: Content | None = None
    reason: str = ""
    session: int = 0
    sequence: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Host, guest, asked: no two rows share it."""
        return self.host, self.guest, self.asked

    @property
    def automatic(self) -> bool:
        """Whether the edge chooses the address."""
        return self.asked.startswith("auto/")

    def saying(self, content: Content) -> Self:
        """The row with this content; where it stands is untouched."""
        said = {name: getattr(content, name) for name in Content.__struct_fields__}
        return msgspec.structs.replace(self, **said)

    def excludes(self, other: "ClaimRow") -> bool:
        """Whether the two can not occupy what they claim at the same time.

        Ports of one address are several guests' in nat mode, and several guests' of one host
        in routed mode. One guest (its private address) has one mapping to an address.
        """
        if self.key == other.key or self.public != other.public:
            return False
        if self.mode != other.mode or (self.mode == Mode.ROUTED and self.host != other.host):
            return True
        if self.private is not None and self.private == other.private:
            return True
        return bool(_bits(self.ports) & _bits(other.ports))


@lru_cache(maxsize=1024)
def _bits(ports: tuple[str, ...]) -> int:
    """One bit for each port of each protocol: a host may send many ranges, to be compared at
    no cost with many others. The whole address has all bits.
    """
    if not ports:
        return -1
    bits = 0
    for one in map(PortRange.parse, ports):
        first = one.first + (HIGHEST_PORT + 1) * list(Protocol).index(one.protocol)
        bits |= ((1 << (one.last - one.first + 1)) - 1) << first
    return bits


def excluding(row: ClaimRow, others: Iterable[ClaimRow]) -> list[ClaimRow]:
    """Those of ``others`` that occupy what ``row`` claims."""
    return [other for other in others if other.standing in OCCUPYING and row.excludes(other)]


def check_alone(row: ClaimRow, others: Iterable[ClaimRow]) -> None:
    """Raises StoreError where any of ``others`` has what ``row`` is to occupy."""
    if not row.public:
        raise StoreError(f"{row.asked} of {row.host} has no address to occupy")
    for other in excluding(row, others):
        raise StoreError(
            f"{row.public} has a holder already, {other.host}; {row.host} can not be another"
        )


class ReservationRow(Row, frozen=True):
    """An address that is kept for a guest's ``auto``, the ``nth`` from ``pool``.

    ``name`` and ``host`` are the guest's as they were when it was given, ``since`` is when.
    """

    guest: str
    pool: str
    nth: int
    public: str
    name: str
    host: str
    since: float

    @property
    def key(self) -> tuple[str, str]:
        """Guest, and what it asks for: no two rows share it."""
        return self.guest, str(Auto(self.pool, self.nth))


class HostRow(Row, frozen=True):
    """A host that was invited or enrolled.

    ``prefixes`` None means the default ones, ``pools`` empty every pool. ``credential`` is
    a SHA-256 in hex, None before enrolment. ``session`` is the valid one, ``sequence`` that
    of its last list, ``digest`` that list's, empty where the host should send it again.
    ``superseded`` are the agents (instances) that were fenced off, oldest first. ``mac`` is
    that by which it is known on the overlay, ``own_mac`` what it says itself, empty where it
    says nothing. ``leaving`` while the kernel has yet to let go of a removed host's mappings.
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
    own_mac: str = ""
    seen: float | None = None
    leaving: bool = False


class InvitationRow(Row, frozen=True):
    """A one-time secret, as its SHA-256 in hex. ``expires`` is Unix time."""

    secret: str
    host: str
    expires: float
    used: bool = False

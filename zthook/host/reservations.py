"""Guests that are about to start and whose addresses are claimed already."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from zthook.model.clock import Clock
from zthook.model.guests import Domain, Guest

LASTS_SECONDS = 60.0
"""A guest that does not run so long after its hook asked will not: libvirt gave up."""


@dataclass(frozen=True, slots=True)
class _Reservation:
    domain: Domain
    made: float


class Reservations:
    """By guest. One lasts until the guest was seen running, 60 s passed, or it is dropped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_guest: dict[UUID, _Reservation] = {}
        self._arriving: dict[UUID, float] = {}

    def add(self, domain: Domain) -> None:
        """Keep what this guest's hook asked for; replaces an earlier one."""
        self._by_guest[domain.uuid] = _Reservation(domain, self._clock.boottime())

    def drop(self, guest: UUID) -> None:
        """The guest stopped, or was not allowed to start."""
        self.release(guest)
        self._arriving.pop(guest, None)

    def release(self, guest: UUID) -> None:
        """Claim nothing for it; one that migrates here is still expected."""
        self._by_guest.pop(guest, None)

    def expect(self, guest: UUID) -> None:
        """Libvirt said that this guest migrates here."""
        self._arriving[guest] = self._clock.boottime()

    def arrives(self, guest: UUID) -> bool:
        """Whether it migrates here: then it claims nothing before it runs here."""
        return guest in self._arriving

    @property
    def arriving(self) -> frozenset[UUID]:
        """Those that migrate here and do not run here yet."""
        return frozenset(self._arriving)

    def settle(self, guests: Iterable[Guest], looked: float) -> None:
        """Drop those that ran in a listing begun at ``looked`` (boottime), and old ones.

        A listing from before the hook asked says nothing: the guest may have run until
        then and be stopped now, to start again. One that libvirt has begun to start is not
        old, however long that takes: a restore reads all its memory first.
        """
        now = self._clock.boottime()
        states = {guest.domain.uuid: guest.state for guest in guests}
        running = {one for one, state in states.items() if state.begun}
        self._arriving = {
            guest: told
            for guest, told in self._arriving.items()
            if guest not in running and (guest in states or now - told <= LASTS_SECONDS)
        }
        for guest, one in list(self._by_guest.items()):
            started = guest in running and looked > one.made
            given_up = guest not in states and now - one.made > LASTS_SECONDS
            if started or given_up:
                del self._by_guest[guest]

    @property
    def domains(self) -> list[Domain]:
        """The guests that have one."""
        return [one.domain for one in self._by_guest.values()]

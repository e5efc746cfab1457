"""Guests that migrated away, until the edge has given their addresses to where they are now."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from zthook.host.answers import Answers
from zthook.model.clock import Clock
from zthook.model.guests import Domain

LASTS_SECONDS = 10.0
"""The host that a guest went to asks within a moment; without it nobody serves the address."""


@dataclass(frozen=True, slots=True)
class _Departure:
    domain: Domain
    began: float


class Departures:
    """By guest. One lasts until the edge holds nothing for it here, 10 s passed, or it is back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_guest: dict[UUID, _Departure] = {}

    def note(self, domains: Iterable[Domain]) -> None:
        """These guests migrated away just now."""
        now = self._clock.boottime()
        self._by_guest |= {one.uuid: _Departure(one, now) for one in domains}

    def settle(self, here: Collection[UUID], answers: Answers) -> None:
        """Drop those that are ``here`` again, that have been handed over, and old ones.

        ``answers`` are the edge's last: what it has for a guest here is active.
        """
        now = self._clock.boottime()
        left = {key[0] for key, answer in answers.items() if answer.state == "active"}
        self._by_guest = {
            guest: one
            for guest, one in self._by_guest.items()
            if guest in left - set(here) and now - one.began < LASTS_SECONDS
        }

    @property
    def domains(self) -> list[Domain]:
        """The guests that are on their way."""
        return [one.domain for one in self._by_guest.values()]

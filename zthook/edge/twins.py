"""Guests whose UUID runs on two hosts at once: a copy of a machine, or one that was forgotten."""

import logging
from collections.abc import Callable, Iterable

from zthook.edge.moves import runs
from zthook.edge.sight import twice
from zthook.model.clock import Clock
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow

log = logging.getLogger(__name__)

MIGRATION_SECONDS = 30.0
"""A guest that moves is claimed by both hosts for a moment; for longer it is there twice."""


class Twins:
    """Who they are, by guest UUID; in memory. ``leased`` tells whether a host's lease is live."""

    def __init__(self, ledger: Ledger, clock: Clock, leased: Callable[[str], bool]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._leased = leased
        self._since: dict[str, float] = {}
        self._named: dict[str, tuple[str, ...]] = {}

    def begin(self) -> None:
        """The daemon starts: who may be there twice?"""
        self.suspect(self._ledger.guests_of_several())

    def suspect(self, guests: Iterable[str]) -> None:
        """Claims of these guests changed."""
        for guest in guests:
            if guest not in self._since and len(self._places(guest)) > 1:
                self._since[guest] = self._clock.boottime()

    def hosts(self, guest: str) -> tuple[str, ...]:
        """The hosts on which the guest is known to run, where they are several; else none."""
        return self._named.get(guest, ())

    def faults(self) -> list[str]:
        """A line for each."""
        return [
            twice(next(iter(self._places(guest).values())).name, hosts)
            for guest, hosts in sorted(self._named.items())
            if self._places(guest)
        ]

    def look(self) -> set[str]:
        """The guests of whom something else is to be said now than before."""
        before = dict(self._named)
        for guest in list(self._since):
            self._look_at(guest)
        either = before.keys() | self._named.keys()
        return {guest for guest in either if before.get(guest) != self._named.get(guest)}

    def _look_at(self, guest: str) -> None:
        places = self._places(guest)
        if len(places) < 2:
            del self._since[guest]
            self._named.pop(guest, None)
        elif self._clock.boottime() - self._since[guest] >= MIGRATION_SECONDS:
            hosts = tuple(sorted(places))
            if hosts != self._named.get(guest):
                log.warning("%s", twice(next(iter(places.values())).name, hosts))
            self._named[guest] = hosts

    def _places(self, guest: str) -> dict[str, ClaimRow]:
        """Where it runs, as those hosts say that are here."""
        rows = self._ledger.claims_of_guest(guest)
        return {row.host: row for row in rows if runs(row) and self._leased(row.host)}

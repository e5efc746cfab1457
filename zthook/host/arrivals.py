"""Guests that come from another host: what the edge knows of each, before it claims here.

Such a guest keeps its address and does not ask for one again, so no DHCP lease tells of it
here, or only one of an earlier stay. The edge knows the address it had where it came from.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from uuid import UUID

from zthook.host.addresses import Source
from zthook.host.answers import ClaimKey, by_claim
from zthook.host.desired import Desired
from zthook.model.addresses import IPAddress
from zthook.model.clock import Clock
from zthook.model.guests import Guest, GuestState
from zthook.model.mappings import Claim
from zthook.wire.messages import MappingReply

AGAIN_SECONDS = 5.0
"""Between two questions about a guest that the edge knows no address of."""
PROOF_SECONDS = 3.0
"""A guest that runs here for so long and does not answer at its old address has another."""

HANDOVER_SECONDS = 10.0
"""A guest's old host hands its addresses over within this (``Departures``)."""


class Arrivals:
    """``answers`` are what the edge said of guests that had not begun to run here. ``proven``
    are the claims whose guest was seen here with the address that it had.
    """

    def __init__(self, clock: Clock) -> None:
        self.answers: dict[ClaimKey, MappingReply] = {}
        self.proven: frozenset[ClaimKey] = frozenset()
        self._clock = clock
        self._came: set[UUID] = set()
        self._began: dict[UUID, float] = {}
        self._asked: dict[UUID, float] = {}
        self._greeted: set[ClaimKey] = set()
        self._was: dict[ClaimKey, IPAddress] = {}

    @property
    def moved(self) -> Mapping[ClaimKey, IPAddress]:
        """The private addresses of those that migrated here: each is the guest's until it is
        seen that it is not.
        """
        return {key: was for key, was in self._was.items() if key[0] in self._came}

    @property
    def fresh(self) -> frozenset[UUID]:
        """Those that migrated here and have not run here for long, or not yet."""
        now = self._clock.boottime()
        return frozenset(
            one for one in self._came if now - self._began.get(one, now) < HANDOVER_SECONDS
        )

    def follow(self, guests: Sequence[Guest], expected: Collection[UUID]) -> None:
        """These are here now, and ``expected`` are on their way here."""
        now = self._clock.boottime()
        self._came |= {one.domain.uuid for one in guests if one.state is GuestState.INCOMING}
        self._came |= set(expected)
        here = {one.domain.uuid for one in guests} | set(expected)
        self._came &= here
        begun = {one.domain.uuid for one in guests if one.state.begun}
        self._began = {guest: self._began.get(guest, now) for guest in begun}
        self._greeted = {key for key in self._greeted if key[0] in begun}
        self._asked = {guest: when for guest, when in self._asked.items() if guest in here}
        self._was = {key: was for key, was in self._was.items() if key[0] in here}
        self.answers = {key: one for key, one in self.answers.items() if key[0] in self._came}

    def due(self, desired: Iterable[Desired]) -> list[Claim]:
        """What to ask the edge about now; it is asked for nothing else."""
        now = self._clock.boottime()
        found = [
            one.prospect
            for one in desired
            if one.prospect is not None
            and one.key not in self.answers
            and now - self._asked.get(one.domain.uuid, now - AGAIN_SECONDS) >= AGAIN_SECONDS
        ]
        self._asked |= {claim.guest: now for claim in found}
        return found

    def told(self, answers: Iterable[MappingReply]) -> None:
        """Keep what the edge says of guests whose address here is not known yet."""
        for key, answer in by_claim(answers).items():
            if answer.private is None:
                self.answers[key] = answer
                if answer.was is not None:
                    self._was[key] = ip_address(answer.was)

    def unproven(self, desired: Iterable[Desired]) -> list[tuple[Desired, IPAddress]]:
        """Those that run here and may have the address they had; a probe would show it."""
        return [
            (one, self._was[one.key])
            for one in desired
            if one.claim is not None and one.claim.private is None and one.key in self._was
        ]

    def new(self, desired: Iterable[Desired]) -> list[Desired]:
        """Those that began to run here and are claimed with an address, each once.

        Where such a guest was before, its router had another MAC: until this host has asked
        for it, all it says goes to nobody.
        """
        now = self._clock.boottime()
        found = [
            one
            for one in desired
            if one.claim is not None
            and one.claim.private is not None
            and one.key not in self._greeted
            and now - self._began.get(one.domain.uuid, -PROOF_SECONDS) < PROOF_SECONDS
        ]
        self._greeted |= {one.key for one in found}
        return found

    def see(self, desired: Iterable[Desired]) -> None:
        """Take in which of them have what they had."""
        here = {one.key for one in desired if one.claim and one.source is Source.MOVED}
        self.proven = frozenset(here | self.proven & self._was.keys())

    def settle(self, desired: Iterable[Desired]) -> None:
        """Drop what has been given time to prove itself and is not what is claimed."""
        now = self._clock.boottime()
        for one in desired:
            began = self._began.get(one.domain.uuid, now)
            if now - began >= PROOF_SECONDS and one.source is not Source.MOVED:
                self._was.pop(one.key, None)

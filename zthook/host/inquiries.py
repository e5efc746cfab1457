"""What is asked so that guests' addresses become known: of the edge, the guests, the network."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from zthook.errors import ZthookError
from zthook.host.addresses import Source, Spot, brought, doubtful, heard_of
from zthook.host.answers import granted, to_message
from zthook.host.arrivals import Arrivals
from zthook.host.claims import spots
from zthook.host.decisions import Decisions
from zthook.host.desired import Desired
from zthook.host.edge_client import EdgeClient
from zthook.host.observer import Observer
from zthook.model.addresses import IPAddress
from zthook.model.guests import GuestState
from zthook.model.mappings import Claim

log = logging.getLogger("zthook.agent")

WEAK = {None, Source.MOVED, Source.AGENT, Source.NEIGHBOUR, Source.LAST}
"""Better asked about once more."""


class Inquiries:
    """Asks for what ``decisions`` lack."""

    def __init__(
        self, client: EdgeClient, observer: Observer, arrivals: Arrivals, decisions: Decisions
    ) -> None:
        self._client = client
        self._observer = observer
        self._arrivals = arrivals
        self._decisions = decisions

    async def at_once(self) -> bool:
        """Learn what can be known within a moment; whether there was anything to ask.

        That is of guests that come from another host, and what guests say by themselves.
        """
        due = self._arrivals.due(self._decisions.desired) if self._client.ready else []
        if due:
            await self._ask_edge(due)
        unproven = [*self.unproven(), *self._heard()]
        for spot, address in unproven:
            if spot.device is not None:
                await self._observer.confirm(address, spot.device, spot.mac)
        for one in self._arrivals.new(self._decisions.desired):
            device = one.placement.interface.bridge if one.placement else None
            if device is not None and one.claim is not None and one.claim.private is not None:
                await self._observer.probe([one.claim.private], device)
        return bool(due or unproven)

    def _heard(self) -> list[tuple[Spot, IPAddress]]:
        """What guests said that they have, where nothing better tells; each once."""
        sightings = self._decisions.sightings
        own = dict.fromkeys(sightings.own, "")
        found = [
            (spot, address)
            for one in self._weak()
            for spot in self._spots(one)
            for address in heard_of(spot, sightings, own)
        ]
        for spot, address in found:
            self._observer.forget_heard(address, spot.device or "")
        return found

    async def _ask_edge(self, due: Sequence[Claim]) -> None:
        """By claims of guests that are not here, which are given nothing; no list of ours repeats
        them, so that they end with the next one.
        """
        messages = [to_message(replace(one, private=None, leaving=True), {}) for one in due]
        try:
            self._arrivals.told((await self._client.reserve(messages)).mappings)
        except ZthookError as error:
            log.debug("nothing is known of guests that migrate here: %s", error.message)

    def unproven(self) -> list[tuple[Spot, IPAddress]]:
        """Where guests run that may have the address they had on another host."""
        sightings = self._decisions.sightings
        return [
            (spot, was)
            for one, was in self._arrivals.unproven(self._decisions.desired)
            for spot in self._spots(one)
            if brought(spot, was, sightings, {}) is not None
        ]

    def _spots(self, one: Desired) -> list[Spot]:
        return spots(one.domain, self._observer.networks)

    async def further(self) -> None:
        """Ask guest agents where nothing better says the address; probe what is doubtful."""
        weak = self._weak()
        self._observer.ask_agents({one.domain.uuid for one in weak})
        for one in weak:
            for spot in self._spots(one):
                if spot.device is not None:
                    await self._observer.probe(self._doubtful(one, spot), spot.device)

    def _weak(self) -> list[Desired]:
        return [
            one
            for one in self._decisions.desired
            if one.claim and one.state and one.state is not GuestState.LEFT and one.source in WEAK
        ]

    def _doubtful(self, one: Desired, spot: Spot) -> Iterable[IPAddress]:
        public = granted(one.public, self._decisions.answers.get(one.key))
        if public is None:
            return ()
        sightings = self._decisions.sightings
        found = doubtful(spot, public.version, sightings, dict.fromkeys(sightings.own, ""))
        # A guest that is paused answers no probe, and keeps what it had.
        mine = one.placement is not None and one.placement.interface.mac == spot.mac
        if mine and one.source is Source.MOVED and one.state is GuestState.RUNNING and one.claim:
            found += [one.claim.private] if one.claim.private else []
        return found

"""What is wanted now, of all that this host and its edge show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from zthook.host.addresses import Sightings, Source
from zthook.host.answers import Answers
from zthook.host.arrivals import Arrivals
from zthook.host.claims import claims, desire
from zthook.host.correspondence import Correspondence
from zthook.host.departures import Departures
from zthook.host.desired import Desired, View
from zthook.host.edge_client import EdgeClient
from zthook.host.gateway import Gateway
from zthook.host.memory import Addresses, Memory
from zthook.host.observer import Observer
from zthook.host.reservations import Reservations
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Claim


class Decisions:
    """``desired`` is what was decided last."""

    def __init__(
        self,
        *,
        client: EdgeClient,
        observer: Observer,
        reservations: Reservations,
        arrivals: Arrivals,
        departures: Departures,
        gateway: Gateway | None,
        said: Correspondence,
        memory: Memory,
    ) -> None:
        self.desired: list[Desired] = []
        self._client = client
        self._observer = observer
        self._reservations = reservations
        self._arrivals = arrivals
        self._departures = departures
        self._gateway = gateway
        self._said = said
        self._memory = memory
        self._last: Mapping[str, tuple[IPAddress, ...]] = memory.addresses.recall()

    def follow(self) -> None:
        """Take in which guests are here now, come here, and are gone."""
        guests = self._observer.guests
        self._reservations.settle(guests, self._observer.looked)
        self._departures.settle({one.domain.uuid for one in guests}, self._said.answers)
        self._arrivals.follow(guests, self._reservations.arriving)

    def decide(self) -> None:
        """Decide anew."""
        view = View(
            guests=self._observer.guests,
            networks=self._observer.networks,
            sightings=self.sightings,
            reserved=self._reservations.domains,
            answers=self.answers,
            moved=self._arrivals.moved,
            proven=self._arrivals.proven,
            departed=self._departures.domains,
            via=self._gateway.via if self._gateway else None,
            lacking=self._gateway.lacking if self._gateway else {},
        )
        self.desired = desire(view)
        self._arrivals.see(self.desired)
        self._last = _found(self.desired, self._last)
        self._said.known = frozenset(one.domain.uuid for one in self.desired)
        self._said.names |= {one.domain.uuid: one.domain.name for one in self.desired}

    @property
    def claims(self) -> list[Claim]:
        """What the edge is asked for."""
        return claims(self.desired)

    def compose(self) -> list[Claim]:
        """The same, decided anew: a reservation may have come in between."""
        self.decide()
        return self.claims

    def conclude(self) -> None:
        """What was decided is done: keep what the next agent needs of it."""
        self._arrivals.settle(self.desired)
        self._memory.addresses.keep(dict(self._last))

    @property
    def answers(self) -> Answers:
        """What the edge said of claims, and of guests that are about to claim here."""
        return {**self._arrivals.answers, **self._said.answers}

    @property
    def sightings(self) -> Sightings:
        """What was seen, what was found before, and where the edge takes addresses of ours."""
        seen, session = self._observer.sightings, self._client.session
        if session is not None and session.prefixes:
            seen = replace(seen, accepted=tuple(map(ip_network, session.prefixes)))
        return replace(seen, last=self._last)


def _found(desired: Sequence[Desired], before: Mapping[str, tuple[IPAddress, ...]]) -> Addresses:
    """What was found for each interface, but for what the annotation said; and what was
    ``before``, where a guest has nothing else.
    """
    found: dict[str, dict[int, IPAddress]] = {
        interface.mac: {known.version: known for known in before.get(interface.mac, ())}
        for one in desired
        for interface in one.domain.interfaces
    }
    for one in desired:
        told = one.source not in {None, Source.ANNOTATION}
        if told and one.claim and one.claim.private and one.placement:
            private = one.claim.private
            found[one.placement.interface.mac][private.version] = private
    return {mac: tuple(known.values()) for mac, known in found.items() if known}

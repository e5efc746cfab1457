"""The agent's loop: look, decide, make the kernel ready, tell the edge, settle the kernel.

A hint only wakes a pass; the pass looks at what is really there. Host rules of a claim are
in place before the claim is sent, and go after its withdrawal was answered, so that no
packet the edge lets through meets a closed host.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from uuid import UUID

from zthook.errors import NotAuthenticated, Permanent, Stale, Temporary, ZthookError
from zthook.host.addresses import Sightings, Source, doubtful
from zthook.host.answers import Answers, Names, by_claim, granted, tell_changes, to_message
from zthook.host.backoff import Backoff
from zthook.host.claims import claims, desire, spots
from zthook.host.desired import Desired, View
from zthook.host.edge_client import EdgeClient
from zthook.host.gateway import Gateway
from zthook.host.host_kernel import HostKernel
from zthook.host.memory import Addresses, Memory, Told
from zthook.host.observer import Observer
from zthook.host.planes import rules
from zthook.host.reservations import Reservations
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.guests import Domain
from zthook.model.waiting import within
from zthook.wire.messages import ClaimMessage, ClaimsReply, MappingReply

log = logging.getLogger("zthook.agent")

PASS_SECONDS = 10.0
"""Between two passes that nobody hinted at."""
WAITING_SECONDS = 2.0
"""The same while a guest's address is not known, or known from where nobody hints at a change."""
UNTOLD = {None, Source.NEIGHBOUR, Source.LAST}
WEAK = {*UNTOLD, Source.AGENT}
"""Better asked about once more."""
GAP_SECONDS = 0.02
"""After a pass, so that a storm of hints becomes few passes."""
ROUNDS = 3
"""Of telling the edge in one pass: what it answers can be part of what it is told next."""


class Passes:
    """``desired`` and ``answers`` are what the last pass found; ``fault`` what went wrong in it.

    ``names`` has the name of every guest in these two. ``ended`` counts passes.
    """

    def __init__(
        self,
        *,
        client: EdgeClient,
        observer: Observer,
        kernel: HostKernel,
        reservations: Reservations,
        hinted: asyncio.Event,
        memory: Memory,
        gateway: Gateway | None = None,
    ) -> None:
        self.desired: list[Desired] = []
        self.fault: ZthookError | None = None
        self.ended = 0
        self._client = client
        self._observer = observer
        self._kernel = kernel
        self._reservations = reservations
        self._hinted = hinted
        self._memory = memory
        self._last = memory.addresses.recall()
        self._gateway = gateway
        self._sent = claims(())
        told = memory.told.recall()
        if told.edge != client.credential.edge:
            told = Told()
        self.answers: Answers = by_claim(told.answers)
        self.names: Names = {UUID(guest): name for guest, name in told.names.items()}
        self._pools = tuple(map(AddressRange.parse, told.pools))
        self._backoff = Backoff(chance=random.Random())  # noqa: S311 - spreads load, no secret
        self._acted_on = 0.0
        self._passed = asyncio.Condition()

    async def run(self) -> None:
        """Pass after pass, for ever: on each hint, and now and then."""
        while True:
            self._hinted.clear()
            await self.one()
            self.ended += 1
            async with self._passed:
                self._passed.notify_all()
            await asyncio.sleep(GAP_SECONDS)
            await within(self._hinted, self._rest_seconds())

    async def act_on(self, moment: float) -> None:
        """Return after a pass over what libvirt said after ``moment`` (boottime), and the edge to
        that; never while libvirt does not answer.
        """
        async with self._passed:
            while self._acted_on <= moment:
                self._hinted.set()
                await self._passed.wait()

    def _rest_seconds(self) -> float:
        waits = any(one.claim and one.state and one.source in UNTOLD for one in self.desired)
        return WAITING_SECONDS if waits else PASS_SECONDS

    async def one(self) -> None:
        """One pass. Until libvirt has answered once, and the kernel, nothing is changed."""
        await self._observer.look()
        if not self._observer.known:
            return
        looked = self._observer.looked
        self._reservations.settle(self._observer.guests, looked)
        for _ in range(ROUNDS):
            self._decide()
            await self._settle(widen=True)
            if not await self._tell():
                break
        self._memory.addresses.keep(self._last)
        await self._settle(widen=False)
        self._acted_on = looked
        await self._ask_further()
        if self._gateway is not None and self._client.ready:
            self._gateway.look(self.desired)

    def _decide(self) -> None:
        view = View(
            guests=self._observer.guests,
            networks=self._observer.networks,
            sightings=self._sightings(),
            reserved=self._reservations.domains,
            answers=self.answers,
            via=self._gateway.via if self._gateway else None,
            lacking=self._gateway.lacking if self._gateway else {},
        )
        self.desired = desire(view)
        self._last = _found(self.desired, self._last)
        self.names |= {one.domain.uuid: one.domain.name for one in self.desired}

    def _sightings(self) -> Sightings:
        """What was seen, what was found before, and where the edge takes addresses of ours."""
        seen, session = self._observer.sightings, self._client.session
        if session is not None and session.prefixes:
            seen = replace(seen, accepted=tuple(map(ip_network, session.prefixes)))
        return replace(seen, last=self._last)

    async def _settle(self, *, widen: bool) -> None:
        if isinstance(self._client.fault, NotAuthenticated):
            await self._kernel.settle(frozenset(), (), widen=False)
        else:
            wanted = rules(self.desired, self.answers)
            await self._kernel.settle(wanted, self._pools, widen=widen)

    async def _tell(self) -> bool:
        """Send the list where the edge may lack it; whether it answered. What fails is tried
        again.
        """
        if not self._client.ready:
            return False  # the link hints when it is
        if not self._client.list_due and claims(self.desired) == self._sent:
            return False
        try:
            reply = await self._client.list_claims(self._compose)
        except (Stale, Temporary) as error:
            self.fault = error
            asyncio.get_running_loop().call_later(self._backoff.next(), self._hinted.set)
        except Permanent as error:
            self.fault = error
            log.error("the edge does not take our claims: %s", error.message)  # noqa: TRY400
        else:
            self.fault = None
            self._backoff.reset()
            self._hear(reply)
            return True
        return False

    def _hear(self, reply: ClaimsReply) -> None:
        self._pools = tuple(
            AddressRange.parse(one) for pool in reply.pools for one in pool.addresses
        )
        self._take(by_claim(reply.mappings))

    def _compose(self) -> list[ClaimMessage]:
        """What to send now: decided anew, as a reservation may have come while we waited."""
        self._decide()
        self._sent = claims(self.desired)
        return [to_message(claim, self.answers) for claim in self._sent]

    def take_some(self, domain: Domain, mappings: Iterable[MappingReply]) -> None:
        """Keep answers that a reservation for ``domain`` got, beside those we have."""
        self.names[domain.uuid] = domain.name
        self._take({**self.answers, **by_claim(mappings)})

    def _take(self, after: Answers) -> None:
        tell_changes(self.answers, after, self.names)
        self.answers = after
        known = {key[0] for key in after} | {one.domain.uuid for one in self.desired}
        self.names = {guest: self.names[guest] for guest in self.names.keys() & known}
        edge = self._client.credential.edge
        self._memory.told.keep(Told.of(edge, after, self.names, self._pools))

    async def _ask_further(self) -> None:
        """Ask guest agents where nothing better says the address; probe what is doubtful."""
        sightings = self._sightings()
        open_ones = [one for one in self.desired if one.claim and one.source in WEAK and one.state]
        self._observer.ask_agents({one.domain.uuid for one in open_ones})
        own = dict.fromkeys(sightings.own, "")
        for one in open_ones:
            public = granted(one.public, self.answers.get(one.key))
            for spot in spots(one.domain, self._observer.networks):
                if spot.device and public is not None:
                    asked = doubtful(spot, public.version, sightings, own)
                    await self._observer.probe(asked, spot.device)


def _found(desired: Sequence[Desired], before: Addresses) -> Addresses:
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

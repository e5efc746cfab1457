"""The agent's loop: look, decide, make the kernel ready, tell the edge, settle the kernel.

A hint only wakes a pass; the pass looks at what is really there. Host rules of a claim are
in place before the claim is sent, and go after its withdrawal was answered, so that no
packet the edge lets through meets a closed host.
"""

import asyncio
from collections.abc import Iterable

from zthook.errors import NotAuthenticated
from zthook.host.addresses import Source
from zthook.host.arrivals import Arrivals
from zthook.host.correspondence import Correspondence
from zthook.host.decisions import Decisions
from zthook.host.departures import Departures
from zthook.host.edge_client import EdgeClient
from zthook.host.gateway import Gateway
from zthook.host.host_kernel import HostKernel
from zthook.host.inquiries import Inquiries
from zthook.host.memory import Memory
from zthook.host.next_starts import NextStarts
from zthook.host.observer import Observer
from zthook.host.planes import newcomers, rules
from zthook.host.reservations import Reservations
from zthook.model.clock import Clock
from zthook.model.durations import Durations
from zthook.model.guests import Domain
from zthook.model.waiting import within
from zthook.wire.messages import MappingReply

PASS_SECONDS = 10.0
"""Between two passes that nobody hinted at."""
WAITING_SECONDS = 2.0
"""The same while a guest's address is not known, or known from where nobody hints at a change."""
MOVING_SECONDS = 0.2
"""The same while a guest has just come from another host, or gone to one."""
UNTOLD = {None, Source.MOVED, Source.NEIGHBOUR, Source.LAST}
GAP_SECONDS = 0.02
"""After a pass, so that a storm of hints becomes few passes."""
ROUNDS = 3
"""Of telling the edge in one pass: what it answers can be part of what it is told next."""


class Passes:
    """``decisions`` are what the last pass came to, ``said`` is what the edge answered.
    ``ended`` counts passes, ``durations`` how long they took.
    """

    def __init__(
        self,
        *,
        client: EdgeClient,
        observer: Observer,
        kernel: HostKernel,
        reservations: Reservations,
        departures: Departures,
        hinted: asyncio.Event,
        memory: Memory,
        gateway: Gateway | None,
        next_starts: NextStarts,
        clock: Clock,
    ) -> None:
        self.ended = 0
        self.durations = Durations()
        self.said = Correspondence(client, memory, hinted.set, lambda: observer.heard)
        self._clock = clock
        self._client = client
        self._observer = observer
        self._kernel = kernel
        self._departures = departures
        self._hinted = hinted
        self._gateway = gateway
        self._next_starts = next_starts
        self._arrivals = Arrivals(clock)
        self.decisions = Decisions(
            client=client,
            observer=observer,
            reservations=reservations,
            arrivals=self._arrivals,
            departures=departures,
            gateway=gateway,
            said=self.said,
            memory=memory,
        )
        self._inquiries = Inquiries(client, observer, self._arrivals, self.decisions)
        self._acted_on = 0.0
        self._passed = asyncio.Condition()

    async def run(self) -> None:
        """Pass after pass, for ever: on each hint, and now and then."""
        while True:
            self._hinted.clear()
            began = self._clock.boottime()
            await self.one()
            self.durations.note(self._clock.boottime() - began)
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
        if self._inquiries.unproven() or self._departures.domains:
            return MOVING_SECONDS
        desired = self.decisions.desired
        waits = any(one.claim and one.state and one.source in UNTOLD for one in desired)
        return WAITING_SECONDS if waits else PASS_SECONDS

    async def one(self) -> None:
        """One pass. Until libvirt has answered once, and the kernel, nothing is changed."""
        await self._observer.look()
        if not self._observer.known:
            return
        looked = self._observer.looked
        self.decisions.follow()
        for _ in range(ROUNDS):
            self.decisions.decide()
            if await self._inquiries.at_once():
                self.decisions.decide()
            await self._settle(widen=True)
            answers = await self.said.tell(self.decisions.claims, self.decisions.compose)
            if answers is None:
                break
            self._arrivals.told(answers)
        self.decisions.conclude()
        await self._settle(widen=False)
        self._acted_on = looked
        self._next_starts.look(self._observer.guests)
        await self._inquiries.further()
        if self._gateway is not None and self._client.ready:
            self._gateway.look(self.decisions.desired)

    async def _settle(self, *, widen: bool) -> None:
        if isinstance(self._client.fault, NotAuthenticated):
            await self._kernel.settle(frozenset(), (), widen=False)
        else:
            wanted = rules(self.decisions.desired, self.decisions.answers)
            new = newcomers(self.decisions.desired, self._arrivals.fresh)
            await self._kernel.settle(wanted, self.said.pools, new, widen=widen)

    def take_some(self, domain: Domain, mappings: Iterable[MappingReply]) -> None:
        """Keep answers that a reservation for ``domain`` got, beside those we have."""
        answers = list(mappings)
        self._arrivals.told(answers)
        self.said.take_some(domain, answers)

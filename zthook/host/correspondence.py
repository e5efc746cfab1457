"""What the edge is told, and what it said last: lists out, answers in."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from zthook.errors import Permanent, Stale, Temporary, ZthookError
from zthook.host.answers import Answers, Names, by_claim, tell_changes, to_message
from zthook.host.backoff import Backoff
from zthook.host.edge_client import EdgeClient
from zthook.host.memory import Memory, Told
from zthook.model.addresses import AddressRange
from zthook.model.guests import Domain
from zthook.model.mappings import Claim
from zthook.wire.messages import ClaimMessage, ClaimsReply, MappingReply

log = logging.getLogger("zthook.agent")

Compose = Callable[[], Sequence[Claim]]
"""What is claimed now."""


class Correspondence:
    """``answers`` are the edge's by claim, ``pools`` the public addresses that are reached
    through it; both outlive this process. ``names`` has the name of every guest of which
    there is an answer, and of those in ``known``, which the user keeps. ``fault`` is what
    went wrong with the last list. ``heard`` tells what the edge's ``moment`` was when the
    look began that claims are decided by.
    """

    def __init__(
        self,
        client: EdgeClient,
        memory: Memory,
        hint: Callable[[], None],
        heard: Callable[[], int],
    ) -> None:
        told = memory.told.recall()
        if told.edge != client.credential.edge:
            told = Told()
        self.answers: Answers = by_claim(told.answers)
        self.names: Names = {UUID(guest): name for guest, name in told.names.items()}
        self.pools = tuple(map(AddressRange.parse, told.pools))
        self.known: frozenset[UUID] = frozenset()
        self.fault: ZthookError | None = None
        client.edge_mac = client.edge_mac or told.mac
        self._client = client
        self._memory = memory
        self._hint = hint
        self._heard = heard
        self._sent: list[Claim] = []
        self._backoff = Backoff(chance=random.Random())  # noqa: S311 - spreads load, no secret

    async def tell(self, now: Sequence[Claim], compose: Compose) -> list[MappingReply] | None:
        """Send the list where the edge may lack it: its answer, None where there is none.

        ``now`` tells whether there is anything new to say, and ``compose`` what it is when it
        is our turn. What fails is tried again.
        """
        if not self._client.ready:
            return None  # the link hints when it is
        if not self._client.list_due and list(now) == self._sent:
            return None
        try:
            reply = await self._client.list_claims(lambda: self._messages(compose), self._heard)
        except (Stale, Temporary) as error:
            self.fault = error
            asyncio.get_running_loop().call_later(self._backoff.after(error), self._hint)
        except Permanent as error:
            self.fault = error
            log.error("the edge does not take our claims: %s", error.message)  # noqa: TRY400
        else:
            self._hear(reply)
            return reply.mappings
        return None

    def _messages(self, compose: Compose) -> list[ClaimMessage]:
        """What to send now: decided anew, as a reservation may have come while we waited."""
        self._sent = list(compose())
        return [to_message(claim, self.answers) for claim in self._sent]

    def _hear(self, reply: ClaimsReply) -> None:
        self.fault = None
        self._backoff.reset()
        ranges = (one for pool in reply.pools for one in pool.addresses)
        self.pools = tuple(map(AddressRange.parse, ranges))
        self._take(by_claim(reply.mappings))

    def take_some(self, domain: Domain, mappings: Iterable[MappingReply]) -> None:
        """Keep answers that a reservation for ``domain`` got, beside those we have."""
        self.names[domain.uuid] = domain.name
        self._take({**self.answers, **by_claim(mappings)})

    def _take(self, after: Answers) -> None:
        tell_changes(self.answers, after, self.names)
        self.answers = after
        kept = {key[0] for key in after} | self.known
        self.names = {guest: name for guest, name in self.names.items() if guest in kept}
        edge, mac = self._client.credential.edge, self._client.edge_mac
        self._memory.told.keep(Told.of(edge, after, self.names, self.pools, mac))

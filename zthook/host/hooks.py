"""Answers libvirt's hook: from the hook's own XML and the edge alone.

While a hook waits libvirt holds that guest's lock, so nothing on this way asks libvirt or
waits for anything that does.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Protocol

from zthook.annotation import read_domain
from zthook.errors import AnnotationError, EdgeUnreachable, ZthookError
from zthook.host.answers import ClaimKey, key_of, name_of, to_message
from zthook.host.claims import claims, desire
from zthook.host.desired import Desired, View
from zthook.host.edge_client import EdgeClient
from zthook.host.hook_socket import ALLOW, HookAnswer, HookCall
from zthook.host.lives import Lives
from zthook.host.placement import Networks
from zthook.host.reservations import Reservations
from zthook.host.starts import MissedStarts
from zthook.hypervisor.contract import Happened, Hint
from zthook.model.guests import Domain
from zthook.wire.messages import MappingReply

log = logging.getLogger("zthook.agent")

ENDED = {"stopped", "release"}
MIGRATED = "migrated"
"""What the hook is told as the reason of ``release`` (libvirt 10.5 and later)."""

EDGE_SHARE = 0.9
"""Of the time that the hook waits: the rest is for the way of our answer."""


class Known(Protocol):
    """What passes found out before; nothing here is waited for."""

    @property
    def networks(self) -> Networks: ...


class Hooks:
    """Calls are hints; only the ``prepare`` of a guest with ``required="yes"`` waits."""

    def __init__(
        self,
        *,
        client: EdgeClient,
        known: Known,
        reservations: Reservations,
        hint: Callable[[], None],
        take: Callable[[Domain, Sequence[MappingReply]], None],
        missed: MissedStarts,
        lives: Lives,
        seconds: float,
        via: IPv4Address | None = None,
    ) -> None:
        self._client = client
        self._known = known
        self._reservations = reservations
        self._hint = hint
        self._take = take
        self._missed = missed
        self._lives = lives
        self._seconds = seconds * EDGE_SHARE
        self._via = via

    async def __call__(self, call: HookCall) -> HookAnswer:
        """Allow, or refuse with the reason; never raises for what the call holds."""
        self._hint()
        if not call.decides and call.operation not in ENDED | {"migrate"}:
            return ALLOW
        try:
            domain = read_domain(call.xml)
        except AnnotationError as error:
            log.warning("hook %s of %s: %s", call.operation, call.guest, error.message)
            # Whether it insists on an address, the hook itself has found out.
            reason = f"its XML can not be read: {error.message}"
            return HookAnswer(allow=not call.decides, reason=reason)
        if call.operation == "migrate":
            self._reservations.expect(domain.uuid)
            return ALLOW
        if call.operation in ENDED:
            self._reservations.drop(domain.uuid)
            if call.extra == MIGRATED:
                self._lives.hear(Hint(domain.uuid, Happened.MIGRATED))
            return ALLOW
        return await self._prepare(domain) if domain.required else ALLOW

    async def _prepare(self, domain: Domain) -> HookAnswer:
        reason = await self._reason_against(domain)
        if reason:
            self._reservations.drop(domain.uuid)
            self._hint()
        elif self._reservations.arrives(domain.uuid):
            # Who migrates here claims when it runs here; the answer was all that was wanted.
            self._reservations.release(domain.uuid)
            self._hint()
        if not reason:
            self._missed.forget(domain.uuid)
            log.info("%s: may start, its addresses are reserved", domain.name)
            return ALLOW
        log.warning("%s: may not start: %s", domain.name, reason)
        return HookAnswer(allow=False, reason=reason)

    async def _reason_against(self, domain: Domain) -> str:
        wanted = desire(
            View(guests=(), networks=self._known.networks, reserved=[domain], via=self._via)
        )
        if refusal := next((one.refusal for one in wanted if _counts(one) and one.refusal), ""):
            return refusal
        # Before it is sent: a list composed from now on has to hold these claims too.
        self._reservations.add(domain)
        try:
            async with asyncio.timeout(self._seconds):
                messages = [to_message(claim, {}) for claim in claims(wanted)]
                answers = (await self._client.reserve(messages)).mappings
        except TimeoutError:
            return self._away(domain, f"no answer within {self._seconds:g} s")
        except EdgeUnreachable as error:
            return self._away(domain, error.message)
        except ZthookError as error:
            return error.message
        self._take(domain, answers)
        by_key = {key_of(answer): answer for answer in answers}
        return next((why for one in wanted if _counts(one) and (why := against(one, by_key))), "")

    def _away(self, domain: Domain, why: str) -> str:
        self._missed.note(domain.uuid, domain.name)
        health = self._client.pulse.health
        if health.up is not False:
            return f"the edge is not reached: {why}"
        since = dt.datetime.fromtimestamp(health.since, dt.UTC).astimezone()
        return f"the edge is not reached since {since:%Y-%m-%d %H:%M:%S}: {why}"


def _counts(one: Desired) -> bool:
    """Whether this address is one the guest needs; of a wrong annotation all of it is."""
    return one.request is None or one.request.required


def against(one: Desired, answers: Mapping[ClaimKey, MappingReply]) -> str:
    """Why the guest may not start with this answer; empty where the address is its own.

    Held by this same guest counts, wherever: it migrates here, or is restored.
    """
    if one.claim is None:
        return one.waits
    answer = answers.get(one.claim.key)
    if answer is None:
        return f"the edge said nothing of {name_of(one.claim.public)}"
    holder = answer.holder
    # An epoch is shown to who holds alone; what the kernel lacks the edge mends by itself.
    if answer.epoch > 0 or (holder is not None and holder.uuid == str(one.claim.guest)):
        return ""
    what = answer.public or name_of(one.claim.public)
    if answer.state == "conflict" and holder is not None:
        return f"{what} is held by guest {holder.guest} on {holder.host}"
    if what in answer.reason:
        return answer.reason
    return f"{what} is {answer.state}: {answer.reason}"

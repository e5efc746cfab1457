"""Claims as messages to the edge, and its answers by claim."""

import logging
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from uuid import UUID

from zthook.model.addresses import IPAddress
from zthook.model.mappings import Auto, Claim
from zthook.wire.messages import ClaimMessage, MappingReply

log = logging.getLogger("zthook.agent")

ClaimKey = tuple[UUID, str]
"""Guest, and what is asked for: ``Claim.key``."""

Answers = Mapping[ClaimKey, MappingReply]

Names = dict[UUID, str]
"""Guests' names, for people."""

DENIED = {"conflict", "refused"}
"""The states in which nothing may reach the guest."""


def to_message(claim: Claim, answers: Answers) -> ClaimMessage:
    """The claim as it is sent, with the highest epoch that we were shown for it."""
    answer = answers.get(claim.key)
    return ClaimMessage(
        guest=str(claim.guest),
        name=claim.name,
        public=claim.asked,
        private=None if claim.private is None else str(claim.private),
        mode=claim.mode.value,
        client=claim.client.value,
        rewriter=claim.rewriter.value,
        egress=claim.egress.value,
        ports=[str(ports) for ports in claim.ports],
        allow=[str(prefix) for prefix in claim.allow],
        leaving=claim.leaving,
        epoch=max(claim.epoch, answer.epoch if answer else 0),
    )


def key_of(answer: MappingReply) -> ClaimKey:
    """Which claim it answers."""
    return UUID(answer.guest), answer.asked


def by_claim(answers: Iterable[MappingReply]) -> dict[ClaimKey, MappingReply]:
    """The answers by what they answer."""
    return {key_of(answer): answer for answer in answers}


def granted(public: IPAddress | Auto | None, answer: MappingReply | None) -> IPAddress | None:
    """The address that was asked for; of ``auto`` the one the edge chose, None before it did."""
    if public is not None and not isinstance(public, Auto):
        return public
    return ip_address(answer.public) if answer is not None and answer.public else None


def name_of(public: IPAddress | Auto) -> str:
    """What is asked for, for people."""
    if not isinstance(public, Auto):
        return str(public)
    return f"auto of pool {public.pool}" if public.pool else "auto"


def tell_changes(before: Answers, after: Answers, names: Names) -> None:
    """Log what became of each mapping, once for each change."""
    for key, answer in after.items():
        was = before.get(key)
        if was is None or (was.state, was.private) != (answer.state, answer.private):
            name = names.get(key[0], answer.guest)
            to = f" at {answer.private}" if answer.state == "active" else ""
            why = f": {answer.reason}" if answer.reason else ""
            log.info("%s: %s is %s%s%s", name, answer.public or answer.asked, answer.state, to, why)
    for key in before.keys() - after.keys():
        public = before[key].public or key[1]
        log.info("%s: %s is withdrawn", names.get(key[0], key[0]), public)

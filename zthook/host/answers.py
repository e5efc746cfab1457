"""Claims as messages to the edge, and its answers by claim."""

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from zthook.host.planes import ClaimKey
from zthook.model.mappings import Claim
from zthook.wire.messages import ClaimMessage, MappingReply

log = logging.getLogger("zthook.agent")

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
        epoch=max(claim.epoch, answer.epoch if answer else 0),
    )


def key_of(answer: MappingReply) -> ClaimKey:
    """Which claim it answers."""
    return UUID(answer.guest), answer.asked


def by_claim(answers: Iterable[MappingReply]) -> dict[ClaimKey, MappingReply]:
    """The answers by what they answer."""
    return {key_of(answer): answer for answer in answers}


def denied(answers: Answers) -> set[ClaimKey]:
    """The claims that were answered with no."""
    return {key for key, answer in answers.items() if answer.state in DENIED}


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
        log.info("%s: %s is withdrawn", names.get(key[0], key[0]), key[1])

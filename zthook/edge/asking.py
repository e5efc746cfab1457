"""Claims as hosts send them, as the edge decides on them, and as the store keeps them."""

from collections.abc import Sequence
from ipaddress import ip_address
from uuid import UUID

import msgspec

from zthook.errors import UsageError
from zthook.model.mappings import Claim, Rewriter
from zthook.model.publication import Client, Mode
from zthook.store.rows import ClaimRow, Standing
from zthook.wire.messages import ClaimMessage

MAX_EPOCH = 2**52
"""No edge has granted more; one made up must not use up the numbers that messages can hold."""
MOST_RAISED = 2**51
"""What hosts show raises ours to this at most: above it there is room for as many grants."""


def printable(text: str) -> str:
    """What a host says of itself, as it can be shown: it ends on other people's terminals."""
    return "".join(one if one.isprintable() else "?" for one in text)


def read_claims(messages: Sequence[ClaimMessage]) -> list[Claim]:
    """The claims, in their order. Raises UsageError: not an address, the same claim twice."""
    claims = [_read(message) for message in messages]
    if len({claim.key for claim in claims}) < len(claims):
        raise UsageError("a claim is there twice: one guest and public address, one claim")
    return claims


def _read(message: ClaimMessage) -> Claim:
    if message.epoch > MAX_EPOCH:
        raise UsageError(f"no edge granted the epoch {message.epoch}")
    try:
        return Claim(
            guest=UUID(message.guest),
            name=printable(message.name),
            public=ip_address(message.public),
            private=None if message.private is None else ip_address(message.private),
            mode=Mode(message.mode),
            client=Client(message.client),
            rewriter=Rewriter(message.rewriter),
            epoch=message.epoch,
        )
    except ValueError as error:
        raise UsageError(f"the claim of {message.name!r}: {error}") from error


def to_row(host: str, claim: Claim, *, place: int, since: float) -> ClaimRow:
    """A claim that arrives: it waits."""
    return ClaimRow(
        host=host,
        guest=str(claim.guest),
        public=str(claim.public),
        name=claim.name,
        private=_text(claim.private),
        mode=claim.mode,
        client=claim.client,
        rewriter=claim.rewriter,
        standing=Standing.WAITING,
        place=place,
        since=since,
    )


def with_content(row: ClaimRow, claim: Claim) -> ClaimRow:
    """The row with what the host says of it now; where it stands is untouched."""
    return msgspec.structs.replace(
        row,
        name=claim.name,
        private=_text(claim.private),
        mode=str(claim.mode),
        client=str(claim.client),
        rewriter=str(claim.rewriter),
    )


def from_row(row: ClaimRow) -> Claim:
    """The claim that a row keeps."""
    return Claim(
        guest=UUID(row.guest),
        name=row.name,
        public=ip_address(row.public),
        private=None if row.private is None else ip_address(row.private),
        mode=Mode(row.mode),
        client=Client(row.client),
        rewriter=Rewriter(row.rewriter),
        epoch=row.epoch,
    )


def _text(address: object) -> str | None:
    return None if address is None else str(address)

"""Claims as hosts send them, as the edge decides on them, and as the store keeps them."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from itertools import pairwise
from uuid import UUID

from zthook.errors import UsageError
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import Auto, Claim, Rewriter
from zthook.model.publication import Client, Egress, Mode, PortRange, Ports
from zthook.store.rows import ClaimRow, Content, Standing
from zthook.wire.messages import ClaimMessage

MAX_EPOCH = 2**52
"""No edge has granted more; one made up must not use up the numbers that messages can hold."""
MOST_RAISED = 2**51
"""What hosts show raises ours to this at most: above it there is room for as many grants."""

_AUTO = re.compile(r"auto/([A-Za-z0-9][A-Za-z0-9._-]{0,62})?/(0|[1-9][0-9]{0,2})")


def printable(text: str) -> str:
    """What a host says of itself, as it can be shown: it ends on other people's terminals."""
    return "".join(one if one.isprintable() else "?" for one in text)


def read_claims(messages: Sequence[ClaimMessage]) -> list[Claim]:
    """The claims, in their order. Raises UsageError: what can not be read; the same one twice."""
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
            public=read_asked(message.public),
            private=None if message.private is None else _read_address(message.private),
            mode=Mode(message.mode),
            client=Client(message.client),
            rewriter=Rewriter(message.rewriter),
            egress=Egress(message.egress),
            ports=_read_ports(message.ports),
            allow=_read_allow(message.allow),
            leaving=message.leaving,
            epoch=message.epoch,
        )
    except ValueError as error:
        raise UsageError(f"the claim of {message.name!r}: {error}") from error


def read_asked(text: str) -> IPAddress | Auto:
    """An address, or ``auto/POOL/NUMBER``. Raises ValueError, saying what was found."""
    return read_auto(text) if text.startswith("auto/") else _read_address(text)


def read_auto(text: str) -> Auto:
    """``auto/POOL/NUMBER``, of which POOL may be empty. Raises ValueError, as ``read_asked``."""
    found = _AUTO.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not auto/POOL/NUMBER")
    return Auto(found[1] or "", int(found[2]))


def _read_address(text: str) -> IPAddress:
    if "%" in text:
        raise ValueError(f"{text!r} names a device")
    return ip_address(text)


def _read_ports(texts: Iterable[str]) -> Ports:
    """In one order, so that the same ports are the same text."""
    ports = sorted(map(PortRange.parse, texts))
    for one, other in pairwise(ports):
        if one.overlaps(other):
            raise ValueError(f"{one} and {other} overlap")
    return tuple(ports)


def _read_allow(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    return tuple(sorted(set(map(ip_network, texts)), key=str))


def to_row(host: str, claim: Claim, *, place: int, since: float) -> ClaimRow:
    """A claim that arrives: it waits, an ``auto`` without an address."""
    return ClaimRow(
        host=host,
        guest=str(claim.guest),
        asked=claim.asked,
        public="" if isinstance(claim.public, Auto) else str(claim.public),
        name=claim.name,
        private=None,
        mode=claim.mode,
        client=claim.client,
        rewriter=claim.rewriter,
        standing=Standing.WAITING,
        place=place,
        since=since,
    ).saying(content_of(claim))


def content_of(claim: Claim) -> Content:
    """What the host says of it now."""
    return Content(
        name=claim.name,
        private=None if claim.private is None else str(claim.private),
        mode=str(claim.mode),
        client=str(claim.client),
        rewriter=str(claim.rewriter),
        egress=str(claim.egress),
        ports=tuple(map(str, claim.ports)),
        allow=tuple(map(str, claim.allow)),
        leaving=claim.leaving,
    )


def from_row(row: ClaimRow) -> Claim:
    """The claim that a row keeps."""
    return Claim(
        guest=UUID(row.guest),
        name=row.name,
        public=read_asked(row.asked),
        private=None if row.private is None else ip_address(row.private),
        mode=Mode(row.mode),
        client=Client(row.client),
        rewriter=Rewriter(row.rewriter),
        egress=Egress(row.egress),
        ports=tuple(map(PortRange.parse, row.ports)),
        allow=tuple(map(ip_network, row.allow)),
        leaving=row.leaving,
        epoch=row.epoch,
    )

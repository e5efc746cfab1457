"""What this host's kernel should have for the guests it claims addresses for: pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from uuid import UUID

from zthook.host.claims import Desired
from zthook.model.mappings import GuestRule, HostPlane, Rewriter
from zthook.model.publication import Client

ClaimKey = tuple[UUID, str]
"""Guest, and what is asked for: ``Claim.key``."""


@dataclass(frozen=True, slots=True)
class EdgeSide:
    """The way to the edge: the overlay device here, the edge's address and MAC on it."""

    overlay: str
    edge: IPv4Address
    edge_mac: str


def rules(wanted: Iterable[Desired], denied: Collection[ClaimKey]) -> frozenset[GuestRule]:
    """A rule for each claim that is active or may become it with the edge's next answer.

    They are there before the claim is sent, so that the first packet after the grant
    passes. ``denied`` are the claims that the edge answered with no.
    """
    return frozenset(
        rule
        for one in wanted
        if one.claim is not None and one.claim.key not in denied
        for rule in _rule(one)
    )


def _rule(one: Desired) -> list[GuestRule]:
    claim, placement = one.claim, one.placement
    if claim is None or placement is None or not isinstance(claim.private, IPv4Address):
        return []
    device, kind = placement.interface.bridge, placement.interface.kind
    hide = claim.client is Client.HIDE and claim.rewriter is Rewriter.HOST
    if device is None or not (hide or kind.routed_by_host):
        return []  # its packets take another way than through this host
    return [GuestRule(claim.private, device, hide)]


def plane(side: EdgeSide, wanted: frozenset[GuestRule], kept: frozenset[GuestRule]) -> HostPlane:
    """The plane with ``wanted`` rules, and those ``kept`` whose guest address is not in them."""
    addresses = {rule.private for rule in wanted}
    lingering = frozenset(rule for rule in kept if rule.private not in addresses)
    return HostPlane(side.overlay, side.edge, side.edge_mac, wanted | lingering)

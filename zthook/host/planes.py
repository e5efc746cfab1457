"""What this host's kernel should have for the guests it claims addresses for: pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from uuid import UUID

from zthook.host.answers import DENIED, Answers, granted
from zthook.host.desired import Desired
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import GuestRule, HostPlane, Rewriter
from zthook.model.publication import Client, Egress, Mode, in_each_others_way
from zthook.wire.messages import MappingReply


@dataclass(frozen=True, slots=True)
class EdgeSide:
    """The way to the edge: the overlay device here, the edge's address and MAC on it.

    ``pinned`` as in HostPlane.
    """

    overlay: str
    edge: IPv4Address
    edge_mac: str
    pinned: bool = True


def rules(wanted: Iterable[Desired], answers: Answers) -> frozenset[GuestRule]:
    """A rule for each claim that is active or may become it with the edge's next answer.

    They are there before the claim is sent, so that the first packet after the grant
    passes; and before a guest that migrates here runs, which may be the first to speak. A
    claim that the edge answered with no has none.
    """
    return frozenset(rule for one in wanted for rule in _rule(one, answers.get(one.key)))


def newcomers(wanted: Iterable[Desired], migrated: Collection[UUID]) -> frozenset[tuple[str, str]]:
    """Bridge and MAC of those that ``migrated`` here and whose address is not known yet.

    A connection of theirs that the edge brought would go on by the home line, from an address
    that its other end never heard of and resets.
    """
    return frozenset(
        (one.placement.interface.bridge, one.placement.interface.mac)
        for one in wanted
        if one.domain.uuid in migrated
        and (claim := one.claim or one.prospect) is not None
        and claim.private is None
        and one.placement is not None
        and one.placement.carried
        and one.placement.interface.bridge is not None
    )


def _rule(one: Desired, answer: MappingReply | None) -> list[GuestRule]:
    claim, placement = one.claim or one.prospect, one.placement
    if claim is None or placement is None or claim.private is None:
        return []
    if answer is not None and answer.state in DENIED:
        return []
    device = placement.interface.bridge
    if device is None or not placement.carried:
        return []
    public = granted(claim.public, answer)
    return [
        GuestRule(
            private=claim.private,
            device=device,
            hide=claim.client is Client.HIDE and claim.rewriter is Rewriter.HOST,
            public=public,
            arrives_as=_arrival(public, answer),
            mode=claim.mode,
            egress=claim.egress,
            ports=claim.ports,
            allow=claim.allow,
            active=_is_active(claim.private, answer),
        )
    ]


def _arrival(public: IPAddress | None, answer: MappingReply | None) -> IPAddress | None:
    return ip_address(answer.arrives_as) if answer is not None and answer.arrives_as else public


def _is_active(private: IPAddress, answer: MappingReply | None) -> bool:
    """Whether the edge forwards to this very address: it may yet have the one before."""
    return answer is not None and answer.state == "active" and answer.private == str(private)


def plane(
    side: EdgeSide,
    wanted: frozenset[GuestRule],
    kept: frozenset[GuestRule],
    pools: tuple[AddressRange, ...],
    newcomers: frozenset[tuple[str, str]] = frozenset(),
) -> HostPlane:
    """The plane with ``wanted`` rules, and those ``kept`` that they do not replace."""
    lingering = {_lingering(rule, wanted) for rule in kept if not _is_replaced(rule, wanted)}
    return HostPlane(
        overlay=side.overlay,
        edge=side.edge,
        edge_mac=side.edge_mac,
        rules=wanted | lingering,
        pools=pools,
        newcomers=newcomers,
        pinned=side.pinned,
    )


def _is_replaced(old: GuestRule, wanted: frozenset[GuestRule]) -> bool:
    """Whether one of ``wanted`` is the same mapping, or takes what only one can have."""
    return any(
        (old.private, old.public) == (new.private, new.public)
        or (
            Mode.ROUTED is old.mode is new.mode
            and old.arrives_as == new.arrives_as
            and in_each_others_way(old.ports, new.ports)
        )
        for new in wanted
    )


def _lingering(old: GuestRule, wanted: frozenset[GuestRule]) -> GuestRule:
    """As it is on its way out; the way out of a guest is another mapping's as soon as one is."""
    shared = any(new.private == old.private for new in wanted)
    return replace(old, egress=Egress.HOME) if shared else old

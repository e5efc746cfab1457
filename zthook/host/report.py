"""Makes what ``zthook status`` is told of what the agent knows: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zthook.errors import NotAuthenticated, ZthookError
from zthook.host.answers import Answers, Names, granted
from zthook.host.desired import Desired
from zthook.host.health import Health
from zthook.host.later import compared, later_rows
from zthook.host.next_starts import NextStart
from zthook.host.status import MappingView, TrafficView
from zthook.kernel.traffic import Throughput, Traffic
from zthook.model.addresses import IPAddress
from zthook.model.guests import GuestState
from zthook.model.mappings import MappingState
from zthook.wire.messages import MappingReply


@dataclass(frozen=True, slots=True)
class EdgeNow:
    """What the edge said of each claim, and whether it says anything now."""

    answers: Answers
    health: Health
    fault: ZthookError | None = None

    @property
    def silence(self) -> str:
        """Why it does not do as it is told, "" where it may only need a moment."""
        return self.health.error or (self.fault.message if self.fault else "")

    @property
    def forgot_us(self) -> bool:
        """Whether it knows this host no more, and so let go of all it had."""
        return isinstance(self.fault, NotAuthenticated)


def mapping_views(
    desired: Iterable[Desired],
    edge: EdgeNow,
    traffic: Mapping[IPAddress, TrafficView],
    names: Names,
    next_starts: Iterable[NextStart] = (),
) -> list[MappingView]:
    """One row for each address that a guest here asks for, by guest name.

    And one for each that is asked for no more, while the edge has not let go of it, and for
    each that is asked for from the guest's next start on. ``names`` are those of all guests
    that there are answers for.
    """
    wanted, later = list(desired), {one.defined.uuid: one for one in next_starts}
    rows = [compared(_view(one, edge, traffic), one, later) for one in wanted]
    asked = {one.key for one in wanted}
    states = {row.uuid: row.guest_state for row in rows}
    rows += [
        _left(answer, names.get(key[0], answer.guest), states.get(answer.guest, "stopped"), edge)
        for key, answer in edge.answers.items()
        if answer.state == "active" and key not in asked and not edge.forgot_us
    ]
    rows += [row for one in later.values() for row in later_rows(one, asked)]
    return sorted(rows, key=lambda row: (row.guest, row.public or row.asked or ""))


def _left(answer: MappingReply, guest: str, guest_state: str, edge: EdgeNow) -> MappingView:
    why = edge.silence
    return MappingView(
        guest=guest,
        uuid=answer.guest,
        guest_state=guest_state,
        asked=answer.asked,
        public=answer.public,
        private=answer.private,
        source=None,
        mode=None,
        client=None,
        state=MappingState.PENDING,
        reason=f"waits for the edge to let go of it: {why}"
        if why
        else "waits for the edge to let go of it",
        since=answer.since or None,
    )


def _view(one: Desired, edge: EdgeNow, traffic: Mapping[IPAddress, TrafficView]) -> MappingView:
    request, claim = one.request, one.claim
    answer = edge.answers.get(one.key) if claim else None
    state, reason = _judged(one, answer, edge)
    private = claim.private if claim else request.private if request else None
    public = granted(one.public, answer)
    counted = traffic.get(private) if private else None
    return MappingView(
        guest=one.domain.name,
        uuid=str(one.domain.uuid),
        guest_state=one.state.value if one.state else "starting",
        asked=str(one.public) if one.public else None,
        public=str(public) if public else None,
        private=str(private) if private else None,
        source=one.source.value if one.source else None,
        mode=request.mode.value if request else None,
        client=claim.client.value if claim else None,
        state=state,
        reason=reason,
        since=answer.since if answer and answer.since else None,
        required=request.required if request else False,
        egress=request.egress.value if request else None,
        ports=[str(ports) for ports in request.ports] if request else [],
        allow=[str(prefix) for prefix in request.allow] if request else [],
        traffic=counted if state is MappingState.ACTIVE else None,
    )


def _judged(one: Desired, answer: MappingReply | None, edge: EdgeNow) -> tuple[MappingState, str]:
    """The state, and the most telling reason for it."""
    if one.refusal:
        return MappingState.REFUSED, one.refusal
    if one.claim is None:
        return MappingState.PENDING, f"waits {one.waits}"
    if edge.fault is not None and edge.forgot_us:
        return MappingState.REFUSED, edge.fault.message
    if answer is None:
        why = edge.silence
        return (
            MappingState.PENDING,
            f"waits for the edge: {why}" if why else "waits for the edge's answer",
        )
    if one.waits and (answer.state == "pending" or one.state is GuestState.LEFT):
        return MappingState.PENDING, f"waits {one.waits}"
    return MappingState(answer.state), answer.reason or one.note


def traffic_views(
    counted: Mapping[IPAddress, Traffic], rates: Mapping[IPAddress, Throughput]
) -> dict[IPAddress, TrafficView]:
    """What passed, and how fast, by the guest's private address."""
    return {
        address: TrafficView(
            one.bytes_in,
            one.packets_in,
            one.bytes_out,
            one.packets_out,
            rate_in=rates[address].bytes_in if address in rates else None,
            rate_out=rates[address].bytes_out if address in rates else None,
        )
        for address, one in counted.items()
    }


TWICE_SECONDS = 30.0
"""A guest that migrates is claimed by two hosts for a moment; for longer it runs twice."""


def twins(desired: Iterable[Desired], edge: EdgeNow, host: str, now: float) -> list[str]:
    """A line for each guest that runs here while this same guest has its addresses elsewhere.

    ``host`` is this one's name at the edge, ``now`` Unix time.
    """
    found: dict[str, str] = {}
    for one in desired:
        answer = edge.answers.get(one.key)
        holder = answer.holder if answer is not None else None
        if one.state not in {GuestState.RUNNING, GuestState.PAUSED} or holder is None:
            continue
        elsewhere = holder.uuid == str(one.domain.uuid) and holder.host != host
        if elsewhere and answer is not None and now - answer.since > TWICE_SECONDS:
            found[holder.uuid] = (
                f"{one.domain.name} runs here and on {holder.host}, with the same UUID: stop one "
                "of the two; a copy of a guest needs a UUID of its own (virsh edit)"
            )
    return [f"guests: {one}" for one in found.values()]


def faults(healths: Mapping[str, Health]) -> list[str]:
    """A line for each part that does not answer."""
    return [
        f"{name}: {health.error}" + (f" ({health.hint})" if health.hint else "")
        for name, health in healths.items()
        if health.up is False
    ]

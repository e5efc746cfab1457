"""What ``zthook status`` shows: every mapping this host wants, and how the agent is."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from uuid import UUID

import msgspec

from zthook.errors import NotAuthenticated, ZthookError
from zthook.host.answers import Answers
from zthook.host.claims import Desired
from zthook.host.health import Health
from zthook.kernel.traffic import Traffic
from zthook.model.mappings import MappingState
from zthook.wire.messages import MappingReply


class TrafficView(msgspec.Struct, frozen=True):
    """Bytes and packets toward the guest and from it."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


class MappingView(msgspec.Struct, frozen=True):
    """One address of one guest.

    ``public`` None is ``auto`` or a wrong annotation; ``source`` who named ``private``;
    ``since`` Unix time of the state's last change as the edge tells it, None where it does not.
    """

    guest: str
    uuid: str
    guest_state: str
    public: str | None
    private: str | None
    source: str | None
    mode: str | None
    client: str | None
    state: MappingState
    reason: str = ""
    since: float | None = None
    required: bool = False
    traffic: TrafficView | None = None


class AgentStatus(msgspec.Struct, frozen=True):
    """``host`` and ``edge`` are None where this host belongs to no edge.

    ``lease_age`` is seconds since the edge renewed our lease. ``faults`` are what somebody
    should look at, worst first.
    """

    version: str
    host: str | None
    edge: str | None
    edge_health: Health | None = None
    libvirt_health: Health | None = None
    overlay_health: Health | None = None
    kernel_health: Health | None = None
    lease_age: float | None = None
    lease_seconds: float | None = None
    faults: list[str] = []
    mappings: list[MappingView] = []


def mapping_views(
    desired: list[Desired],
    answers: Answers,
    traffic: Mapping[IPv4Address, Traffic],
    names: Mapping[UUID, str],
    *,
    edge: Health,
    fault: ZthookError | None,
) -> list[MappingView]:
    """One row for each address that a guest here asks for, by guest name.

    And one for each that is asked for no more, while the edge has not let go of it.
    ``names`` are those of all guests that there are answers for.
    """
    rows = [_view(one, answers, traffic, edge, fault) for one in desired]
    asked = {(row.uuid, row.public) for row in rows}
    states = {row.uuid: row.guest_state for row in rows}
    kept = {} if isinstance(fault, NotAuthenticated) else answers  # it let go of all by then
    rows += [
        _left(answer, names[guest], states.get(answer.guest, "stopped"), edge, fault)
        for (guest, _), answer in kept.items()
        if answer.state == "active" and (answer.guest, answer.public) not in asked
    ]
    return sorted(rows, key=lambda row: (row.guest, row.public or ""))


def _left(
    answer: MappingReply, guest: str, guest_state: str, edge: Health, fault: ZthookError | None
) -> MappingView:
    why = _silence(edge, fault)
    return MappingView(
        guest=guest,
        uuid=answer.guest,
        guest_state=guest_state,
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


def _silence(edge: Health, fault: ZthookError | None) -> str:
    """Why the edge does not do as it is told, "" where it may only need a moment."""
    return edge.error or (fault.message if fault else "")


def _view(
    one: Desired,
    answers: Answers,
    traffic: Mapping[IPv4Address, Traffic],
    edge: Health,
    fault: ZthookError | None,
) -> MappingView:
    request, claim = one.request, one.claim
    answer = answers.get(claim.key) if claim else None
    state, reason = _judged(one, answer, edge, fault)
    asked = request.private if request else None
    private = claim.private if claim else asked
    counted = traffic.get(private) if isinstance(private, IPv4Address) else None
    return MappingView(
        guest=one.domain.name,
        uuid=str(one.domain.uuid),
        guest_state=one.state.value if one.state else "starting",
        public=str(request.public) if request and request.public else None,
        private=str(private) if private else None,
        source=one.source.value if one.source else None,
        mode=request.mode.value if request else None,
        client=claim.client.value if claim else None,
        state=state,
        reason=reason,
        since=answer.since if answer and answer.since else None,
        required=request.required if request else False,
        traffic=_traffic(counted) if counted and state is MappingState.ACTIVE else None,
    )


def _judged(
    one: Desired, answer: MappingReply | None, edge: Health, fault: ZthookError | None
) -> tuple[MappingState, str]:
    """The state, and the most telling reason for it."""
    if one.refusal:
        return MappingState.REFUSED, one.refusal
    if one.claim is None:
        return MappingState.PENDING, f"waits {one.waits}"
    if isinstance(fault, NotAuthenticated):
        return MappingState.REFUSED, fault.message
    if answer is None:
        why = _silence(edge, fault)
        return (
            MappingState.PENDING,
            f"waits for the edge: {why}" if why else "waits for the edge's answer",
        )
    if answer.state == "pending" and one.waits:
        return MappingState.PENDING, f"waits {one.waits}"
    return MappingState(answer.state), answer.reason


def _traffic(counted: Traffic) -> TrafficView:
    return TrafficView(counted.bytes_in, counted.packets_in, counted.bytes_out, counted.packets_out)


def faults(healths: Mapping[str, Health]) -> list[str]:
    """A line for each part that does not answer."""
    return [
        f"{name}: {health.error}" + (f" ({health.hint})" if health.hint else "")
        for name, health in healths.items()
        if health.up is False
    ]

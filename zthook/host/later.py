"""How what counts from a guest's next start is shown beside what counts now: pure."""

from collections.abc import Container, Mapping
from typing import Any
from uuid import UUID

import msgspec

from zthook.host.answers import ClaimKey
from zthook.host.desired import Desired
from zthook.host.next_starts import NextStart
from zthook.host.publishing import asked_for
from zthook.host.status import MappingView
from zthook.model.mappings import MappingState


def compared(row: MappingView, one: Desired, later: Mapping[UUID, NextStart]) -> MappingView:
    """The row, with a word where the guest's next start has something else."""
    found = later.get(one.domain.uuid)
    if found is None or one.request in [
        request for request, public in asked_for(found.defined.publication) if public == one.public
    ]:
        return row
    what = f"differs from the next start's: zthook apply {row.guest} makes that count now"
    reason = f"{row.reason}; {what}" if row.reason else what
    return msgspec.structs.replace(row, reason=reason, differs=True)


def later_rows(one: NextStart, asked: Container[ClaimKey]) -> list[MappingView]:
    """What only the guest's next start asks for."""
    defined = one.defined
    rows = [
        (request, public)
        for request, public in asked_for(defined.publication)
        if (defined.uuid, str(public)) not in asked
    ]
    found = [
        _next_row(
            one,
            MappingState.PENDING,
            f"waits for the guest's next start: zthook apply {defined.name} makes it count now",
            asked=str(public),
            public=str(request.public) if request.public else None,
            private=str(request.private) if request.private else None,
            mode=request.mode.value,
            required=request.required,
            egress=request.egress.value,
            ports=[str(ports) for ports in request.ports],
            allow=[str(prefix) for prefix in request.allow],
        )
        for request, public in rows
    ]
    if defined.problems:
        wrong = "; ".join(str(problem) for problem in defined.problems)
        why = f"the annotation is wrong from the next start on: {wrong}"
        found.append(_next_row(one, MappingState.REFUSED, why))
    return found


def _next_row(one: NextStart, state: MappingState, reason: str, **rest: Any) -> MappingView:
    nothing = dict.fromkeys(("asked", "public", "private", "source", "mode", "client"))
    return MappingView(
        guest=one.defined.name,
        uuid=str(one.defined.uuid),
        guest_state=one.guest.state.value,
        state=state,
        reason=reason,
        differs=True,
        **{**nothing, **rest},
    )

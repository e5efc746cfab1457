"""What a claim looks like to its host and to the admin: pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from zthook.model.mappings import MappingState
from zthook.store.rows import OCCUPYING, ClaimRow, Standing
from zthook.wire.messages import Holder


@dataclass(frozen=True, slots=True)
class Sight:
    """A state, why, and who has the address where another one has it."""

    state: MappingState
    reason: str = ""
    holder: Holder | None = None


def sight(row: ClaimRow, others: Sequence[ClaimRow], lacking: str) -> Sight:
    """``others`` are all rows of that public address, ``lacking`` says why the kernel does not
    have the mapping, and is empty where it has.
    """
    if row.standing is Standing.REFUSED or row.after is Standing.REFUSED:
        return Sight(MappingState.REFUSED, row.reason)
    if row.standing is Standing.HOLDING:
        return _held(row, lacking)
    if row.standing is Standing.LEAVING and row.after is None:
        return Sight(MappingState.WITHDRAWN, "the kernel has yet to let go of it")
    return _waiting(row, others)


def _held(row: ClaimRow, lacking: str) -> Sight:
    if row.private is None:
        return Sight(MappingState.PENDING, row.reason or "waits for the guest's address")
    return Sight(MappingState.PENDING if lacking else MappingState.ACTIVE, lacking)


def _waiting(row: ClaimRow, others: Sequence[ClaimRow]) -> Sight:
    found = (one for one in others if one.standing in OCCUPYING and one.key != row.key)
    other = next(found, None)
    if other is None:
        return Sight(MappingState.PENDING, row.reason or "waits for its turn")
    holder = Holder(guest=other.name, uuid=other.guest, host=other.host)
    if other.guest == row.guest:
        return Sight(MappingState.PENDING, f"waits for {other.host} to let go", holder)
    return Sight(MappingState.CONFLICT, f"held by {other.name} on {other.host}", holder)

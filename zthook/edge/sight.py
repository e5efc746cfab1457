"""What a claim looks like to its host and to the admin: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zthook.edge.moves import runs
from zthook.model.mappings import MappingState
from zthook.model.publication import Mode, PortRange
from zthook.store.rows import ClaimRow, ReservationRow, Standing, excluding
from zthook.wire.messages import Holder


@dataclass(frozen=True, slots=True)
class Sight:
    """A state, why, and who has the address where another one has it."""

    state: MappingState
    reason: str = ""
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """What is beside a claim: ``rows`` are all of its public address, ``kept`` says for whom
    that is reserved, ``twice`` are the hosts on which its guest runs where they are several.
    """

    rows: Sequence[ClaimRow] = ()
    kept: ReservationRow | None = None
    twice: Sequence[str] = ()


def sight(row: ClaimRow, around: Around, lacking: str) -> Sight:
    """``lacking`` says why the kernel does not have the mapping; empty where it has."""
    seen = _seen(row, around, lacking)
    if around.twice and runs(row) and seen.state is not MappingState.REFUSED:
        return replace(seen, reason=twice(row.name, around.twice))
    return seen


def twice(name: str, hosts: Iterable[str]) -> str:
    """What to say of a guest that runs on several hosts."""
    return f"{name} runs on {' and '.join(hosts)}: the same UUID twice"


def _seen(row: ClaimRow, around: Around, lacking: str) -> Sight:
    if row.standing is Standing.REFUSED or row.after is Standing.REFUSED:
        return Sight(MappingState.REFUSED, row.reason)
    if row.standing is Standing.HOLDING:
        return _held(row, lacking)
    if row.standing is Standing.LEAVING and row.after is None:
        return Sight(MappingState.WITHDRAWN, "the kernel has yet to let go of it")
    return _waiting(row.saying(row.then) if row.then else row, around)


def _held(row: ClaimRow, lacking: str) -> Sight:
    if row.private is None:
        return Sight(MappingState.PENDING, row.reason or "waits for the guest's address")
    return Sight(MappingState.PENDING if lacking else MappingState.ACTIVE, lacking)


def _waiting(row: ClaimRow, around: Around) -> Sight:
    others = excluding(row, around.rows) if row.public else []
    if row.leaving:
        return Sight(MappingState.PENDING, "waits for the host that the guest migrated to")
    if others:
        return _behind(row, others[0])
    kept = around.kept
    if kept is not None and kept.guest != row.guest:
        holder = Holder(guest=kept.name, uuid=kept.guest, host=kept.host)
        why = f"reserved for {kept.name} (zthook edge release {kept.public} ends that)"
        return Sight(MappingState.CONFLICT, why, holder)
    return Sight(MappingState.PENDING, row.reason or "waits for its turn")


def _behind(row: ClaimRow, other: ClaimRow) -> Sight:
    holder = Holder(guest=other.name, uuid=other.guest, host=other.host)
    if other.guest == row.guest:
        return Sight(MappingState.PENDING, f"waits for {other.host} to let go", holder)
    who = f"held by {other.name} on {other.host}"
    if row.mode != other.mode:
        why = f"{who} in mode {other.mode}: nat and routed never share an address"
    elif row.mode == Mode.ROUTED and row.host != other.host:
        why = f"{who}: in mode routed an address is one host's"
    else:
        shared = _shared(row.ports, other.ports)
        why = f"{shared} is {who}" if shared else who
    return Sight(MappingState.CONFLICT, why, holder)


def _shared(mine: Sequence[str], theirs: Sequence[str]) -> str:
    """Which of their ports is in the way, where both have ports."""
    wanted = [PortRange.parse(one) for one in mine]
    found = (one for one in map(PortRange.parse, theirs) if any(map(one.overlaps, wanted)))
    return next(map(str, found), "")

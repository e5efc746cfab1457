"""One guest that goes from host to host: what it takes along. Pure."""

from zthook.model.publication import Mode
from zthook.store.rows import ClaimRow, Standing


def is_elsewhere(row: ClaimRow, other: ClaimRow) -> bool:
    """Whether the two are one guest's, on two hosts."""
    return row.guest == other.guest and row.host != other.host


def goes_on(old: ClaimRow, new: ClaimRow) -> bool:
    """Whether ``new`` takes the very place of ``old``, so that connections live on.

    It is then granted over what the kernel has, which only changes the way: nothing is
    withdrawn in between. In nat mode connections are by the private address too.
    """
    return (
        is_elsewhere(old, new)
        and new.private is not None
        and (old.public, old.mode, old.ports) == (new.public, new.mode, new.ports)
        and (old.mode == Mode.ROUTED or old.private == new.private)
    )


def runs(row: ClaimRow) -> bool:
    """Whether the claim shows that its guest runs there: a mere reservation has no address.

    One that holds and waits for its private address to be let go elsewhere had named it.
    """
    if row.standing is Standing.LEAVING and row.after is None:
        return False
    said = row.then or row
    waits = row.standing is Standing.HOLDING and bool(row.reason)
    return not said.leaving and (said.private is not None or waits)

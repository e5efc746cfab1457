"""All that was seen of a guest's way, in one sentence: pure."""

from collections.abc import Sequence

from zthook.doctor.finding import Outcome, Told

ALIVE_WITHOUT = frozenset({"enrolment", "hook", "libvirt", "agent", "edge", "clock", "packet size"})
"""Checks that fail while what is mapped goes on working, or most of it."""
DECIDES = "mapping"
"""Without this check nobody knows whether the guest has an address."""


def verdict(guest: str, told: Sequence[Told]) -> str:
    """The first failure on the packet's own way decides; then what is unknown; then the rest."""
    failed = [one for one in told if one.outcome is Outcome.FAIL]
    for one in failed:
        if one.check not in ALIVE_WITHOUT:
            return f"{guest} is not reached as it should be: {one.check}: {one.seen}."
    unknown = any(one.check == DECIDES and one.outcome is Outcome.SKIPPED for one in told)
    if failed:
        first = failed[0]
        if unknown:
            return f"whether {guest} is reached is not known: {first.check}: {first.seen}."
        return f"{guest} should be reached, but {first.check} failed: {first.seen}."
    warned = [one.check for one in told if one.outcome is Outcome.WARN]
    if warned:
        return f"{guest} should be reached, but look at: {', '.join(warned)}."
    return f"{guest} is reached, as far as this host can see."

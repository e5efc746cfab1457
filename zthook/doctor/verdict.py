"""All that was seen of a guest's way, in one sentence: pure."""

from collections.abc import Sequence

from zthook.doctor.finding import Outcome, Told


def verdict(guest: str, told: Sequence[Told]) -> str:
    """The first check that failed decides; without any, what was warned of is named."""
    failed = next((one for one in told if one.outcome is Outcome.FAIL), None)
    if failed is not None:
        return f"{guest} is not reached, as {failed.check} failed: {failed.seen}."
    warned = [one.check for one in told if one.outcome is Outcome.WARN]
    if warned:
        return f"{guest} should be reached, but look at: {', '.join(warned)}."
    return f"{guest} is reached, as far as this host can see."

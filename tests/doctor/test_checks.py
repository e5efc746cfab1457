"""Each check on what was seen: as it should be, and with just that thing broken."""

from typing import TypeVar

import pytest

from tests.doctor import edge_cases, host_cases
from zthook.doctor.finding import Finding, Outcome

T = TypeVar("T")


def both(host: dict[str, T], edge: dict[str, T]) -> dict[str, T]:
    """Those of a host and those of an edge, by names that say whose."""
    return {
        f"{whose}: {name}": one
        for whose, some in (("host", host), ("edge", edge))
        for name, one in some.items()
    }


FINE = both(host_cases.FINE, edge_cases.FINE)
BROKEN = both(host_cases.BROKEN, edge_cases.BROKEN)
SKIPPED = both(host_cases.SKIPPED, edge_cases.SKIPPED)


@pytest.mark.parametrize("finding", FINE.values(), ids=FINE)
def test_what_is_as_it_should_be_is_said_to_be(finding: Finding) -> None:
    assert finding.outcome is Outcome.OK


@pytest.mark.parametrize("finding", SKIPPED.values(), ids=SKIPPED)
def test_what_nobody_can_say_yet_is_skipped(finding: Finding) -> None:
    assert finding.outcome is Outcome.SKIPPED


@pytest.mark.parametrize(("outcome", "seen", "finding"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named_with_the_next_step(
    outcome: Outcome, seen: str, finding: Finding
) -> None:
    assert finding.outcome is outcome
    assert seen in finding.seen
    assert finding.next
    assert "\n" not in finding.next

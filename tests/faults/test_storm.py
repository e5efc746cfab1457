"""Storms over the real kernels of an edge and three hosts, with a store on disk."""

from pathlib import Path

import pytest

from tests.faults.__main__ import blow, report

pytestmark = pytest.mark.netns

FAULTS = 120


def test_after_a_storm_all_is_as_it_should_be(tmp_path: Path) -> None:
    counts = blow(1, FAULTS, tmp_path)
    report(counts)
    assert counts.faults.total() >= FAULTS
    assert counts.lives >= FAULTS / 5


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_faults(tmp_path: Path) -> None:
    counts = blow(3, 1000, tmp_path)
    report(counts)
    assert counts.faults.total() >= 1000
    assert counts.lives >= 200

"""Storms over real libvirtds with guests, seen by a client of the internet."""

import pytest

from tests.faults.lab_storm import LabStorm, lab_storming

pytestmark = pytest.mark.lab


def blow(storm: LabStorm, faults: int, bursts: int) -> None:
    print(f"\n  before it settled in {storm.settle():.1f} s")
    for _ in range(bursts):
        storm.blow(faults // bursts)
        print(f"  {storm.counts.faults.total()} faults, settled in {storm.settle():.1f} s")
    for name, number in sorted((storm.counts.faults + storm.counts.loads).items()):
        print(f"    {number:3} {name}")


@pytest.mark.timeout(300)
def test_after_a_short_storm_all_is_as_it_should_be() -> None:
    with lab_storming(seed=1) as storm:
        blow(storm, 50, 1)
        assert storm.counts.faults.total() >= 50


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
def test_after_a_long_storm_all_is_as_it_should_be(seed: int) -> None:
    with lab_storming(seed) as storm:
        blow(storm, 120, 3)
        assert storm.counts.faults.total() >= 100

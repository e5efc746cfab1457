"""Live migrations of real guests while things go wrong on the edge, both hosts and the overlay."""

import pytest

from tests.faults.migration_storm import migrations

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(1800)]

MIGRATIONS = 16


@pytest.mark.parametrize("group", [True, False], ids=["in a group", "without a group"])
def test_a_guest_is_reached_where_it_runs_in_the_end(*, group: bool) -> None:
    with migrations(seed=1, group=group) as storm:
        print(f"\n  before it settled in {storm.settle():.1f} s")
        for number in range(MIGRATIONS):
            said = storm.migrate(faults=number % 5)
            seconds = storm.settle()
            print(
                f"  {said}; answered after {storm.answered[-1]:.1f} s, settled in {seconds:.1f} s"
            )
        for name, times in sorted((storm.counts.faults + storm.counts.loads).items()):
            print(f"    {times:3} {name}")
        assert storm.counts.loads["it migrated"] >= MIGRATIONS / 4

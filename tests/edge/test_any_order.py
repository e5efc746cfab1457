"""Any order of anything, over each ledger and each kernel: nothing of the oracle ever fails."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.edge.machine import AnyOrder
from zthook.store.ledger import Ledger
from zthook.store.sqlite import SqliteLedger


class OnDisk(AnyOrder):
    """The same over SQLite."""

    def make_ledger(self) -> Ledger:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteLedger(Path(self.folder.name) / "edge.sqlite")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def run(machine: type[AnyOrder], *, examples: int, steps: int = 40) -> None:
    """Bounded by counts, not by time: machines are of different speed."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_in_memory() -> None:
    run(AnyOrder, examples=80)


def test_on_disk() -> None:
    run(OnDisk, examples=15)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [AnyOrder, OnDisk])
def test_for_longer(machine: type[AnyOrder]) -> None:
    run(machine, examples=400)

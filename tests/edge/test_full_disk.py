"""A store that can not be written costs no mapping that is there."""

import pytest

from tests.edge.world import Edge
from zthook.errors import StoreError
from zthook.store.memory import MemoryLedger

P, X = "203.0.113.10", "192.168.122.51"


class FullDisk(MemoryLedger):
    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("the store can not be used: database or disk is full")


def test_the_kernel_is_mended_while_a_lease_that_ended_can_not_be_noted() -> None:
    ledger = FullDisk()
    edge = Edge(ledger)
    edge.host("home1").claim(1, P, X)
    reached = edge.reached()
    ledger.full = True
    edge.clock.advance(edge.settings.lease_seconds + 1)
    edge.inside.flush()
    with pytest.raises(StoreError):
        edge.service.tick()
    assert edge.reached() == reached
    assert "disk is full" in edge.service.status().store
    ledger.full = False
    edge.service.tick()
    assert edge.host("home2").claim(2, P, "192.168.122.52").state == "active"
    assert edge.service.status().store == ""

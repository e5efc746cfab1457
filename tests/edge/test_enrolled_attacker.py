"""A host that is enrolled and lies: it harms nobody but itself."""

import pytest

from tests.edge.world import Edge, uuid
from zthook.edge.asking import MAX_EPOCH
from zthook.wire.messages import ClaimMessage

P, X = "203.0.113.10", "192.168.122.51"


@pytest.fixture
def world() -> Edge:
    return Edge()


def test_the_highest_epoch_that_is_believed_does_not_lock_the_others_out(world: Edge) -> None:
    liar, honest = world.host("home1"), world.host("home2")
    liar.open(highest_epoch=MAX_EPOCH)
    liar.claim(1, "203.0.113.11", "192.168.122.99")
    liar.reserve(ClaimMessage(guest=uuid(1), name="web1", public="203.0.113.11", epoch=MAX_EPOCH))
    honest.claim(2, P, X)
    [said] = honest.list().mappings  # shows the epoch that it was granted
    assert said.state == "active"
    honest.open(highest_epoch=said.epoch)
    assert honest.list().mappings[0].state == "active"

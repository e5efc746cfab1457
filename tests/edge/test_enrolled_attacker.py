"""A host that is enrolled and lies: it harms nobody but itself."""

import pytest

from tests.edge.world import Edge, uuid
from zthook.edge.asking import MAX_EPOCH
from zthook.wire.messages import ClaimMessage, SessionRequest

P, X = "203.0.113.10", "192.168.122.51"


@pytest.fixture
def world() -> Edge:
    return Edge()


def test_what_it_calls_itself_and_its_guests_is_no_terminals_command(world: Edge) -> None:
    liar, honest = world.host("home1"), world.host("home2")
    clear = "\x1b[2J\x9b2J"
    invitation = world.service.add_host("home3")
    world.service.enrol(invitation.secret, f"kvm{clear}")
    session = SessionRequest(agent=f"zthook{clear}", instance="second")
    liar.session = world.service.open_session("home1", session, liar.source).session
    message = ClaimMessage(guest=uuid(1), name=f"web{clear}", public=P)
    liar.reserve(message)
    said = honest.claim(2, P, X)
    told = [said.reason, *(f"{host.hostname}{host.agent}" for host in world.service.hosts())]
    assert "held by web?[2J?2J on home1" in told
    assert all(one.isprintable() for one in told)


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

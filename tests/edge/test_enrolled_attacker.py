"""A host that is enrolled and lies: it harms nobody but itself."""

import pytest

from tests.edge.world import Agent, Edge, uuid
from zthook.edge.asking import MAX_EPOCH
from zthook.wire.messages import ClaimMessage, SessionRequest

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.51", "192.168.122.52"


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


def with_a_victim() -> tuple[Edge, Agent, Agent]:
    """home1 has an address; home2's credential is in the attacker's hands."""
    edge = Edge()
    victim = edge.host("home1", prefixes=["192.168.122.0/24"], pools=["hk"])
    thief = edge.host("home2", prefixes=["192.168.5.0/24"], pools=["tw"])
    assert victim.claim(1, P, X).state == "active"
    return edge, victim, thief


@pytest.mark.parametrize(
    ("public", "private", "why"),
    [
        (Q, "192.168.5.5", "pool"),
        ("auto/hk/0", "192.168.5.5", "pool"),
        ("198.51.100.1", Y, "prefixes"),
        ("198.51.100.1", "10.147.0.1", "prefixes"),
        ("192.0.2.77", "192.168.5.5", "pool"),
        ("10.147.0.1", "192.168.5.5", ""),
        ("0.0.0.0", "192.168.5.5", ""),
        ("255.255.255.255", "192.168.5.5", ""),
    ],
)
def test_it_claims_nothing_outside_of_its_pools_and_prefixes(
    public: str, private: str, why: str
) -> None:
    edge, _, thief = with_a_victim()
    said = thief.claim(9, public, private)
    assert said.state == "refused"
    assert why in said.reason
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_it_neither_takes_nor_ends_nor_sees_what_is_anothers() -> None:
    edge, victim, thief = with_a_victim()
    thief.claim(1, "198.51.100.1", "192.168.5.5")  # the victim's guest's UUID
    said = thief.claim(1, P, "192.168.5.5")
    assert said.state == "refused"
    thief.claim(1, P, "192.168.5.5", leaving=True)
    thief.claims.clear()
    thief.list()
    edge.service.leave("home2")
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}
    assert victim.list().mappings[0].state == "active"
    told = str(said)
    assert X not in told
    assert "web1" not in told.replace(said.guest, "")


def test_in_a_pool_that_both_may_use_it_learns_the_holders_names_and_no_more() -> None:
    edge = Edge()
    victim, thief = edge.host("home1"), edge.host("home2")
    victim.claim(1, P, X)
    said = thief.claim(9, P, "192.168.5.5")
    assert said.state == "conflict"
    assert said.holder is not None
    assert (said.holder.guest, said.holder.host) == ("web1", "home1")
    assert (said.private, said.was) == ("192.168.5.5", None)
    assert X not in str(said)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_a_guest_of_anothers_uuid_is_not_brought_over_without_a_group() -> None:
    edge = Edge()
    victim, thief = edge.host("home1"), edge.host("home2")
    victim.claim(1, P, X)
    assert thief.claim(1, P, Y).state == "pending"
    for _ in range(5):
        victim.heartbeat()
        thief.heartbeat()
        edge.advance(30)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}

"""A host's credential is replaced: what stays, and what ends when."""

import pytest

from tests.edge.world import Edge
from zthook.errors import NotAuthenticated, NotFound, TokenError

P, X = "203.0.113.10", "192.168.122.50"


def credential_of(edge: Edge, secret: str) -> str:
    return edge.service.enrol(secret, "kvm.lan").credential


def test_the_old_one_ends_when_the_new_one_is_taken_and_mappings_stay(edge: Edge) -> None:
    old = credential_of(edge, edge.service.add_host("home1").secret)
    agent = edge.host("home1")
    agent.claim(1, P, X)
    with pytest.raises(NotAuthenticated):
        edge.service.authenticate(old)  # edge.host enrolled it anew
    old = credential_of(edge, edge.service.add_host("home1").secret)
    invitation = edge.service.rotate_host("home1")
    assert edge.service.authenticate(old) == "home1"
    edge.woken.clear()
    new = credential_of(edge, invitation.secret)
    assert edge.service.authenticate(new) == "home1"
    with pytest.raises(NotAuthenticated):
        edge.service.authenticate(old)
    assert edge.woken == ["home1"], "a request that is open with the old one ends"
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_at_once_means_at_once_and_mappings_stay_for_lease_and_grace(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    old = credential_of(edge, edge.service.add_host("home1").secret)
    edge.woken.clear()
    invitation = edge.service.rotate_host("home1", now=True)
    assert edge.woken == ["home1"]
    with pytest.raises(NotAuthenticated):
        edge.service.authenticate(old)
    edge.advance(61 + 590)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}
    credential_of(edge, invitation.secret)
    agent.restart("after")
    edge.advance(50)
    assert edge.reached() == {P: f"{X} via 10.147.0.11"}


def test_what_a_host_may_is_as_before(edge: Edge) -> None:
    edge.service.add_host("home1", member="5d4548d482", prefixes=["10.1.0.0/16"], group="rack")
    (before,) = edge.service.hosts()
    edge.service.rotate_host("home1")
    (after,) = edge.service.hosts()
    assert (after.member, after.prefixes, after.group) == (
        before.member,
        before.prefixes,
        before.group,
    )


def test_only_the_newest_token_counts(edge: Edge) -> None:
    first = edge.service.rotate_host(edge.service.add_host("home1").host)
    second = edge.service.rotate_host("home1")
    with pytest.raises(TokenError, match="newer one replaced it"):
        credential_of(edge, first.secret)
    credential_of(edge, second.secret)


def test_a_host_that_is_not_there_is_named(edge: Edge) -> None:
    edge.service.add_host("home1")
    with pytest.raises(NotFound, match="no host 'home2'") as caught:
        edge.service.rotate_host("home2")
    assert "home1" in caught.value.hint


def test_a_machine_that_is_another_host_is_not_made_this_one(edge: Edge) -> None:
    mine = credential_of(edge, edge.service.add_host("home1").secret)
    theirs = edge.service.add_host("home2").secret
    with pytest.raises(TokenError, match="is for home2, and this machine is home1") as caught:
        edge.service.enrol(theirs, "kvm.lan", "10.147.0.11", mine)
    assert "rotate home1" in caught.value.hint
    assert mine not in caught.value.message
    assert edge.service.authenticate(mine) == "home1"
    credential_of(edge, theirs)  # it was not spent


def test_a_credential_that_ended_stands_in_nobodys_way(edge: Edge) -> None:
    old = credential_of(edge, edge.service.add_host("home1").secret)
    invitation = edge.service.rotate_host("home1", now=True)
    new = edge.service.enrol(invitation.secret, "kvm.lan", "10.147.0.11", old).credential
    assert edge.service.authenticate(new) == "home1"

"""Hosts come and go, pools change, and the admin sees what is so."""

import dataclasses
import json

import msgspec
import pytest

from tests.edge.world import POOL, Agent, Edge, address_of
from zthook.errors import NotAuthenticated, NotFound, Refused, TokenError, UsageError
from zthook.model.addresses import AddressRange, Pool

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"
DAY = 24 * 3600


def test_a_token_is_spent_once(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    reply = edge.service.enrol(invitation.secret, "kvm.lan")
    assert edge.service.authenticate(reply.credential) == "home1"
    with pytest.raises(TokenError, match="used already"):
        edge.service.enrol(invitation.secret, "kvm.lan")


def test_a_token_expires_after_a_day(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    assert invitation.expires == edge.clock.now() + DAY
    edge.clock.advance(DAY)
    with pytest.raises(TokenError, match="expired"):
        edge.service.enrol(invitation.secret, "kvm.lan")


def test_no_token_but_ours_is_taken_and_no_secret_is_stored(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    with pytest.raises(TokenError, match="does not know"):
        edge.service.enrol("guessed", "kvm.lan")
    credential = edge.service.enrol(invitation.secret, "kvm.lan").credential
    kept = msgspec.json.encode([*edge.ledger.hosts(), *edge.ledger.invitations()]).decode()
    assert invitation.secret not in kept
    assert credential not in kept


def test_a_newer_invitation_ends_the_one_before(edge: Edge) -> None:
    first, second = edge.service.add_host("home1"), edge.service.add_host("home1")
    with pytest.raises(TokenError, match="newer one replaced it"):
        edge.service.enrol(first.secret, "kvm.lan")
    edge.service.enrol(second.secret, "kvm.lan")


def test_the_old_credential_holds_until_the_new_token_is_used(edge: Edge) -> None:
    old = edge.service.enrol(edge.service.add_host("home1").secret, "kvm.lan").credential
    invitation = edge.service.add_host("home1")
    assert edge.service.authenticate(old) == "home1"
    edge.service.enrol(invitation.secret, "new.lan")
    with pytest.raises(NotAuthenticated):
        edge.service.authenticate(old)


def test_adding_again_keeps_what_is_not_said_and_clears_what_is_empty(edge: Edge) -> None:
    edge.service.add_host(
        "home1", member="a1b2c3d4e5", prefixes=["10.1.0.0/16"], pools=["hk"], group="rack"
    )
    edge.service.add_host("home1")
    (host,) = edge.service.hosts()
    assert (host.member, host.prefixes, host.pools, host.group) == (
        "a1b2c3d4e5",
        ["10.1.0.0/16"],
        ["hk"],
        "rack",
    )
    edge.service.add_host("home1", member="", prefixes=[], pools=[], group="")
    (host,) = edge.service.hosts()
    assert (host.member, host.prefixes, host.pools, host.group) == (None, [], [], None)


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("", {}, "can not be a host's name"),
        ("a b", {}, "can not be a host's name"),
        ("../etc", {}, "can not be a host's name"),
        ("x" * 64, {}, "can not be a host's name"),
        ("home1", {"pools": ["us"]}, "no pool 'us'"),
        ("home1", {"prefixes": ["10.1.2.3/8"]}, "not a prefix"),
    ],
)
def test_a_host_that_can_not_be_is_named(
    edge: Edge, name: str, more: dict[str, list[str]], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        edge.service.add_host(name, **more)  # type: ignore[arg-type]
    assert edge.ledger.hosts() == []


def test_a_host_that_loses_a_pool_loses_its_addresses(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.service.add_host("home1", pools=["tw"])
    assert edge.reached() == {}
    assert edge.state(P, "home1") == "refused"
    edge.service.add_host("home1", pools=[])
    edge.service.tick()
    assert edge.state(P, "home1") == "active"


def test_removing_a_host_withdraws_at_once_and_passes_on(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.service.remove_host("home1")
    assert edge.reached() == {P: f"{Y} via 10.147.0.12"}
    assert [host.name for host in edge.service.hosts()] == ["home2"]
    with pytest.raises(NotFound, match="no host 'home1'"):
        edge.service.remove_host("home1")


def test_leaving_is_the_same_by_the_host(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.service.leave("home1")
    assert edge.reached() == {}
    with pytest.raises(NotAuthenticated):
        agent.heartbeat()


def test_an_invitation_goes_with_its_host(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    edge.service.remove_host("home1")
    with pytest.raises(TokenError):
        edge.service.enrol(invitation.secret, "kvm.lan")


def test_a_release_is_heard_by_who_held_it_before_the_daemon_started(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    edge.boot()
    edge.advance(61)
    edge.woken.clear()
    edge.service.release(P)
    assert edge.woken == ["home1"]


def test_release_is_for_what_nobody_is_there_to_hold(edge: Edge) -> None:
    one = edge.host("home1")
    one.claim(1, P, X)
    with pytest.raises(Refused, match="held by web1 on home1, which is there"):
        edge.service.release(P)
    edge.advance(61)
    released = edge.service.release(P)
    assert (released.public, released.guest, released.host) == (P, "web1", "home1")
    assert edge.reached() == {}
    with pytest.raises(NotFound, match="nothing is reserved"):
        edge.service.release(P)
    with pytest.raises(UsageError):
        edge.service.release("here")


def test_a_pool_with_addresses_in_use_stays(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    smaller = dataclasses.replace(POOL, ranges=(AddressRange.parse("203.0.113.12"),))
    with pytest.raises(Refused, match=r"203\.0\.113\.10 \(web1 on home1\)"):
        edge.service.reload(dataclasses.replace(edge.settings, pools=(smaller,)))
    assert edge.service.pools()[0].size == 5


def test_a_new_pool_serves_those_who_were_refused_for_want_of_it(edge: Edge) -> None:
    agent = edge.host("home1")
    assert agent.claim(1, "192.0.2.1", X).state == "refused"
    more = Pool("more", (AddressRange.parse("192.0.2.0/28"),), "up0")
    edge.service.reload(dataclasses.replace(edge.settings, pools=(*edge.settings.pools, more)))
    assert edge.reached() == {"192.0.2.1": f"{X} via 10.147.0.11"}


def test_a_pool_that_went_while_the_daemon_was_down_is_given_up(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    edge.settings = dataclasses.replace(edge.settings, pools=edge.settings.pools[1:])
    edge.boot()
    assert edge.reached() == {}
    assert edge.state(P, "home1") == "refused"


def test_shorter_leases_count_from_the_next_renewal(edge: Edge) -> None:
    agent = edge.host("home1")
    edge.service.reload(dataclasses.replace(edge.settings, lease_seconds=10.0))
    assert agent.open().lease_seconds == 10.0
    agent.heartbeat()
    edge.advance(11)
    assert edge.service.hosts()[0].lease == "ended"


def test_a_session_tells_the_host_what_it_may_ask_for(edge: Edge) -> None:
    reply = edge.host("home1", pools=["tw"]).open()
    assert [(pool.name, pool.addresses) for pool in reply.pools] == [
        ("tw", ["198.51.100.0-198.51.100.3"])
    ]
    assert (reply.host, reply.edge, reply.lease_seconds) == ("home1", "edge-1", 60.0)
    assert "192.168.0.0/16" in reply.prefixes
    assert "10.147.0.0/24" not in reply.prefixes
    assert "10.147.1.0/24" in reply.prefixes


def test_pools_are_counted(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    one.claim(1, Q)
    two.claim(2, P, Y)
    hk, tw = edge.service.pools()
    assert (hk.name, hk.size, hk.used, hk.free, hk.uplink) == ("hk", 5, 2, 3, "up0")
    assert (tw.size, tw.used, tw.free) == (4, 0, 4)


def test_mappings_show_every_claim_in_order(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    two.claim(2, "198.51.100.1", Y)
    one.claim(1, Q, X)
    two.claim(2, Q, Y)
    one.claim(3, "192.0.2.1", "8.8.8.8")
    shown = [(view.public, view.guest, view.host, view.state) for view in edge.service.mappings()]
    assert shown == [
        ("192.0.2.1", "web3", "home1", "refused"),
        ("198.51.100.1", "web2", "home2", "active"),
        (Q, "web1", "home1", "active"),
        (Q, "web2", "home2", "conflict"),
    ]
    view = edge.mappings()[Q, "home2"]
    assert (view.holder, view.reason, view.traffic) == (
        "web1 on home1",
        "held by web1 on home1",
        None,
    )
    held = edge.mappings()[Q, "home1"]
    assert (held.private, held.mode, held.client, held.since) == (
        X,
        "nat",
        "keep",
        edge.clock.now(),
    )
    assert held.traffic is not None


def test_status_is_everything_at_a_glance(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    status = edge.service.status()
    assert (status.edge, status.kernel) == ("edge-1", "")
    assert status.overlay is not None
    assert (status.overlay.device, status.overlay.addresses) == ("zt0", ["10.147.0.1"])
    assert status.mappings == {
        "active": 1,
        "pending": 0,
        "conflict": 1,
        "refused": 0,
        "withdrawn": 0,
        "reserved": 0,
    }
    first = status.hosts[0]
    assert (first.name, first.hostname, first.agent, first.held) == (
        "home1",
        "home1.lan",
        "zthook 0.1.0",
        1,
    )
    assert (first.address, first.lease, first.lease_seconds) == (
        str(address_of("home1")),
        "live",
        60.0,
    )
    assert json.loads(msgspec.json.encode(status))["mappings"]["active"] == 1


def test_a_host_that_was_only_invited_is_shown_as_that(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    (host,) = edge.service.hosts()
    assert (host.enrolled, host.invited_until, host.lease) == (False, invitation.expires, "none")


def test_a_host_can_not_speak_for_another(edge: Edge) -> None:
    """Keys are by host: the same guest and address on two hosts are two claims."""
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claims = dict(one.claims)
    two.list()
    two.claims.clear()
    two.list()
    assert edge.state(P, "home1") == "active"


def test_a_name_can_be_given_again(edge: Edge) -> None:
    edge.host("home1").claim(1, P, X)
    edge.service.remove_host("home1")
    agent: Agent = edge.host("home1")
    assert agent.claim(1, P, X).state == "active"

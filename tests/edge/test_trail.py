"""Who had which address when: what the audit trail says of it."""

from dataclasses import replace

import pytest

from tests.edge.world import POOL, SETTINGS, Edge, uuid
from zthook.edge.refusals import Refusals
from zthook.errors import Refused, StoreError
from zthook.model.clock import ManualClock
from zthook.store.events import Event, Wanted
from zthook.store.memory import MemoryLedger

P, Q = "203.0.113.10", "203.0.113.11"
X, Y = "192.168.122.50", "192.168.122.51"


def said(edge: Edge, **wanted: object) -> list[str]:
    """The trail's lines, as short sentences."""
    rows = edge.ledger.events(Wanted(**wanted))  # type: ignore[arg-type]
    return [" ".join(filter(None, (one.event, one.name, one.host, one.why))) for one in rows]


def test_an_addresss_whole_story(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, P, Y)
    edge.clock.advance(5)
    one.unclaim(1, P)
    edge.advance(61)
    edge.advance(601)
    assert said(edge, public=P) == [
        "granted web1 home1",
        "withdrawn web1 home1 its host claims it no more",
        "granted web2 home2",
        "withdrawn web2 home2 its host is away, and its grace is over",
    ]
    granted = edge.ledger.events(Wanted(public=P))[0]
    assert (granted.guest, granted.private, granted.mode) == (uuid(1), X, "nat")
    assert granted.epoch > 0


def test_times_are_those_of_the_decision(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.clock.advance(30)
    agent.unclaim(1, P)
    granted, withdrawn = edge.ledger.events(Wanted(public=P))
    assert withdrawn.at - granted.at == 30
    assert edge.ledger.events(Wanted(public=P, since=withdrawn.at)) == [withdrawn]


def test_what_did_not_change_is_no_line(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    before = said(edge)
    for _ in range(3):
        agent.list()
        agent.heartbeat()
        edge.advance(10)
    edge.service.tick()
    assert said(edge) == before


def test_another_private_address_is_one_line(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    agent.claim(1, P, Y)
    assert said(edge, public=P) == ["granted web1 home1", "changed web1 home1"]
    assert edge.ledger.events(Wanted(public=P))[-1].private == Y


def test_a_guest_that_moves_is_one_line_where_it_goes_on(edge: Edge) -> None:
    one, two = edge.host("home1", group="g"), edge.host("home2", group="g")
    one.claim(1, P, X)
    two.claim(1, P, X)
    assert said(edge, public=P) == ["granted web1 home1", "moved web1 home2 from home1"]


def test_a_guest_that_is_put_aside_is_told_for_whom(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    edge.advance(61)
    two.heartbeat()
    two.claim(2, P, Y)
    assert said(edge, public=P) == [
        "granted web1 home1",
        "withdrawn web1 home1 for web2 on home2",
        "granted web2 home2",
    ]


def test_a_refused_claim_is_told_with_the_reason_once(edge: Edge) -> None:
    agent = edge.host("home1", pools=["tw"])
    agent.claim(1, P, X)
    agent.list()
    (line,) = said(edge, public=P)
    assert line.startswith("refused web1 home1 ")
    assert "pool" in line


def test_hosts_come_and_go(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    edge.advance(61)
    agent.heartbeat()
    edge.service.remove_host("home1")
    assert said(edge, host="home1") == [
        "host added home1 its token is good until 2023-11-15 22:30 UTC",
        "host enrolled home1 the machine calls itself 'home1.lan'",
        "lease began home1",
        "host reached home1 by 10.147.0.11 (02:00:00:00:01:0b)",
        "granted web1 home1",
        "lease ended home1",
        "lease began home1",
        "host removed home1",
        "withdrawn web1 home1 its host was removed",
    ]


def test_a_host_that_leaves_and_a_release(edge: Edge) -> None:
    one, two = edge.host("home1"), edge.host("home2")
    one.claim(1, P, X)
    two.claim(2, Q, Y)
    edge.service.leave("home1")
    edge.advance(61)
    edge.service.release(Q)
    assert said(edge, public=P)[-1] == "withdrawn web1 home1 its host left"
    assert said(edge, public=Q)[-2:] == [
        "released",
        "withdrawn web2 home2 released by an admin",
    ]


def test_pools_and_starts(edge: Edge) -> None:
    edge.boot()
    edge.service.reload(SETTINGS)
    edge.service.reload(replace(SETTINGS, pools=(POOL,)))
    starts, changes = [
        [line for line in said(edge) if line.startswith(kind)]
        for kind in ("edge started", "pools changed")
    ]
    assert len(starts) == 2
    assert "hk=203.0.113.10-203.0.113.14 on up0; tw=198.51.100.0-198.51.100.3 on up1" in starts[1]
    assert changes == ["pools changed hk=203.0.113.10-203.0.113.14 on up0"]


def test_a_member_that_is_let_in(edge: Edge) -> None:
    edge.service.approved("5d4548d482")
    assert said(edge)[-1] == "member approved 5d4548d482 is let into the overlay"


class Brittle(MemoryLedger):
    """Can be told that its disk is full."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("the disk is full")


def test_what_was_not_decided_was_not_noted() -> None:
    ledger = Brittle()
    edge = Edge(ledger)
    agent = edge.host("home1")
    before = said(edge)
    ledger.full = True
    with pytest.raises(StoreError):
        agent.claim(1, P, X)
    assert said(edge) == before


def test_no_secret_is_in_it(edge: Edge) -> None:
    invitation = edge.service.add_host("home1")
    credential = edge.service.enrol(invitation.secret, "kvm.lan", "10.147.0.11").credential
    text = str(edge.ledger.events(Wanted()))
    assert invitation.secret not in text
    assert credential not in text
    assert "10.147.0.11" in text


def test_only_one_admins_no_is_told(edge: Edge) -> None:
    agent = edge.host("home1")
    agent.claim(1, P, X)
    before = said(edge)
    with pytest.raises(Refused):
        edge.service.release(P)
    assert said(edge) == before


class TestRefusedRequests:
    """They are counted for a minute, so that no flood of them fills the trail."""

    @pytest.fixture
    def refusals(self) -> Refusals:
        self.clock = ManualClock()
        return Refusals(self.clock.boottime)

    def test_a_source_is_one_line_a_minute(self, edge: Edge, refusals: Refusals) -> None:
        for number in range(1000):
            refusals.tell("10.147.0.66", 401, "GET '/v1/changes'", f"no {number}")
        assert not refusals.due()
        self.clock.advance(60)
        assert refusals.due()
        edge.service.note_refused(refusals.take())
        assert not refusals.due()
        row = edge.ledger.events(Wanted())[-1]
        assert (row.event, row.source, row.times) == (Event.REQUESTS_REFUSED, "10.147.0.66", 1000)
        assert row.why == "GET '/v1/changes': 401, no 999"

    def test_whose_credential_it_was_is_told(self, edge: Edge, refusals: Refusals) -> None:
        refusals.tell("10.147.0.11", 409, "PUT '/v1/claims'", "late", "home1")
        edge.service.note_refused(refusals.take())
        assert said(edge, host="home1") == ["requests refused home1 PUT '/v1/claims': 409, late"]

    def test_many_sources_are_few_lines(self, refusals: Refusals) -> None:
        for number in range(10_000):
            refusals.tell(f"10.{number // 250}.{number % 250}.1", 401, "GET '/'", "no")
        taken = refusals.take()
        assert len(taken) == 65
        assert sum(one.times for one in taken) == 10_000

    def test_what_is_told_is_short(self, refusals: Refusals) -> None:
        refusals.tell("10.147.0.66", 400, "GET '/'", "x" * 100_000)
        (one,) = refusals.take()
        assert len(one.why) == 300

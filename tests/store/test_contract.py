"""What every ledger must do: run on the one on disk and on the one in memory."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from zthook.errors import StoreError
from zthook.store import events
from zthook.store.events import Event, EventRow, Wanted
from zthook.store.ledger import Ledger
from zthook.store.memory import MemoryLedger
from zthook.store.rows import (
    ClaimRow,
    Content,
    HostRow,
    InvitationRow,
    ReservationRow,
    Standing,
)
from zthook.store.sqlite import SqliteLedger

GUEST = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = (
        MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "edge.sqlite")
    )
    yield made
    made.close()


def claim(
    host: str = "home1", guest: str = GUEST, public: str = "203.0.113.10", **more: object
) -> ClaimRow:
    row = ClaimRow(
        host=host,
        guest=guest,
        asked=public,
        public=public,
        name="web1",
        private="192.168.122.50",
        mode="nat",
        client="keep",
        rewriter="edge",
        standing=Standing.WAITING,
        place=1,
        since=1.5,
    )
    return msgspec.structs.replace(row, **more)


def test_rows_come_back_as_they_were_put(ledger: Ledger) -> None:
    host = HostRow(
        name="home1", prefixes=("10.0.0.0/8",), credential="c0ffee", superseded=("a", "b"), seen=1.5
    )
    invitation = InvitationRow(secret="5ec", host="home1", expires=7.25)
    row = claim(
        after=Standing.REFUSED,
        standing=Standing.LEAVING,
        private=None,
        heir=True,
        egress="public",
        ports=("tcp/80:8080", "udp/27000-27100"),
        allow=("198.51.100.0/24",),
        then=Content(name="web1", private=None, mode="nat", client="keep", rewriter="edge"),
    )
    with ledger.transaction():
        ledger.put_host(host)
        ledger.put_invitation(invitation)
        ledger.put_claim(row)
    assert ledger.host("home1") == host
    assert ledger.invitation("5ec") == invitation
    assert ledger.claim(row.key) == row
    assert (ledger.hosts(), ledger.invitations(), ledger.claims()) == ([host], [invitation], [row])


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert ledger.host("home1") is None
    assert ledger.host_with("c0ffee") is None
    assert ledger.invitation("5ec") is None
    assert ledger.claim(("home1", GUEST, "203.0.113.10")) is None
    assert ledger.claims_on("203.0.113.10") == []
    assert ledger.reservation((GUEST, "auto/hk/0")) is None
    assert ledger.reservation_on("203.0.113.10") is None
    assert (ledger.reservations(), ledger.taken()) == ([], set())


def test_a_host_is_found_by_its_present_credential_only(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_host(HostRow(name="home1", credential="old"))
        ledger.put_host(HostRow(name="home2"))
        ledger.put_host(HostRow(name="home1", credential="new"))
    assert ledger.host_with("old") is None
    found = ledger.host_with("new")
    assert found is not None
    assert found.name == "home1"


def test_claims_are_found_by_each_of_their_parts_in_order_of_place(ledger: Ledger) -> None:
    late = claim(guest=OTHER, place=9, private="192.168.122.51")
    early = claim(host="home2", place=2)
    elsewhere = claim(public="203.0.113.11", place=5, standing=Standing.REFUSED)
    with ledger.transaction():
        for row in (late, elsewhere, early):
            ledger.put_claim(row)
    assert ledger.claims_on("203.0.113.10") == [early, late]
    assert ledger.claims_of("home1") == [elsewhere, late]
    assert ledger.claims_of_guest(GUEST) == [early, elsewhere]
    assert ledger.claims_using("192.168.122.50") == [early, elsewhere]
    assert ledger.claims(Standing.REFUSED) == [elsewhere]
    assert ledger.claims() == [early, late, elsewhere]


def test_the_guests_of_several_hosts(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_claim(claim())
        ledger.put_claim(claim(public="203.0.113.11"))
        ledger.put_claim(claim(guest=OTHER))
    assert ledger.guests_of_several() == []
    with ledger.transaction():
        ledger.put_claim(claim(host="home2", guest=OTHER))
    assert ledger.guests_of_several() == [OTHER]


def test_one_by_one_are_the_same_claims(ledger: Ledger) -> None:
    rows = [claim(public=f"203.0.113.{n}", place=n, private=f"10.0.0.{n // 2}") for n in (9, 4, 5)]
    waiting = claim(guest=OTHER, private=None)
    with ledger.transaction():
        for row in rows:
            ledger.put_claim(msgspec.structs.replace(row, standing=Standing.HOLDING))
        ledger.put_claim(waiting)
    assert sorted(ledger.each_claim(), key=lambda row: row.key) == sorted(
        ledger.claims(), key=lambda row: row.key
    )
    assert list(ledger.each_claim(Standing.WAITING)) == [waiting]
    assert ledger.shared_privates() == {"10.0.0.2"}


def test_a_host_is_read_as_it_was_committed(ledger: Ledger) -> None:
    """Also where it was read inside of a transaction that came to nothing."""
    before, after = HostRow(name="home1", credential="one"), HostRow(name="home1", credential="two")
    with ledger.transaction():
        ledger.put_host(before)
    assert ledger.host_with("one") == ledger.host("home1") == before

    def undone() -> None:
        with ledger.transaction():
            ledger.put_host(after)
            assert ledger.host_with("two") == ledger.host("home1") == after
            assert ledger.host_with("one") is None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        undone()
    assert ledger.host_with("one") == ledger.host("home1") == before
    assert ledger.host_with("two") is None
    with ledger.transaction():
        ledger.put_host(after)
    assert ledger.host_with("one") is None
    assert ledger.host_with("two") == after
    with ledger.transaction():
        ledger.drop_host("home1")
    assert ledger.host("home1") is None
    assert ledger.host_with("two") is None


def test_each_change_is_counted_and_no_look(ledger: Ledger) -> None:
    counts = [ledger.changes]
    for act in (
        lambda: ledger.put_claim(claim()),
        lambda: ledger.put_claim(claim(private=None)),
        lambda: ledger.drop_claim(claim().key),
        lambda: ledger.put_host(HostRow(name="home1")),
    ):
        with ledger.transaction():
            act()
        counts.append(ledger.changes)
    assert sorted(set(counts)) == counts
    with ledger.transaction():
        assert ledger.claims() == []
    assert ledger.changes == counts[-1]


def test_a_changed_claim_is_found_by_its_new_parts_only(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_claim(claim())
        ledger.put_claim(claim(private="192.168.122.51", standing=Standing.HOLDING, place=4))
    assert ledger.claims_using("192.168.122.50") == []
    assert ledger.claims(Standing.WAITING) == []
    assert [row.place for row in ledger.claims_on("203.0.113.10")] == [4]


def test_dropped_rows_are_gone(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_host(HostRow(name="home1"))
        ledger.put_invitation(InvitationRow(secret="5ec", host="home1", expires=1))
        ledger.put_claim(claim())
    with ledger.transaction():
        ledger.drop_host("home1")
        ledger.drop_invitation("5ec")
        ledger.drop_claim(claim().key)
        ledger.drop_claim(claim().key)
    assert (ledger.hosts(), ledger.invitations(), ledger.claims()) == ([], [], [])


def test_what_is_raised_inside_undoes_everything(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_claim(claim())
        first = ledger.next("epoch")

    def cut_short() -> None:
        with ledger.transaction():
            ledger.put_host(HostRow(name="home1"))
            ledger.put_invitation(InvitationRow(secret="5ec", host="home1", expires=1))
            ledger.put_claim(claim(name="renamed"))
            ledger.put_reservation(reservation())
            ledger.drop_claim(claim().key)
            ledger.next("epoch")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        cut_short()
    assert (ledger.hosts(), ledger.invitations(), ledger.claims()) == ([], [], [claim()])
    assert ledger.reservations() == []
    with ledger.transaction():
        assert ledger.next("epoch") == first + 1


@pytest.mark.parametrize("standing", [Standing.HOLDING, Standing.LEAVING])
def test_the_store_itself_knows_one_holder(ledger: Ledger, standing: Standing) -> None:
    with ledger.transaction():
        ledger.put_claim(claim(standing=standing))
        ledger.put_claim(claim(standing=Standing.HOLDING))
    with pytest.raises(StoreError, match="has a holder already, home1"), ledger.transaction():
        ledger.put_claim(claim(host="home2", standing=Standing.HOLDING))
    with ledger.transaction():
        ledger.put_claim(claim(host="home2", standing=Standing.WAITING))
    assert [row.host for row in ledger.claims(Standing.HOLDING)] == ["home1"]


WEB = claim(standing=Standing.HOLDING, ports=("tcp/80", "tcp/443"))
SHARED = {"guest": OTHER, "private": "192.168.122.51", "standing": Standing.HOLDING}


@pytest.mark.parametrize(
    "other",
    [
        claim("home2", ports=("tcp/22", "udp/80"), **SHARED),
        claim(ports=("tcp/81-442",), **SHARED),
        claim("home2", public="203.0.113.11", **SHARED),
    ],
    ids=["another host's", "the same host's", "of another address"],
)
def test_ports_of_one_address_are_several_holders(ledger: Ledger, other: ClaimRow) -> None:
    with ledger.transaction():
        ledger.put_claim(WEB)
        ledger.put_claim(other)
    assert {row.key for row in ledger.claims(Standing.HOLDING)} == {WEB.key, other.key}


@pytest.mark.parametrize(
    "other",
    [
        claim("home2", **SHARED),
        claim("home2", ports=("tcp/8080", "tcp/440-450:80"), **SHARED),
        claim("home2", ports=("tcp/22",), mode="routed", **SHARED),
        claim("home2", ports=("tcp/22",), **{**SHARED, "private": "192.168.122.50"}),
        claim(public="203.0.113.10", ports=("tcp/22",), **{**SHARED, "private": WEB.private}),
    ],
    ids=[
        "whole address",
        "a port twice",
        "routed beside nat",
        "one private address",
        "on one host",
    ],
)
def test_but_no_part_of_it_is_two_holders(ledger: Ledger, other: ClaimRow) -> None:
    with ledger.transaction():
        ledger.put_claim(WEB)
    with pytest.raises(StoreError, match="has a holder already"), ledger.transaction():
        ledger.put_claim(other)
    assert ledger.claims() == [WEB]


def test_in_routed_mode_an_address_is_one_hosts(ledger: Ledger) -> None:
    web = msgspec.structs.replace(WEB, mode="routed")
    beside = claim(ports=("tcp/22",), mode="routed", **SHARED)
    elsewhere = claim("home2", ports=("tcp/25",), mode="routed", **SHARED)
    with ledger.transaction():
        ledger.put_claim(web)
        ledger.put_claim(beside)
    with pytest.raises(StoreError, match="has a holder already"), ledger.transaction():
        ledger.put_claim(elsewhere)


def test_nobody_holds_without_an_address(ledger: Ledger) -> None:
    waiting = claim(asked="auto/hk/0", public="")
    with ledger.transaction():
        ledger.put_claim(waiting)
        ledger.put_claim(msgspec.structs.replace(waiting, host="home2"))
    assert [row.host for row in ledger.claims_on("")] == ["home1", "home2"]
    with pytest.raises(StoreError, match="no address"), ledger.transaction():
        ledger.put_claim(msgspec.structs.replace(waiting, standing=Standing.HOLDING))


def test_an_auto_is_found_by_the_address_that_it_got(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_claim(claim(asked="auto/hk/0", public=""))
        ledger.put_claim(claim(asked="auto/hk/0", standing=Standing.HOLDING))
    assert ledger.claims_on("") == []
    (row,) = ledger.claims_on("203.0.113.10")
    assert ledger.claim(("home1", GUEST, "auto/hk/0")) == row


def reservation(**more: object) -> ReservationRow:
    row = ReservationRow(
        guest=GUEST,
        pool="hk",
        nth=0,
        public="203.0.113.10",
        name="web1",
        host="home1",
        since=1.5,
    )
    return msgspec.structs.replace(row, **more)


def test_reservations_are_found_by_guest_and_by_address(ledger: Ledger) -> None:
    first, second = reservation(), reservation(nth=1, public="203.0.113.11")
    anywhere = reservation(pool="", public="203.0.113.12")
    with ledger.transaction():
        for row in (anywhere, second, first):
            ledger.put_reservation(row)
    assert ledger.reservation((GUEST, "auto/hk/1")) == second
    assert ledger.reservation((GUEST, "auto//0")) == anywhere
    assert ledger.reservation_on("203.0.113.10") == first
    assert ledger.reservations() == [first, second, anywhere]
    with ledger.transaction():
        ledger.drop_reservation(first.key)
        ledger.put_reservation(reservation(nth=1, public="203.0.113.10"))
    assert ledger.reservation(first.key) is None
    assert ledger.reservation_on("203.0.113.11") is None
    assert [row.public for row in ledger.reservations()] == ["203.0.113.10", "203.0.113.12"]


def test_an_address_is_reserved_once(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_reservation(reservation())
    for other in (reservation(guest=OTHER), reservation(nth=1)):
        with pytest.raises(StoreError), ledger.transaction():
            ledger.put_reservation(other)
    assert ledger.reservations() == [reservation()]


def test_what_is_taken_is_reserved_or_asked_for(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put_claim(claim())
        ledger.put_claim(claim(guest=OTHER, asked="auto/hk/0", public=""))
        ledger.put_claim(claim(public="203.0.113.11", standing=Standing.REFUSED))
        ledger.put_reservation(reservation(public="203.0.113.12"))
    assert ledger.taken() == {"203.0.113.10", "203.0.113.12"}


def test_counters_rise_each_for_itself(ledger: Ledger) -> None:
    with ledger.transaction():
        assert [ledger.next("epoch"), ledger.next("epoch"), ledger.next("session")] == [1, 2, 1]


def test_a_counter_is_raised_to_what_others_have_seen(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.raise_to("epoch", 40)
        assert ledger.next("epoch") == 41
        ledger.raise_to("epoch", 7)
        assert ledger.next("epoch") == 42
        ledger.raise_to("epoch", 2**52)
        assert ledger.next("epoch") == 2**52 + 1


def test_changes_belong_into_transactions_and_those_do_not_nest(ledger: Ledger) -> None:
    with pytest.raises(StoreError):
        ledger.put_claim(claim())
    with pytest.raises(StoreError):
        ledger.next("epoch")
    with pytest.raises(StoreError), ledger.transaction(), ledger.transaction():
        pass
    with ledger.transaction():
        ledger.put_claim(claim())
    assert ledger.claims() == [claim()]


def event(host: str = "home1", **more: object) -> EventRow:
    row = EventRow(
        at=1.5, event=Event.GRANTED, host=host, public="203.0.113.10", guest=GUEST, name="web1"
    )
    return msgspec.structs.replace(row, **more)


def note(ledger: Ledger, *rows: EventRow) -> None:
    with ledger.transaction():
        for row in rows:
            ledger.note(row)


def test_events_come_back_in_their_order_and_are_found_by_each_part(ledger: Ledger) -> None:
    first = event(ports=("tcp/80",), private="192.168.122.50", epoch=7, why="because", times=3)
    second = event("home2", public="203.0.113.11", at=2.5)
    third = event(guest=OTHER, name="mail", at=3.5, event=Event.WITHDRAWN)
    note(ledger, first, second)
    note(ledger, third)
    assert ledger.events(Wanted()) == [first, second, third]
    assert ledger.events(Wanted(public="203.0.113.11")) == [second]
    assert ledger.events(Wanted(host="home1")) == [first, third]
    assert ledger.events(Wanted(guest=GUEST)) == [first, second]
    assert ledger.events(Wanted(guest="mail")) == [third]
    assert ledger.events(Wanted(since=2.5)) == [second, third]
    assert ledger.events(Wanted(host="home1", most=1)) == [third]
    assert ledger.events(Wanted(most=0)) == []
    assert ledger.events(Wanted(public="203.0.113.1")) == []


def test_of_events_the_oldest_go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_EVENTS", 5)
    rows = [event(f"home{number}") for number in range(12)]
    note(ledger, *rows[:7])
    for row in rows[7:]:
        note(ledger, row)
    assert ledger.events(Wanted()) == rows[-5:]


def test_one_host_pushes_out_none_but_its_own_events(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_EVENTS", 10)
    monkeypatch.setattr(events, "MOST_OF_ONE", 3)
    started = EventRow(at=0, event=Event.STARTED)
    quiet = event("home2")
    note(ledger, started, quiet)
    loud = [event(at=number) for number in range(50)]
    note(ledger, *loud)
    unknown = [EventRow(at=number, event=Event.REQUESTS_REFUSED) for number in range(50)]
    note(ledger, *unknown)
    assert ledger.events(Wanted()) == [started, quiet, *loud[-3:], *unknown[-3:]]
    note(ledger, *(event(f"home{number}") for number in range(10, 15)))
    assert len(ledger.events(Wanted())) == 10
    assert started not in ledger.events(Wanted())


def test_an_event_goes_with_its_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_EVENTS", 2)
    note(ledger, event(at=1), event(at=2))

    def cut_short() -> None:
        with ledger.transaction():
            ledger.note(event(at=3))
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        cut_short()
    assert [row.at for row in ledger.events(Wanted())] == [1, 2]
    note(ledger, event(at=4))
    assert [row.at for row in ledger.events(Wanted())] == [2, 4]


def test_events_are_noted_in_transactions_only(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="outside of a transaction"):
        ledger.note(event())

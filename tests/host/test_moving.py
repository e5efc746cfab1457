"""A guest that migrates, as its two hosts and the edge see it."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.host.edge import OTHER_CREDENTIAL, EdgeTransport
from tests.host.making import (
    MAC,
    PRIVATE,
    PUBLIC,
    domain,
    guest,
    mac,
    on_network,
    rule_of,
    uuid,
)
from tests.host.standins import Home, another_pass, until
from tests.host.test_hooks import ALLOWED, call
from zthook.host.hook_socket import HookCall
from zthook.hypervisor.contract import Happened
from zthook.model.guests import Guest, GuestState
from zthook.model.publication import AddressRequest, Egress, Mode

ASKED = AddressRequest(PUBLIC)
WEB1 = guest(1, ASKED)
HERE, THERE = "home1", "home2"
BRIDGE = ("virbr0", PRIVATE)


@pytest.fixture
async def other(home: Home) -> Home:
    """The second host at the same edge; no lease is known there, and guests answer ARP."""
    made = Home(OTHER_CREDENTIAL, EdgeTransport(home.edge))
    made.edge = home.edge
    made.leases = {}
    return made


def held(home: Home) -> tuple[str, str | None] | None:
    return home.edge.state(str(PUBLIC))


def incoming(*requests: AddressRequest) -> Guest:
    return guest(1, *(requests or (ASKED,)), state=GuestState.INCOMING)


async def served(home: Home, host: str = HERE) -> None:
    await until(lambda: held(home) == (host, str(PRIVATE)), f"served at {host}")


async def resume(other: Home, *requests: AddressRequest) -> None:
    """The guest runs at its destination, and answers there."""
    other.kernel.answering[BRIDGE] = MAC
    other.libvirt.running = [guest(1, *(requests or (ASKED,)))]
    other.tell(uuid(1))


async def leave(home: Home, what: Happened = Happened.MIGRATED) -> None:
    """The guest ends at its source."""
    home.libvirt.running = []
    home.tell(uuid(1), what)


async def test_it_moves_when_it_runs_at_its_destination_and_its_source_hands_it_over(
    home: Home, other: Home
) -> None:
    home.start(WEB1)
    async with home.running() as source, other.running() as destination:
        await served(home)
        other.start(incoming())
        await until(lambda: other.kernel.rules == {rule_of(PRIVATE)}, "ready before it runs")
        await until(lambda: (THERE, str(uuid(1)), str(PUBLIC)) not in home.edge.claims)
        assert held(home) == (HERE, str(PRIVATE))
        await resume(other)
        await until(lambda: destination.passes.said.answers)
        assert held(home) == (HERE, str(PRIVATE))
        await leave(home)
        await served(home, THERE)
        await until(lambda: other.kernel.rules == {rule_of(PRIVATE, active=True)})
        await until(lambda: not home.kernel.rules)
        await until(lambda: not source.passes.said.answers)
        assert home.edge.claim(str(PUBLIC), HERE) is None


async def test_while_nobody_says_its_address_it_is_a_newcomer(home: Home, other: Home) -> None:
    """Without a group, until it is handed over: what it goes on with leaves by no home line."""
    home.start(WEB1)
    home.edge.silent = True
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(incoming())
        new = frozenset({("virbr0", MAC)})
        await until(lambda: other.kernel.newcomers == new, "before it runs")
        await resume(other)
        await another_pass(destination)
        assert other.kernel.newcomers == new
        assert not home.kernel.newcomers
        other.kernel.seen = {"virbr0": {PRIVATE: MAC}}
        destination.hint()
        await until(lambda: not other.kernel.newcomers, "it has spoken")
        await until(lambda: other.kernel.rules == {rule_of(PRIVATE)})


async def test_nobody_is_a_newcomer_for_ever(
    home: Home, other: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.host.arrivals.HANDOVER_SECONDS", 0.3)
    home.start(WEB1)
    home.edge.silent = True
    async with home.running(), other.running():
        await served(home)
        other.start(incoming())
        await until(lambda: other.kernel.newcomers, "before it runs")
        other.libvirt.running = [WEB1]
        other.tell(uuid(1))
        await until(lambda: not other.kernel.newcomers, "it has been here for long")


async def test_the_source_says_that_the_guest_left_and_keeps_its_rules_until_it_is_elsewhere(
    home: Home, other: Home
) -> None:
    home.start(WEB1)
    async with home.running() as source:
        await served(home)
        await leave(home)
        await until(lambda: home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]
        assert {rule.private for rule in home.kernel.rules} == {PRIVATE}
        [row] = (await source.status()).mappings
        assert (row.guest_state, row.state) == ("left", "pending")
        assert row.reason == "waits for the host that the guest migrated to"
        async with other.running():
            await resume(other)
            await served(home, THERE)
            await until(lambda: not home.kernel.rules)


async def test_nobody_who_asks_for_it_is_not_waited_for_forever(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.host.departures.LASTS_SECONDS", 0.3)
    home.start(WEB1)
    async with home.running():
        await served(home)
        await leave(home)
        await until(lambda: held(home) is None and not home.kernel.rules)


@pytest.mark.parametrize("said", [None, Happened.STOPPED])
async def test_a_guest_that_merely_stops_is_withdrawn_at_once(
    home: Home, said: Happened | None
) -> None:
    told: list[bool] = []
    ask = home.edge._ask
    home.edge._ask = lambda host, claim: (told.append(claim.leaving), ask(host, claim))[1]  # type: ignore[method-assign,func-returns-value]
    home.start(WEB1)
    async with home.running():
        await served(home)
        await leave(home, said)  # type: ignore[arg-type]
        await until(lambda: held(home) is None)
    assert not any(told)


async def test_a_guest_that_comes_is_given_nothing_before_it_runs_also_where_nobody_has_it(
    home: Home,
) -> None:
    home.start(incoming())
    async with home.running() as agent:
        await until(lambda: "POST /v1/claims" in home.edge.events)
        await another_pass(agent)
        assert home.edge.epochs[str(PUBLIC)] == 0
        assert home.edge.claims == {}
        home.kernel.answering[BRIDGE] = MAC
        home.start(WEB1)
        await served(home)


async def test_a_lost_event_is_made_up_for_by_what_libvirt_says_of_a_defined_guest(
    home: Home,
) -> None:
    home.start(WEB1)
    async with home.running():
        await served(home)
        home.libvirt.endings[uuid(1)] = Happened.MIGRATED
        home.start()
        await until(lambda: home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]


async def test_a_late_event_is_waited_for(home: Home) -> None:
    home.start(WEB1)
    async with home.running():
        await served(home)
        home.start()
        asyncio.get_running_loop().call_later(0.03, home.tell, uuid(1), Happened.MIGRATED)
        await until(lambda: home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]


async def test_guests_that_go_at_once_are_told_apart(home: Home) -> None:
    several = [guest(n, AddressRequest(PUBLIC + n, private=PRIVATE + n)) for n in range(1, 21)]
    home.start(*several)
    async with home.running() as agent:
        await until(lambda: len(home.edge.holders) == 20)
        home.start()
        for n in range(2, 21, 2):
            home.tell(uuid(n), Happened.MIGRATED)
        await until(lambda: len(home.edge.holders) == 10)
        assert all(claim.leaving for _, claim in home.edge.claims.values())
        assert {one.domain.uuid.int % 2 for one in agent.passes.decisions.desired} == {0}


async def test_the_hook_tells_it_as_well(home: Home) -> None:
    """With libvirt 10.5 and later the reason is there before the guest is gone."""
    home.start(WEB1)
    async with home.running() as agent:
        await served(home)
        release = call("release")
        told = HookCall(release.guest, "release", "end", "migrated", release.xml)
        assert await agent.hooks(told) == ALLOWED
        home.start()
        await until(lambda: home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]


async def test_a_guest_that_comes_back_claims_as_ever(home: Home) -> None:
    home.start(WEB1)
    async with home.running():
        await served(home)
        await leave(home)
        await until(lambda: home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]
        home.start(WEB1)
        await until(lambda: not home.edge.claim(str(PUBLIC)).leaving)  # type: ignore[union-attr]
        await served(home)


async def test_with_post_copy_it_is_handed_over_while_memory_is_still_copied(
    home: Home, other: Home
) -> None:
    home.start(WEB1)
    async with home.running(), other.running():
        await served(home)
        other.start(incoming())
        home.start(guest(1, ASKED, state=GuestState.LEFT))
        await resume(other)
        await served(home, THERE)


async def test_a_migration_that_fails_changes_nothing(home: Home, other: Home) -> None:
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        epoch = home.edge.epochs[str(PUBLIC)]
        other.start(incoming())
        await until(lambda: other.kernel.rules)
        home.start(guest(1, ASKED, state=GuestState.PAUSED))
        other.libvirt.running = []
        other.tell(uuid(1), Happened.STOPPED)
        home.start(WEB1)
        await until(lambda: not other.kernel.rules)
        await another_pass(destination)
        assert held(home) == (HERE, str(PRIVATE))
        assert home.edge.epochs[str(PUBLIC)] == epoch
        assert {host for host, *_ in home.edge.claims} == {HERE}


async def test_the_lease_of_an_earlier_stay_is_not_believed(home: Home, other: Home) -> None:
    other.leases = {MAC: PRIVATE + 20}
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(incoming())
        await until(lambda: other.kernel.rules)
        await resume(other)
        await leave(home)
        await served(home, THERE)
        # What it is given here from now on counts, once it is seen to use it.
        other.kernel.answering = {("virbr0", PRIVATE + 20): MAC}
        other.kernel.seen = {}
        other.hint()
        await until(lambda: held(home) == (THERE, str(PRIVATE + 20)))
        assert destination.passes.decisions.desired[0].claim is not None


async def test_where_the_guest_does_not_answer_at_its_old_address_the_usual_sources_count(
    home: Home, other: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.host.arrivals.PROOF_SECONDS", 0.5)
    other.leases = {MAC: PRIVATE + 20}
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(incoming())
        await until(lambda: other.kernel.rules)
        await leave(home)
        other.start(WEB1)
        await until(lambda: destination.passes.said.answers)
        [row] = (await destination.status()).mappings
        assert row.reason == (
            f"waits for the guest to answer at {PRIVATE}, which it had on its last host"
        )
        await until(lambda: held(home) == (THERE, str(PRIVATE + 20)))


async def test_in_another_subnet_it_follows_once_the_guest_has_its_new_address(
    home: Home, other: Home
) -> None:
    elsewhere = guest(1, ASKED, interfaces=(on_network(1, "dual"),))
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(replace(elsewhere, state=GuestState.INCOMING))
        await until(lambda: destination.passes.decisions.desired)
        await another_pass(destination)
        assert not other.kernel.rules
        other.start(elsewhere)
        await leave(home)
        await until(lambda: held(home) == (THERE, None))
        new = IPv4Address("192.168.124.9")
        other.kernel.seen = {"virbr2": {new: mac(1)}}
        other.hint()
        await until(lambda: held(home) == (THERE, str(new)))


async def test_an_address_that_somebody_else_has_at_the_destination_is_not_taken(
    home: Home, other: Home
) -> None:
    local = guest(2, AddressRequest(PUBLIC + 1, private=PRIVATE))
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(incoming(), local)
        await until(lambda: len(destination.passes.decisions.desired) == 2)
        await another_pass(destination)
        coming = destination.passes.decisions.desired[0]
        assert coming.prospect is not None
        assert coming.prospect.private is None


@pytest.mark.parametrize(
    "request_",
    [
        replace(ASKED, mode=Mode.ROUTED, egress=Egress.PUBLIC),
        replace(ASKED, private=PRIVATE),
    ],
)
async def test_whatever_is_asked_for_the_rule_is_there_before_the_guest_runs(
    home: Home, other: Home, request_: AddressRequest
) -> None:
    home.start(guest(1, request_))
    async with home.running(), other.running():
        await served(home)
        other.start(incoming(request_))
        expected = rule_of(PRIVATE, mode=request_.mode, egress=request_.egress)
        await until(lambda: other.kernel.rules == {expected})
        home.edge.events.clear()
        await resume(other, request_)
        await leave(home)
        await served(home, THERE)
        await until(lambda: other.kernel.rules == {replace(expected, active=True)})


async def test_an_auto_moves_with_its_guest(home: Home, other: Home) -> None:
    auto = AddressRequest(None, pool="hk")
    home.start(guest(1, auto))
    async with home.running(), other.running():
        await until(lambda: home.edge.state("203.0.113.200") == (HERE, str(PRIVATE)))
        other.start(incoming(auto))
        await until(lambda: [one.public for one in other.kernel.rules] == [PUBLIC + 190])
        await resume(other, auto)
        await leave(home)
        await until(lambda: home.edge.state("203.0.113.200") == (THERE, str(PRIVATE)))


async def test_a_guest_restored_elsewhere_is_asked_for_the_address_it_had(
    home: Home, other: Home
) -> None:
    """It begins here as any other, with nothing that tells that it was elsewhere."""
    home.start(WEB1)
    async with home.running(), other.running() as destination:
        await served(home)
        other.kernel.answering[BRIDGE] = MAC
        other.start(guest(1, ASKED, state=GuestState.STARTING))
        await until(lambda: destination.passes.decisions.desired)
        [row] = (await destination.status()).mappings
        assert row.reason == "waits for the guest to start"
        other.start(WEB1)
        await until(lambda: destination.passes.decisions.desired[0].source is not None)
        await leave(home, Happened.STOPPED)
        await served(home, THERE)


async def test_a_required_guest_that_migrates_here_is_known_by_its_hooks_question(
    home: Home, other: Home
) -> None:
    required = replace(ASKED, required=True)
    home.start(guest(1, required))
    async with home.running(), other.running() as destination:
        await served(home)
        assert await destination.hooks(call("migrate")) == ALLOWED
        assert await destination.hooks(call()) == ALLOWED
        await another_pass(destination)  # libvirt does not list it yet
        other.start(incoming(required))
        await until(lambda: {one.private for one in other.kernel.rules} == {PRIVATE})
        assert home.edge.events.count("POST /v1/claims") == 1
        assert domain(1, required).required


async def test_this_host_asks_for_whoever_begins_to_run_here(home: Home, other: Home) -> None:
    """Its router had another MAC where it was: it learns this host's from the question."""
    fixed = replace(ASKED, private=PRIVATE)
    home.start(guest(1, fixed))
    async with home.running(), other.running() as destination:
        await served(home)
        other.start(incoming(fixed))
        await until(lambda: other.kernel.rules)
        home.edge.events.clear()
        other.kernel.events.clear()
        await resume(other, fixed)
        await until(lambda: f"probe {PRIVATE} on virbr0" in other.kernel.events)
        await another_pass(destination)
        assert other.kernel.events.count(f"probe {PRIVATE} on virbr0") == 1


async def test_a_guest_that_announces_itself_is_seen_at_once(home: Home) -> None:
    """As one does that is restored from a saved state, or that takes an address by itself."""
    home.leases = {}
    home.start(WEB1)
    async with home.running() as agent:
        await until(lambda: agent.passes.said.answers)
        home.announce("br7", MAC, PRIVATE)  # of no network of its own
        home.announce("virbr0", mac(7), PRIVATE)  # nobody's
        assert not agent.observer.sightings.heard
        home.announce("virbr0", MAC, PRIVATE + 1)  # it does not answer there
        await until(lambda: f"probe {PRIVATE + 1} on virbr0" in home.kernel.events)
        home.kernel.answering[BRIDGE] = MAC
        home.announce("virbr0", MAC, PRIVATE)
        await served(home)
        assert not any(agent.observer.sightings.heard.values())


async def test_what_a_guest_shouts_fills_nothing(home: Home) -> None:
    home.start(WEB1)
    async with home.running() as agent:
        await served(home)
        for last in range(50):
            home.announce("virbr0", MAC, IPv4Address("192.168.122.100") + last)
        assert len(agent.observer.sightings.heard["virbr0"]) <= 4


async def test_a_guest_that_runs_on_two_hosts_is_named_on_the_second(
    home: Home, other: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.start(WEB1)
    async with home.running() as source, other.running() as destination:
        await served(home)
        other.start(WEB1)
        await until(lambda: destination.passes.said.answers)
        [fault] = (await destination.status()).faults
        assert fault.startswith(
            "guests: web1 runs here and on home1, with the same UUID: stop one of"
        )
        assert (await source.status()).faults == []
        monkeypatch.setattr("zthook.host.report.TWICE_SECONDS", 1e12)
        assert (await destination.status()).faults == []

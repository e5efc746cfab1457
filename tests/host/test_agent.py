"""The agent's loop against a stateful edge: what it claims, in which order, what it survives."""

import asyncio
from ipaddress import IPv4Address

from tests.host.making import OTHER_PUBLIC, PRIVATE, PUBLIC, guest, mac, uuid
from tests.host.standins import Home, another_pass, until
from zthook.host.addresses import Source
from zthook.host.agent import Agent
from zthook.model.guests import GuestState
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest

WEB1 = guest(1, AddressRequest(PUBLIC))
HELD = ("home1", str(PRIVATE))


def held(home: Home) -> tuple[str, str | None] | None:
    return home.edge.state(str(PUBLIC))


def rules(home: Home) -> set[IPv4Address]:
    return {rule.private for rule in home.kernel.rules}


async def served(home: Home) -> None:
    await until(lambda: held(home) == HELD and rules(home) == {PRIVATE}, "active, with a rule")


async def settled(agent: Agent) -> None:
    """The edge has our list, and there is no news that we have not asked about."""
    await until(lambda: agent.passes.said.answers and not agent.client.list_due)
    await another_pass(agent)  # the one that sent it may still be at the kernel


async def test_a_started_guest_is_claimed_and_a_stopped_one_withdrawn(home: Home) -> None:
    async with home.running():
        home.start(WEB1)
        await served(home)
        home.start()
        await until(lambda: held(home) is None and not rules(home))
    assert home.kernel.plane is None


async def test_rules_are_there_before_the_claim_and_go_after_the_withdrawal(home: Home) -> None:
    async with home.running():
        home.start(WEB1)
        await served(home)
        first = home.edge.events.index(f"rules ['{PRIVATE}']")
        assert "PUT /v1/claims" in home.edge.events[first:]
        home.edge.events.clear()
        home.start()
        await until(lambda: "rules []" in home.edge.events)
        events = home.edge.events
        assert events.index("PUT /v1/claims") < events.index("rules []")
        assert events.count("PUT /v1/claims") == 1


async def test_a_list_is_sent_only_when_it_says_something_new(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        await settled(agent)
        home.edge.events.clear()
        for _ in range(5):
            await another_pass(agent)
        assert home.edge.events == []


async def test_a_lease_that_changes_is_followed(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
        home.leases = {mac(1): IPv4Address("192.168.122.77")}
        home.hint()
        await until(lambda: held(home) == ("home1", "192.168.122.77"))
        await until(lambda: rules(home) == {IPv4Address("192.168.122.77")})


async def test_a_lease_that_vanishes_cuts_nobody_off(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.leases = {}
        await another_pass(agent)
        assert agent.passes.decisions.desired[0].source is Source.LAST
        assert held(home) == HELD


async def test_stopping_the_agent_withdraws_nothing_and_the_next_one_changes_nothing(
    home: Home,
) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
    assert held(home) == HELD
    assert rules(home) == {PRIVATE}
    home.edge.events.clear()
    async with home.running() as agent:
        await settled(agent)
        await another_pass(agent)
    assert "rules []" not in home.edge.events
    assert held(home) == HELD


async def test_libvirt_that_never_answered_means_nothing_is_known(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
    home.edge.events.clear()
    home.libvirt.hung = True
    async with home.running() as agent:
        await until(lambda: agent.client.ready and home.libvirt.calls)
        await another_pass(agent)
    assert "PUT /v1/claims" not in home.edge.events
    assert not [event for event in home.edge.events if event.startswith("rules")]
    assert held(home) == HELD


async def test_libvirt_hung_withdraws_nothing_and_the_edge_is_still_followed(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.libvirt.hung = True
        home.hint()
        home.edge.events.clear()
        home.edge.forget_session()
        await until(lambda: "PUT /v1/claims" in home.edge.events)
        assert held(home) == HELD
        assert agent.observer.guests == [WEB1]


async def test_libvirt_down_is_shown_and_changes_nothing(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.libvirt.down = True
        home.hint()
        await until(lambda: not agent.observer.pulse.up)
        status = await agent.status()
        assert "libvirt: libvirtd does not answer" in status.faults
        assert [row.state for row in status.mappings] == [MappingState.ACTIVE]


async def test_the_edge_away_and_back_is_caught_up_with(home: Home) -> None:
    home.way.down = True
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await until(
            lambda: agent.client.pulse.health.up is False and agent.passes.decisions.desired
        )
        [row] = (await agent.status()).mappings
        assert row.state is MappingState.PENDING
        assert "connection refused" in row.reason
        home.start(WEB1, guest(2, AddressRequest(OTHER_PUBLIC)))
        await home.bring_back()
        await served(home)
        await until(lambda: home.edge.state(str(OTHER_PUBLIC)))


async def test_what_the_edge_could_not_be_told_to_let_go_of_is_shown(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        await settled(agent)
        home.way.down = True
        home.start()
        await until(lambda: not agent.passes.decisions.desired)
        await until(lambda: agent.client.pulse.up is False)
        [row] = (await agent.status()).mappings
        assert (row.guest, row.guest_state, row.public) == ("web1", "stopped", str(PUBLIC))
        assert row.state is MappingState.PENDING
        assert row.reason.startswith("waits for the edge to let go of it: the edge at ")
        assert held(home) == HELD
        home.way.down = False
        agent.link.poke()
        await until(lambda: held(home) is None)
        await until(lambda: not agent.passes.said.answers)
        assert (await agent.status()).mappings == []


async def test_a_connection_that_breaks_is_made_again_and_the_list_sent_once_more(
    home: Home,
) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.way.down = True
        home.edge.news.set()
        await until(lambda: not agent.client.pulse.up)
        home.start()
        assert held(home) == HELD
        await home.bring_back()
        await until(lambda: held(home) is None and not rules(home))


async def test_a_stale_session_is_opened_anew_once(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
        home.edge.events.clear()
        home.edge.forget_session()
        await until(lambda: "PUT /v1/claims" in home.edge.events)
        assert home.edge.events.count("POST /v1/session") == 1
        assert held(home) == HELD


async def test_lost_answers_change_nothing_in_the_end(home: Home) -> None:
    home.way.lost_answers = 3
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
        home.way.lost_answers = 2
        home.start()
        await until(lambda: held(home) is None and not rules(home))


async def test_two_agents_are_named_and_tried_slowly(home: Home) -> None:
    home.edge.two_agents = True
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await until(lambda: agent.client.fault)
        await until(lambda: agent.passes.decisions.desired)
        status = await agent.status()
        assert "edge: two agents use the credential of home1 (stop one of them)" in status.faults
        await another_pass(agent)
        assert (
            home.edge.events.count("POST /v1/session") <= 2
        )  # the overlay that comes up ends the first pause


async def test_a_removed_host_closes_its_doors_and_says_why(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.edge.hosts.clear()
        home.edge.forget_session()
        await until(lambda: not rules(home))
        [row] = (await agent.status()).mappings
        assert (row.state, row.reason) == (
            MappingState.REFUSED,
            "this host was removed from the edge",
        )


async def test_a_conflict_names_the_holder_and_is_granted_when_it_is_free(home: Home) -> None:
    home.edge.hold_elsewhere(str(PUBLIC), str(uuid(9)))
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await until(lambda: agent.passes.said.answers)
        [row] = (await agent.status()).mappings
        assert (row.state, row.reason) == (MappingState.CONFLICT, "held by db1 on home2")
        await until(lambda: rules(home) == set())
        home.edge.free_elsewhere(str(PUBLIC))
        await served(home)


async def test_a_flushed_table_is_put_back(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
        home.kernel.flush()
        await until(lambda: rules(home) == {PRIVATE})


async def test_a_kernel_that_refuses_is_shown_and_tried_again(home: Home) -> None:
    home.kernel.broken = True
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await until(lambda: agent.kernel.kernel.health.up is False)
        assert "this host's kernel: nft said no" in (await agent.status()).faults
        home.kernel.broken = False
        await served(home)


async def test_the_overlays_rules_stay_while_it_is_away(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.kernel.overlay_down = True
        home.nudge("link")
        await until(lambda: agent.kernel.overlay.health.up is False)
        assert rules(home) == {PRIVATE}


async def test_a_guest_agents_address_is_taken_once_a_neighbour_entry_confirms_it(
    home: Home,
) -> None:
    home.leases = {}
    home.libvirt.agents = {uuid(1): [(mac(1), IPv4Address("192.168.122.60"))]}
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await until(lambda: agent.observer.sightings.agents)
        assert held(home) in {("home1", None), None}
        home.kernel.seen = {"virbr0": {IPv4Address("192.168.122.60"): mac(1)}}
        home.hint()
        await until(lambda: held(home) == ("home1", "192.168.122.60"))


async def test_an_incoming_guest_claims_when_it_runs(home: Home) -> None:
    home.libvirt.running = [guest(1, AddressRequest(PUBLIC), state=GuestState.INCOMING)]
    async with home.running() as agent:
        await until(lambda: agent.passes.decisions.desired)
        [row] = (await agent.status()).mappings
        assert row.reason == "waits for the migration to this host to end"
        assert held(home) is None
        home.start(WEB1)
        await served(home)


async def test_status_tells_everything_of_an_active_mapping(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        await until(lambda: agent.passes.said.answers)
        [row] = (await agent.status()).mappings
    assert (row.guest, row.guest_state, row.public, row.private) == (
        "web1",
        "running",
        str(PUBLIC),
        str(PRIVATE),
    )
    assert (row.source, row.mode, row.client) == ("DHCP lease", "nat", "keep")
    assert row.since == 1.0
    assert row.traffic is not None
    assert row.traffic.bytes_in == 100


async def test_a_look_ends_with_the_edges_answer_to_what_libvirt_says_now(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running() as agent:
        await served(home)
        home.libvirt.running = []
        await agent.look(10)
        assert held(home) is None
        home.libvirt.down = True
        await agent.look(0.1)  # it does not wait for a libvirt that does not answer


async def test_a_storm_of_hints_becomes_few_passes(home: Home) -> None:
    home.libvirt.running = [WEB1]
    async with home.running():
        await served(home)
        before = home.libvirt.calls
        for _ in range(1000):
            home.hint()
            await asyncio.sleep(0)
        await until(lambda: home.libvirt.calls > before)
        assert home.libvirt.calls - before < 100

"""What an annotation asks for, on its way to the edge and back into the host's kernel."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from tests.host.making import PRIVATE, PUBLIC, guest, rule_of, uuid
from tests.host.standins import Home, another_pass, until
from zthook.config.places import Places
from zthook.model.addresses import AddressRange
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest, Egress, Mode, PortRange

ASKED = AddressRequest(PUBLIC)
PORTS = (PortRange.parse("tcp/80:8080"),)
AUTO = AddressRequest(None, pool="hk")
CHOSEN = IPv4Address("203.0.113.200")


async def until_rules(home: Home, *expected: object) -> None:
    await until(lambda: home.kernel.rules == set(expected), "the rules are there")


async def test_all_of_it_reaches_the_edge_and_the_kernel(home: Home) -> None:
    home.start(guest(1, replace(ASKED, egress=Egress.PUBLIC, ports=PORTS)))
    async with home.running():
        await until_rules(home, rule_of(PRIVATE, egress=Egress.PUBLIC, ports=PORTS, active=True))
        claim = home.edge.claim(str(PUBLIC))
        assert claim is not None
        assert (claim.egress, claim.ports) == ("public", ["tcp/80:8080"])


async def test_an_edit_of_a_running_guest_counts_at_once(home: Home) -> None:
    home.libvirt.running = [guest(1, ASKED)]
    async with home.running():
        await until_rules(home, rule_of(PRIVATE, active=True))
        home.start(guest(1, replace(ASKED, ports=PORTS)))
        await until_rules(home, rule_of(PRIVATE, ports=PORTS, active=True))
        home.start(guest(1, replace(ASKED, mode=Mode.ROUTED)))
        await until_rules(home, rule_of(PRIVATE, mode=Mode.ROUTED, active=True))
        await until(lambda: asked_mode(home) == "routed", "the edge is told")


def asked_mode(home: Home) -> str | None:
    claim = home.edge.claim(str(PUBLIC))
    return claim.mode if claim else None


async def test_a_routed_address_is_forwarded_once_its_rule_is_there(home: Home) -> None:
    home.edge.translated[str(PUBLIC)] = "10.0.0.40"
    home.libvirt.running = [guest(1, replace(ASKED, mode=Mode.ROUTED))]
    expected = rule_of(PRIVATE, mode=Mode.ROUTED, arrives_as=IPv4Address("10.0.0.40"))
    async with home.running():
        await until_rules(home, replace(expected, active=True))
    told = [one for one in home.edge.events if "claims" in one or one.startswith("rules")]
    first = told.index(f"rules ['{PRIVATE}']")
    assert told[:first].count("PUT /v1/claims") == 1
    assert told[first:].count("PUT /v1/claims") == 1


async def test_an_auto_gets_the_address_that_the_edge_chose(home: Home) -> None:
    home.libvirt.running = [guest(1, AUTO)]
    async with home.running() as agent:
        await until_rules(home, rule_of(PRIVATE, public=CHOSEN, active=True))
        [row] = (await agent.status()).mappings
        assert (row.asked, row.public, row.state) == (
            *("auto/hk/0", str(CHOSEN)),
            MappingState.ACTIVE,
        )
        home.start()
        await until(lambda: not home.edge.claims)
        home.start(guest(1, AUTO))
        await until_rules(home, rule_of(PRIVATE, public=CHOSEN, active=True))


async def test_a_pool_without_an_address_is_told_and_left_alone(home: Home) -> None:
    home.edge.pools["hk"] = []
    home.libvirt.running = [guest(1, AUTO)]
    async with home.running() as agent:
        await until(lambda: agent.passes.said.answers)
        await another_pass(agent)
        [row] = (await agent.status()).mappings
        assert (row.public, row.state) == (None, MappingState.REFUSED)
        assert row.reason == "pool hk has no address left"
        assert home.kernel.plane is None


async def test_the_pools_that_the_edge_tells_of_are_in_the_plane(home: Home) -> None:
    home.libvirt.running = [guest(1, ASKED)]
    async with home.running():
        await until_rules(home, rule_of(PRIVATE, active=True))
        assert home.kernel.plane is not None
        chosen = AddressRange(CHOSEN, CHOSEN)
        assert home.kernel.plane.pools == (chosen, AddressRange.parse(str(CHOSEN + 1)))


async def remembering(home: Home, tmp_path: Path) -> None:
    """The agent of a guest with an ``auto`` and its own connections through it has ended."""
    home.places = Places(tmp_path, tmp_path, tmp_path)
    home.libvirt.running = [guest(1, replace(AUTO, egress=Egress.PUBLIC, mode=Mode.ROUTED))]
    async with home.running():
        await until(lambda: [one.active for one in home.kernel.rules] == [True])


async def test_a_restart_of_the_agent_leaves_the_rules_as_they_are_also_without_an_edge(
    home: Home, tmp_path: Path
) -> None:
    await remembering(home, tmp_path)
    before, applied = home.kernel.plane, home.kernel.applied
    home.way.down = True
    async with home.running() as agent:
        await until(lambda: home.kernel.applied > applied)
        await another_pass(agent)
        assert home.kernel.plane == before
        assert [row.guest for row in (await agent.status()).mappings] == ["web1"]
        await home.bring_back()
        agent.link.poke()
        await until(lambda: agent.client.ready and not agent.client.list_due)
        assert home.kernel.plane == before
    claims = [claim.private for _, claim in home.edge.claims.values()]
    assert claims == [str(PRIVATE)]


async def test_what_another_edge_said_does_not_count(home: Home, tmp_path: Path) -> None:
    await remembering(home, tmp_path)
    home.credential = msgspec.structs.replace(home.credential, edge="e2")
    home.way.down = True
    async with home.running() as agent:
        await until(lambda: agent.passes.decisions.desired)
        await another_pass(agent)
        assert agent.passes.said.answers == {}
        assert [one.active for one in home.kernel.rules] == []


async def test_a_guest_that_left_while_no_agent_ran_is_shown_by_its_name(
    home: Home, tmp_path: Path
) -> None:
    await remembering(home, tmp_path)
    home.libvirt.running = []
    home.way.down = True
    async with home.running() as agent:
        await until(lambda: agent.observer.known)
        [row] = (await agent.status()).mappings
        assert (row.guest, row.uuid, row.public) == ("web1", str(uuid(1)), str(CHOSEN))
        assert row.reason.startswith("waits for the edge to let go of it")

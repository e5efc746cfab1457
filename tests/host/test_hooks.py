"""Libvirt's hook: who may start, who not and why, and that libvirt is never asked."""

import asyncio
from pathlib import Path

import pytest

from tests.host.making import PRIVATE, PUBLIC, guest, uuid
from tests.host.standins import Home, another_pass, until
from zthook.annotation.document import MAX_BYTES
from zthook.config.places import Places
from zthook.host import starts
from zthook.host.hook_socket import HookAnswer, HookCall
from zthook.model.publication import AddressRequest
from zthook.wire.messages import ClaimMessage


def xml(number: int = 1, address: str = f'public="{PUBLIC}" required="yes"') -> bytes:
    return f"""
    <domain type="kvm">
      <name>web{number}</name>
      <uuid>{uuid(number)}</uuid>
      <metadata>
        <zthook:publish xmlns:zthook="urn:zthook:1">
          <zthook:address {address}/>
        </zthook:publish>
      </metadata>
      <devices>
        <interface type="network">
          <mac address="52:54:00:aa:00:{number:02x}"/>
          <source network="default"/>
        </interface>
      </devices>
    </domain>
    """.encode()


def call(operation: str = "prepare", number: int = 1, content: bytes | None = None) -> HookCall:
    return HookCall(f"web{number}", operation, "begin", "-", content or xml(number))


ALLOWED = HookAnswer(allow=True)


async def test_a_required_guest_starts_once_its_address_is_reserved(home: Home) -> None:
    async with home.running() as agent:
        assert await agent.hooks(call()) == ALLOWED
        assert home.edge.state(str(PUBLIC)) == ("home1", None)


async def test_a_required_guest_whose_xml_can_not_be_read_is_refused(home: Home) -> None:
    huge = xml() + b"<!--" + b"x" * MAX_BYTES + b"-->"
    async with home.running() as agent:
        refused = await agent.hooks(call(content=huge))
        assert not refused.allow
        assert "its XML can not be read: line 1: " in refused.reason
        assert await agent.hooks(call("started", content=huge)) == ALLOWED


async def test_a_reservation_outlives_the_passes_until_the_guest_runs(home: Home) -> None:
    async with home.running() as agent:
        assert await agent.hooks(call()) == ALLOWED
        await another_pass(agent)
        assert home.edge.state(str(PUBLIC)) == ("home1", None)
        home.start(guest(1, AddressRequest(PUBLIC, required=True)))
        await until(lambda: home.edge.state(str(PUBLIC)) == ("home1", str(PRIVATE)))
        home.start()
        await until(lambda: home.edge.state(str(PUBLIC)) is None)


@pytest.mark.parametrize("operation", ["stopped", "release"])
async def test_a_guest_that_stops_while_it_is_reserved_gives_the_address_back(
    home: Home, operation: str
) -> None:
    async with home.running() as agent:
        await agent.hooks(call())
        assert await agent.hooks(call(operation)) == ALLOWED
        await until(lambda: home.edge.state(str(PUBLIC)) is None)


async def test_held_by_another_guest_is_refused_with_its_name(home: Home) -> None:
    home.edge.hold_elsewhere(str(PUBLIC), str(uuid(9)))
    async with home.running() as agent:
        answer = await agent.hooks(call())
        assert answer == HookAnswer(allow=False, reason=f"{PUBLIC} is held by guest db1 on home2")
        await until(lambda: ("home1", str(uuid(1)), str(PUBLIC)) not in home.edge.claims)


async def test_held_by_this_same_guest_elsewhere_counts(home: Home) -> None:
    home.edge.hold_elsewhere(str(PUBLIC), str(uuid(1)))
    async with home.running() as agent:
        assert await agent.hooks(call()) == ALLOWED


async def test_who_migrates_here_asks_and_claims_nothing_until_it_runs(home: Home) -> None:
    home.edge.hold_elsewhere(str(PUBLIC), str(uuid(1)))
    async with home.running() as agent:
        assert await agent.hooks(call("migrate")) == ALLOWED
        assert await agent.hooks(call()) == ALLOWED
        await until(lambda: ("home1", str(uuid(1)), str(PUBLIC)) not in home.edge.claims)


async def test_with_the_edge_away_it_is_refused_and_told_since_when(home: Home) -> None:
    home.way.down = True
    async with home.running() as agent:
        await until(lambda: agent.client.pulse.health.up is False)
        answer = await agent.hooks(call())
        assert not answer.allow
        assert answer.reason.startswith("the edge is not reached since ")
        assert "connection refused" in answer.reason
        await home.bring_back()
        assert await agent.hooks(call()) == ALLOWED


async def test_a_guest_refused_for_want_of_the_edge_is_started_when_it_is_reached(
    home: Home,
) -> None:
    home.way.down = True
    async with home.running() as agent:
        await until(lambda: agent.client.pulse.health.up is False)
        assert not (await agent.hooks(call())).allow
        assert not (await agent.hooks(call(number=2))).allow
        await home.bring_back()
        assert (await agent.hooks(call(number=3, content=xml(3, 'public="203.0.113.30"')))).allow
        await until(lambda: sorted(home.started) == [uuid(1), uuid(2)])
        await another_pass(agent)
        assert len(home.started) == 2


@pytest.mark.parametrize("libvirt_is_late", [False, True])
async def test_a_guest_whose_hook_gave_up_before_there_was_an_agent_is_started(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libvirt_is_late: bool
) -> None:
    monkeypatch.setattr(starts, "SEARCH_SECONDS", 0.05)
    home.places = Places(tmp_path, tmp_path, tmp_path)
    home.kept_off = [uuid(1), uuid(2)]
    home.way.down = True
    home.libvirt.down = libvirt_is_late
    home.start(guest(3, AddressRequest(PUBLIC)))
    async with home.running() as agent:
        await until(lambda: agent.client.pulse.health.up is False)
        assert home.searches == 0
        await home.bring_back()
        await until(lambda: home.searches > libvirt_is_late)
        home.libvirt.down = False
        home.hint()
        await until(lambda: home.started == [uuid(1), uuid(2)])
        await until(home.places.told.exists)
    # Whoever is off now was put off by somebody.
    searches = home.searches
    async with home.running() as agent:
        await until(lambda: agent.client.ready)
        await another_pass(agent)
        assert home.searches == searches


async def test_a_guest_refused_for_another_reason_is_not_started(home: Home) -> None:
    home.edge.hold_elsewhere(str(PUBLIC), str(uuid(9)))
    async with home.running() as agent:
        assert not (await agent.hooks(call())).allow
        home.way.down = True
        home.edge.news.set()
        await until(lambda: agent.client.pulse.health.up is False)
        await home.bring_back()
        await until(lambda: agent.client.ready)
        assert home.started == []


async def test_a_hung_edge_is_given_up_within_the_hooks_time(home: Home) -> None:
    home.way.hung = True
    async with home.running() as agent:
        answer = await asyncio.wait_for(agent.hooks(call()), home.settings.required_seconds)
        assert answer.reason == "the edge is not reached: no answer within 0.9 s"


async def test_a_wrong_required_annotation_is_refused_with_its_problem(home: Home) -> None:
    wrong = xml(1, 'public="203.0.113.999" required="yes"')
    async with home.running() as agent:
        answer = await agent.hooks(call(content=wrong))
        assert not answer.allow
        assert "203.0.113.999" in answer.reason
        assert "line 7" in answer.reason
    assert "POST /v1/claims" not in home.edge.events


@pytest.mark.parametrize(
    ("operation", "content"),
    [
        ("prepare", xml(1, f'public="{PUBLIC}"')),
        ("prepare", xml(1, 'public="nonsense"')),
        ("prepare", b"this is not XML"),
        ("started", xml(1)),
        ("reconnect", xml(1)),
        ("stopped", b"this is not XML"),
        ("migrate", xml(1)),
    ],
)
async def test_nothing_else_is_ever_refused_or_waits_for_the_edge(
    home: Home, operation: str, content: bytes
) -> None:
    home.way.hung = True
    async with home.running() as agent:
        async with asyncio.timeout(0.5):
            assert (await agent.hooks(call(operation, content=content))).allow


async def test_fifty_required_guests_start_at_once_while_libvirt_is_hung(home: Home) -> None:
    home.libvirt.hung = True
    addresses = {number: f'public="203.0.113.{number}" required="yes"' for number in range(1, 51)}
    async with home.running() as agent:
        answers = await asyncio.gather(
            *(agent.hooks(call(number=n, content=xml(n, one))) for n, one in addresses.items())
        )
        assert [answer.reason for answer in answers if not answer.allow] == []
        assert len(home.edge.holders) == 50
        home.libvirt.hung = False


async def test_a_list_on_its_way_does_not_undo_a_reservation(home: Home) -> None:
    """The list waits for its turn with what it composes then, not with what it saw before."""
    async with home.running() as agent:
        await until(lambda: agent.client.ready)
        agent.client.list_due = True
        answer, _ = await asyncio.gather(agent.hooks(call()), another_pass(agent))
        assert answer == ALLOWED
        assert home.edge.state(str(PUBLIC)) == ("home1", None)


async def test_what_is_left_of_a_reservation_that_came_to_nothing_goes_with_the_next_pass(
    home: Home,
) -> None:
    """Though no list of ours ever had it, so that the list is the same as before."""
    claim = ClaimMessage(guest=str(uuid(1)), name="web1", public=str(PUBLIC))
    async with home.running() as agent:
        await until(lambda: agent.client.ready and not agent.client.list_due)
        await agent.client.reserve([claim])
        assert home.edge.state(str(PUBLIC)) == ("home1", None)
        await another_pass(agent)
        assert home.edge.state(str(PUBLIC)) is None

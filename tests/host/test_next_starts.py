"""What `virsh edit` changed: shown, and read only where libvirt says so."""

from dataclasses import replace

import pytest

from tests.host.making import OTHER_PUBLIC, PRIVATE, PUBLIC, domain, guest, uuid
from tests.host.standins import Home, another_pass, until
from zthook.host import next_starts
from zthook.host.agent import Agent
from zthook.host.next_starts import says_another
from zthook.hypervisor.contract import Happened
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest, Client, Problem

ASKED, ANOTHER = AddressRequest(PUBLIC), AddressRequest(OTHER_PUBLIC)
HIDDEN = replace(ASKED, client=Client.HIDE)
WEB1 = guest(1, ASKED)


async def shown(agent: Agent) -> list[tuple[str | None, str, str]]:
    """Each row as public address, state, reason."""
    return [(row.public, row.state, row.reason) for row in (await agent.status()).mappings]


async def until_shown(agent: Agent, *expected: tuple[str | None, str, str]) -> None:
    found: list[object] = []

    async def look() -> bool:
        found[:] = await shown(agent)
        return found == list(expected)

    for _ in range(500):
        if await look():
            return
        await another_pass(agent)
    raise AssertionError(f"{found} is not {expected}")


ACTIVE = (str(PUBLIC), "active", "")
DIFFERS = (
    str(PUBLIC),
    "active",
    "differs from the next start's: zthook apply web1 makes that count now",
)
LATER = (
    str(OTHER_PUBLIC),
    "pending",
    "waits for the guest's next start: zthook apply web1 makes it count now",
)


async def test_an_edit_of_the_definition_is_shown_and_changes_nothing(home: Home) -> None:
    home.libvirt.defined = {uuid(1): domain(1, ASKED)}
    home.start(WEB1)
    async with home.running() as agent:
        await until_shown(agent, ACTIVE)
        home.libvirt.defined = {uuid(1): domain(1, HIDDEN, ANOTHER)}
        home.tell(uuid(1), Happened.DEFINED)
        await until_shown(agent, DIFFERS, LATER)
        assert [row.differs for row in (await agent.status()).mappings] == [True, True]
        assert home.edge.state(str(PUBLIC)) == ("home1", str(PRIVATE))
        assert home.edge.claim(str(OTHER_PUBLIC)) is None
        home.start(guest(1, HIDDEN, ANOTHER))  # as zthook apply does
        await until_shown(agent, ACTIVE, (str(OTHER_PUBLIC), "active", ""))


async def test_an_annotation_that_only_the_definition_has_is_shown(home: Home) -> None:
    home.libvirt.defined = {uuid(1): domain(1, ANOTHER)}
    home.start(guest(1))
    async with home.running() as agent:
        await until_shown(agent, LATER)
        [row] = (await agent.status()).mappings
        assert (row.guest, row.guest_state, row.mode) == ("web1", "running", "nat")


async def test_an_annotation_that_was_removed_or_broken_there_is_shown(home: Home) -> None:
    home.libvirt.defined = {uuid(1): domain(1)}
    home.start(WEB1)
    async with home.running() as agent:
        await until_shown(agent, DIFFERS)
        wrong = (Problem(4, "public is 'x'", "write an address"),)
        home.libvirt.defined = {uuid(1): domain(1, problems=wrong)}
        home.tell(uuid(1), Happened.DEFINED)
        why = "the annotation is wrong from the next start on: line 4: public is 'x'; "
        await until_shown(agent, (None, MappingState.REFUSED, f"{why}write an address"), DIFFERS)


async def test_a_definition_is_read_when_the_guest_comes_and_when_it_changes(home: Home) -> None:
    home.libvirt.defined = {uuid(1): domain(1, ASKED), uuid(2): domain(2)}
    home.start(WEB1, guest(2))
    async with home.running() as agent:
        await until(lambda: sorted(home.libvirt.read) == [uuid(1), uuid(2)])
        for _ in range(3):
            await another_pass(agent)
        assert len(home.libvirt.read) == 2
        home.tell(uuid(1), Happened.DEFINED)
        await until(lambda: home.libvirt.read[2:] == [uuid(1)])
        home.start(WEB1)
        await another_pass(agent)
        home.start(WEB1, guest(2))
        await until(lambda: home.libvirt.read[3:] == [uuid(2)])


async def test_a_lost_word_is_made_up_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_starts, "ALL_SECONDS", 0.0)
    home.libvirt.defined = {uuid(1): domain(1, ASKED)}
    home.start(WEB1)
    async with home.running() as agent:
        await until_shown(agent, ACTIVE)
        home.libvirt.defined = {uuid(1): domain(1, HIDDEN)}
        home.hint()
        await until_shown(agent, DIFFERS)


async def test_a_libvirt_that_hangs_then_delays_no_pass(home: Home) -> None:
    home.libvirt.defined = {uuid(1): domain(1, HIDDEN)}
    home.start(WEB1)
    async with home.running() as agent:
        await until_shown(agent, DIFFERS)
        home.libvirt.hung = True
        home.tell(uuid(1), Happened.DEFINED)
        await another_pass(agent)
        await until_shown(agent, DIFFERS)
        home.libvirt.hung = False


def test_where_in_the_xml_it_stands_does_not_matter() -> None:
    one = domain(1, replace(ASKED, line=3), problems=())
    assert not says_another(one, domain(1, replace(ASKED, line=9)))
    assert says_another(one, domain(1, HIDDEN))
    wrong = [domain(1, problems=(Problem(line, "x", "y"),)) for line in (3, 9)]
    assert not says_another(*wrong)

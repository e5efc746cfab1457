"""One agent speaks for a host: which one, and how a second is found out."""

import pytest

from tests.edge.world import Agent, Edge, address_of
from zthook.errors import StaleSession, TwoAgents

PUBLIC, PRIVATE = "203.0.113.10", "192.168.122.50"
ELSEWHERE = address_of("home9")


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
def agent(edge: Edge) -> Agent:
    """home1's, with a mapping."""
    agent = edge.host("home1")
    assert agent.claim(1, PUBLIC, PRIVATE).state == "active"
    return agent


def fault(edge: Edge) -> str:
    return next(host.fault for host in edge.service.hosts() if host.name == "home1")


def test_an_agent_that_restarts_takes_over_and_keeps_what_it_claims(agent: Agent) -> None:
    epoch = agent.last_heard[0].epoch
    agent.restart("second")
    assert agent.list().mappings[0].epoch == epoch


def test_the_one_before_hears_at_once_that_it_is_fenced_off(edge: Edge, agent: Agent) -> None:
    session, heard = agent.session, edge.service.generation("home1", agent.session)
    agent.restart("second")
    assert edge.service.generation("home1", agent.session) > heard
    with pytest.raises(StaleSession):
        edge.service.generation("home1", session)


def test_one_that_was_superseded_and_comes_back_is_named(edge: Edge, agent: Agent) -> None:
    agent.restart("second")
    agent.instance = "first"
    with pytest.raises(TwoAgents) as caught:
        agent.open()
    assert fault(edge) == caught.value.message


def test_a_copy_of_the_credential_on_another_machine_takes_nothing_away(
    edge: Edge, agent: Agent
) -> None:
    copy = Agent(edge, "home1", ELSEWHERE, instance="copy")
    with pytest.raises(TwoAgents) as caught:
        copy.open()
    said = f"{address_of('home1')}, which is the valid one, and one at {ELSEWHERE}"
    assert said in caught.value.message
    assert agent.heartbeat().fault == caught.value.message
    assert [row.state for row in edge.service.mappings()] == ["active"]


def test_the_fault_is_forgotten_a_lease_after_it_was_seen_last(edge: Edge, agent: Agent) -> None:
    with pytest.raises(TwoAgents):
        Agent(edge, "home1", ELSEWHERE, instance="copy").open()
    edge.advance(59)
    assert agent.heartbeat().fault != ""
    edge.advance(2)
    assert (agent.heartbeat().fault, fault(edge)) == ("", "")


def test_a_machine_that_replaces_a_silent_one_speaks_for_the_host(edge: Edge, agent: Agent) -> None:
    edge.advance(61)
    Agent(edge, "home1", ELSEWHERE, instance="spare").open()
    assert fault(edge) == ""


def test_a_new_enrolment_speaks_from_wherever_it_is(edge: Edge, agent: Agent) -> None:
    invitation = edge.service.add_host("home1")
    edge.service.enrol(invitation.secret, "spare")
    Agent(edge, "home1", ELSEWHERE, instance="spare").open()
    assert fault(edge) == ""


def test_an_agent_whose_address_moves_stays_the_one(edge: Edge, agent: Agent) -> None:
    agent.source = ELSEWHERE
    agent.heartbeat()
    agent.restart("second")
    assert fault(edge) == ""

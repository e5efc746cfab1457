"""One agent speaks for a host: which one, and how a second is found out."""

import pytest

from tests.edge.world import Agent, Edge, address_of
from zthook.edge.contacts import MOST_OPENED
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
    session = agent.session
    agent.restart("second")
    edge.service.generation("home1", session)
    edge.woken.clear()
    agent.heartbeat()
    assert edge.woken == ["home1"]
    with pytest.raises(StaleSession):
        edge.service.generation("home1", session)


def test_whose_request_for_a_session_comes_late_takes_nothing(edge: Edge, agent: Agent) -> None:
    """It was sent by an agent that has ended since, and nobody reads the answer."""
    agent.restart("second")
    agent.list()
    ended = Agent(edge, "home1", agent.source, instance="between")
    ended.open()
    assert agent.list().mappings[0].state == "active"
    assert agent.heartbeat().fault == fault(edge) == ""
    agent.open()
    agent.list()
    assert fault(edge) == ""


def test_but_if_it_speaks_there_are_two(edge: Edge, agent: Agent) -> None:
    other = Agent(edge, "home1", agent.source, instance="other")
    other.open()
    assert agent.heartbeat().fault == ""
    other.heartbeat()
    with pytest.raises(StaleSession):
        agent.heartbeat()
    with pytest.raises(TwoAgents):
        agent.open()
    assert "two agents" in fault(edge)


def test_what_was_opened_before_the_valid_session_is_over(edge: Edge, agent: Agent) -> None:
    late = Agent(edge, "home1", agent.source, instance="late")
    late.open()
    agent.restart("second")
    agent.list()
    with pytest.raises(StaleSession):
        late.list()


def test_news_are_waited_for_in_a_session_before_anything_is_said_in_it(
    edge: Edge, agent: Agent
) -> None:
    heard = agent.open().generation
    assert edge.service.generation("home1", agent.session) == heard


def test_one_in_which_nobody_spoke_ends_with_the_edges_daemon(edge: Edge, agent: Agent) -> None:
    agent.restart("second")
    edge.boot()
    with pytest.raises(StaleSession):
        agent.list()
    agent.open()
    assert agent.list().mappings[0].state == "active"


def test_only_so_many_are_kept(edge: Edge, agent: Agent) -> None:
    first = Agent(edge, "home1", agent.source, instance="first of many")
    first.open()
    for number in range(MOST_OPENED):
        agent.restart(f"agent {number}")
    with pytest.raises(StaleSession):
        first.heartbeat()
    agent.heartbeat()


def test_one_that_was_superseded_and_comes_back_is_named(edge: Edge, agent: Agent) -> None:
    agent.restart("second")
    agent.heartbeat()
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

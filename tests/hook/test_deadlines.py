"""The hook and an agent that is alive, hung, dead, absent, full, dribbling.

That it came back while the agent still hung is the proof that it does not wait for it; the
bounds on time are the promise (200 ms) with much room for a busy machine.
"""

import concurrent.futures
import contextlib
import socket

import pytest

from tests.hook import fake_agent
from tests.hook.conftest import ANNOTATED, REQUIRED, InstalledHook, guest_xml
from tests.hook.fake_agent import Behaviour, FakeAgent

OPERATIONS = [
    "prepare",
    "start",
    "started",
    "stopped",
    "release",
    "migrate",
    "restore",
    "reconnect",
    "attach",
]
AT_ONCE = 1.5  # seconds
HANGING: list[Behaviour] = [
    fake_agent.hangs_before_reading,
    fake_agent.hangs_after_reading,
    fake_agent.dribbles,
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_agent_alive_is_told_every_operation(hook: InstalledHook, operation: str) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent:
        assert hook(operation, ANNOTATED).harmless
        (call,) = agent.wait_calls(1)
    assert call.head == ("zthook-hook 1", "web1", operation, "begin", "-")
    assert call.xml.strip() == ANNOTATED.strip()


@pytest.mark.parametrize("behaviour", HANGING)
@pytest.mark.parametrize(
    ("operation", "xml"),
    [("prepare", ANNOTATED), ("stopped", ANNOTATED), ("stopped", REQUIRED)],
    ids=["prepare", "stopped", "stopped-required"],
)
def test_a_hung_agent_holds_no_guest_up(
    hook: InstalledHook, behaviour: Behaviour, operation: str, xml: bytes
) -> None:
    with FakeAgent(hook.socket, behaviour).running() as agent:
        outcome = hook(operation, xml)
        assert not agent.released.is_set()
    assert outcome.harmless
    assert outcome.seconds < AT_ONCE


def test_where_nothing_is_required_libvirt_does_not_wait_for_the_answer(
    hook: InstalledHook,
) -> None:
    """The agent answers once the hook has ended, and is heard."""
    with FakeAgent(hook.socket, fake_agent.answers_when_released).running() as agent:
        assert hook("start", ANNOTATED).harmless
        agent.released.set()
        assert len(agent.wait_calls(1)) == 1


def test_what_tells_a_hung_agent_in_the_background_ends_by_itself(hook: InstalledHook) -> None:
    with FakeAgent(hook.socket, fake_agent.notes_who_hangs_up).running() as agent:
        assert hook("start", ANNOTATED).harmless
        assert len(agent.wait_calls(1)) == 1
        assert not agent.released.is_set()


def test_a_hung_agent_holds_no_guest_up_with_more_xml_than_a_socket_takes(
    hook: InstalledHook,
) -> None:
    xml = guest_xml('public="203.0.113.10"', rest=f"<!--{'x' * 10_000_000}-->")
    with FakeAgent(hook.socket, fake_agent.hangs_before_reading).running() as agent:
        outcome = hook("start", xml)
        assert not agent.released.is_set()
    assert outcome.harmless
    assert outcome.seconds < 2 * AT_ONCE  # 10 MB go through shell and Python


@pytest.mark.parametrize("xml", [ANNOTATED, REQUIRED])
def test_a_full_backlog_is_given_up(hook: InstalledHook, xml: bytes) -> None:
    full = FakeAgent(hook.socket, fake_agent.answers(b"0"), backlog=0)
    with full.running(accepting=False), socket.socket(socket.AF_UNIX) as only:
        only.connect(str(hook.socket))
        with socket.socket(socket.AF_UNIX) as one_more, contextlib.suppress(BlockingIOError):
            one_more.settimeout(0)
            one_more.connect(str(hook.socket))
            pytest.fail("the backlog is not full")
        outcome = hook("prepare", xml)
        assert not full.released.is_set()
    assert outcome.status == (1 if xml is REQUIRED else 0)
    assert outcome.seconds < (3 if xml is REQUIRED else AT_ONCE)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_absent_agent_is_nothing_to_a_guest(hook: InstalledHook, operation: str) -> None:
    assert hook(operation, ANNOTATED).harmless


def test_a_dead_agent_is_nothing_to_a_guest(hook: InstalledHook) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(hook.socket))
    assert hook("prepare", ANNOTATED).harmless


@pytest.mark.parametrize("answer", [b"", b"1no", b"\xff\xfe", b"2", b"1" + b"x" * 200_000])
def test_no_answer_stops_a_guest_that_did_not_say_required(
    hook: InstalledHook, answer: bytes
) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(answer)).running():
        assert hook("prepare", ANNOTATED).harmless


def test_many_hooks_at_once_all_get_through(hook: InstalledHook) -> None:
    guests = {f"guest{number}" for number in range(40)}
    with (
        FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent,
        concurrent.futures.ThreadPoolExecutor(20) as pool,
    ):
        outcomes = list(pool.map(lambda name: hook("start", ANNOTATED, guest=name), guests))
        agent.wait_calls(len(guests))
    assert all(outcome.harmless for outcome in outcomes)
    assert {call.head[1] for call in agent.calls} == guests

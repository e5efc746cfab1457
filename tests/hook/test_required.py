"""Guests that may not start without their address: who they are, and what they are told."""

from collections.abc import Callable

import pytest

from tests.hook import fake_agent
from tests.hook.conftest import ANNOTATED, GUEST, REQUIRED, InstalledHook, guest_xml
from tests.hook.fake_agent import Behaviour, FakeAgent


def test_it_starts_where_the_agent_allows_it(hook: InstalledHook) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running():
        assert hook("prepare", REQUIRED).harmless


@pytest.mark.parametrize(
    "behaviour", [fake_agent.answers, fake_agent.answers_early], ids=["reads", "reads nothing"]
)
def test_a_refusal_says_which_guest_which_address_and_why(
    hook: InstalledHook, behaviour: Callable[[bytes], Behaviour]
) -> None:
    reason = "203.0.113.10 is held by db1 on home2 (Zürich): release it there".encode()
    xml = guest_xml('public="203.0.113.10" required="yes"', rest=f"<!--{'x' * 1_000_000}-->")
    with FakeAgent(hook.socket, behaviour(b"1" + reason)).running():
        outcome = hook("prepare", xml)
    assert outcome.status == 1
    assert outcome.stdout == b""
    assert outcome.stderr == (
        "zthook: guest web1 may not start without 203.0.113.10 "
        f'(required="yes"): {reason.decode()}. To start it anyway, say required="no" in its '
        "annotation (virsh edit web1).\n"
    )


def test_without_an_agent_it_is_refused_and_told_to_start_one(hook: InstalledHook) -> None:
    outcome = hook("prepare", REQUIRED)
    assert outcome.status == 1
    assert "no agent answers" in outcome.stderr
    assert "start `zthook agent`" in outcome.stderr


@pytest.mark.parametrize(
    "behaviour",
    [
        fake_agent.hangs_before_reading,
        fake_agent.hangs_after_reading,
        fake_agent.dribbles,
    ],
)
def test_it_waits_as_long_as_the_marker_line_says(
    hook: InstalledHook, behaviour: Behaviour
) -> None:
    with FakeAgent(hook.socket, behaviour).running() as agent:
        outcome = hook("prepare", REQUIRED)
        assert not agent.released.is_set()
    assert outcome.status == 1
    assert "did not answer within 1.5 s" in outcome.stderr
    assert 1.5 <= outcome.seconds < 4


def test_closing_without_an_answer_is_no_permission(hook: InstalledHook) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"")).running():
        outcome = hook("prepare", REQUIRED)
    assert outcome.status == 1
    assert "closed the connection before it answered" in outcome.stderr


@pytest.mark.parametrize(
    ("operation", "suboperation"),
    [
        ("prepare", "end"),
        ("start", "begin"),
        ("started", "begin"),
        ("stopped", "end"),
        ("release", "end"),
        ("migrate", "begin"),
        ("restore", "begin"),
        ("reconnect", "begin"),
        ("attach", "begin"),
    ],
)
def test_only_prepare_decides(hook: InstalledHook, operation: str, suboperation: str) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"1no")).running():
        assert hook(operation, REQUIRED, suboperation=suboperation).harmless
    assert hook(operation, REQUIRED, suboperation=suboperation).harmless


NOT_REQUIRED = {
    "said no": guest_xml('public="203.0.113.10" required="no"'),
    "in a comment": guest_xml('public="203.0.113.10"', rest='<!-- required="yes" -->'),
    "in the guest's title": ANNOTATED.replace(b"</name>", b"</name><title>required</title>"),
    "on another element of ours": guest_xml(
        'public="203.0.113.10"', rest='<zthook:port required="yes"/>'
    ),
    "in another namespace": ANNOTATED.replace(
        b"</metadata>", b'<z:address required="yes"/></metadata>'
    ),
    "an attribute of another namespace": guest_xml(
        'public="203.0.113.10" xmlns:z="urn:other" z:required="yes"'
    ),
    "our namespace in text only": GUEST % b'urn:zthook:1 <z:address required="yes"/>',
}


@pytest.mark.parametrize("xml", NOT_REQUIRED.values(), ids=NOT_REQUIRED)
def test_not_required_is_what_only_looks_like_it(hook: InstalledHook, xml: bytes) -> None:
    assert hook("prepare", xml).harmless


REQUIRED_ALL_THE_SAME = {
    "no public address": guest_xml('required="yes"'),
    "not an address": guest_xml('public="nonsense" required="yes"'),
    "unknown attribute": guest_xml('publik="203.0.113.10" required="yes"'),
    "the second one": guest_xml('public="203.0.113.10"', 'public="203.0.113.11" required="yes"'),
    "a default namespace": GUEST
    % b'<publish xmlns="urn:zthook:1"><address public="203.0.113.10" required=\'yes\'/></publish>',
    "nothing around it": GUEST % b'<a:address xmlns:a="urn:zthook:1" required="yes"/>',
    "XML that breaks off": REQUIRED[:-20],
}


@pytest.mark.parametrize("xml", REQUIRED_ALL_THE_SAME.values(), ids=REQUIRED_ALL_THE_SAME)
def test_a_wrong_annotation_that_says_required_counts(hook: InstalledHook, xml: bytes) -> None:
    outcome = hook("prepare", xml)
    assert outcome.status == 1
    assert "web1" in outcome.stderr


def test_every_required_address_is_named_and_no_other(hook: InstalledHook) -> None:
    outcome = hook(
        "prepare",
        guest_xml(
            'public="203.0.113.10" required="yes"',
            'public="203.0.113.11"',
            'public="203.0.113.12" required="yes"',
        ),
    )
    assert "without 203.0.113.10, 203.0.113.12 (" in outcome.stderr


def test_without_python_only_a_required_guest_stays_down(
    hook: InstalledHook, without_python: dict[str, str]
) -> None:
    assert hook("prepare", ANNOTATED, environment=without_python).status == 0
    assert hook("started", REQUIRED, environment=without_python).status == 0
    outcome = hook("prepare", REQUIRED, environment=without_python)
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "Install python3" in outcome.stderr

"""How checks are gone through: in order, each with its deadline, and what they come to."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from zthook.doctor.edge_walk import EDGE
from zthook.doctor.finding import Check, Finding, Outcome, Told, fail, ok, skipped, warn
from zthook.doctor.host_walk import host_checks
from zthook.doctor.verdict import ALIVE_WITHOUT, DECIDES, verdict
from zthook.doctor.walk import AS_ROOT, is_well, walk
from zthook.errors import KernelError, OverlayDown


def raising(error: BaseException) -> Callable[[object], Finding]:
    def look(_case: object) -> Finding:
        raise error

    return look


def told(*checks: Check[object]) -> list[tuple[str, Outcome]]:
    return [(one.check, one.outcome) for one in walk(checks, object())]


def test_what_needs_a_failed_check_is_skipped_and_so_is_what_needs_that() -> None:
    assert told(
        Check("first", lambda _: fail("it is broken", "mend it")),
        Check("second", lambda _: ok("fine"), ("first",)),
        Check("third", lambda _: ok("fine"), ("second",)),
        Check("other", lambda _: ok("fine")),
    ) == [
        ("first", Outcome.FAIL),
        ("second", Outcome.SKIPPED),
        ("third", Outcome.SKIPPED),
        ("other", Outcome.OK),
    ]


def test_what_needs_a_warned_of_check_is_looked_at() -> None:
    checks = (
        Check("first", lambda _: warn("odd", "look")),
        Check("second", lambda _: ok("fine"), ("first",)),
    )
    assert told(*checks) == [("first", Outcome.WARN), ("second", Outcome.OK)]


def test_what_hangs_has_failed_and_the_next_has_its_turn() -> None:
    end = threading.Event()

    def hang(_case: object) -> Finding:
        end.wait(20)
        return ok("at last")

    began = time.monotonic()
    first, second = walk(
        (Check("hung", hang, seconds=0.05, late="restart it"), Check("next", lambda _: ok("fine"))),
        object(),
    )
    assert time.monotonic() - began < 10
    end.set()
    assert first == Told("hung", Outcome.FAIL, "no answer within 0.05 s", "restart it")
    assert second.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("error", "seen", "next_step"),
    [
        (
            OverlayDown("the device is down", hint="bring it up"),
            "the device is down",
            "bring it up",
        ),
        (KernelError("it refused"), "it refused", "journalctl"),
        (FileNotFoundError(2, "No such file", "/etc/x"), "/etc/x: No such file", "journalctl"),
    ],
)
def test_what_a_look_raises_is_a_failure_in_its_words(
    error: Exception, seen: str, next_step: str
) -> None:
    (found,) = walk((Check("it", raising(error)),), object())
    assert (found.outcome, found.seen) == (Outcome.FAIL, seen)
    assert found.next.startswith(next_step)


def test_who_may_not_look_is_told_to_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (found,) = walk((Check("it", raising(PermissionError(13, "Permission denied"))),), object())
    assert (found.outcome, found.next) == (Outcome.FAIL, AS_ROOT)


def test_a_fault_of_ours_is_no_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        list(walk((Check("it", raising(ZeroDivisionError())),), object()))


def test_warnings_and_what_was_skipped_are_well_and_a_failure_is_not() -> None:
    fine = [Told("a", Outcome.OK, ""), Told("b", Outcome.WARN, ""), Told("c", Outcome.SKIPPED, "")]
    assert is_well(fine)
    assert not is_well([*fine, Told("d", Outcome.FAIL, "")])


PATH, HOOK = Told("path", Outcome.OK, "x"), Told("hook", Outcome.WARN, "libvirtd is older")
AGENT, SIZE = Told("agent", Outcome.FAIL, "it is dead"), Told("packet size", Outcome.FAIL, "lost")
SILENT, UNKNOWN = Told("answer", Outcome.FAIL, "nobody"), Told("mapping", Outcome.SKIPPED, "agent")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([PATH], "web1 is reached, as far as this host can see."),
        ([PATH, HOOK], "web1 should be reached, but look at: hook."),
        ([SIZE, HOOK], "web1 should be reached, but packet size failed: lost."),
        ([AGENT, UNKNOWN], "whether web1 is reached is not known: agent: it is dead."),
        ([AGENT, SILENT], "web1 is not reached as it should be: answer: nobody."),
        ([HOOK, UNKNOWN, SILENT], "web1 is not reached as it should be: answer: nobody."),
    ],
)
def test_the_verdict_is_what_is_known_and_no_more(seen: list[Told], said: str) -> None:
    assert verdict("web1", seen) == said


def test_the_verdict_knows_the_checks_by_their_names() -> None:
    names = {check.name for check in host_checks("web1")}
    assert {DECIDES, *ALIVE_WITHOUT} <= names


@pytest.mark.parametrize("checks", [host_checks("web1"), EDGE])
def test_each_check_needs_only_what_comes_before_it(checks: Sequence[Check[object]]) -> None:
    before: set[str] = set()
    for check in checks:
        assert set(check.needs) <= before
        assert check.name not in before
        before.add(check.name)


def test_a_finding_of_each_kind() -> None:
    kinds = [ok("a"), warn("a", "b"), fail("a", "b"), skipped("a")]
    assert [one.outcome for one in kinds] == ["ok", "warn", "fail", "skipped"]

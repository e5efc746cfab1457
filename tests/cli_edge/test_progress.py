"""Waiting that can be seen, on a terminal and in a log."""

import pytest

from zthook.cli import progress
from zthook.cli.progress import Awaited, wait_visibly

FIRST, SECOND = Awaited("for one"), Awaited("for two", "type it")


class Looks:
    """Answers one after the other, then the last for ever."""

    def __init__(self, *answers: Awaited | None) -> None:
        self.answers = list(answers)

    def __call__(self) -> Awaited | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.001)


def test_in_a_log_each_thing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_visibly(Looks(FIRST, FIRST, SECOND, SECOND, None), seconds=60) is None
    assert capsys.readouterr().out.splitlines() == [
        "waits   for one",
        "waits   for two",
        "        type it",
    ]


def test_in_a_log_it_is_said_again_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "AGAIN_SECONDS", 0.0)
    wait_visibly(Looks(FIRST, FIRST, None), seconds=60)
    assert capsys.readouterr().out.splitlines()[-1] == "waits   for 0 s: for one"


def test_on_a_terminal_the_time_runs_in_place_and_is_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(progress.screen, "width", lambda: 80)
    wait_visibly(Looks(FIRST, FIRST, None), seconds=60)
    out = capsys.readouterr().out
    assert out.count("waits   for one\n") == 1
    assert "\r        0 s of 1 min at most; Ctrl-C ends it\x1b[K" in out
    assert out.endswith("\r\x1b[K")


def test_there_is_an_end_to_it() -> None:
    assert wait_visibly(lambda: SECOND, seconds=0.01) == SECOND


def test_ctrl_c_leaves_the_line_empty(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(progress.screen, "width", lambda: 80)
    monkeypatch.setattr("time.sleep", press)
    with pytest.raises(KeyboardInterrupt):
        wait_visibly(lambda: FIRST, seconds=60)
    assert capsys.readouterr().out.endswith("\r\x1b[K")

"""What every command of zthook keeps to, whoever wrote it."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from zthook.cli import root
from zthook.cli.commands import LazyGroup


def walk(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command below ``group``: its path, and the name of its module."""
    yield path, ""
    for name, (place, _) in sorted(group.table.items()):
        found = group.get_command(click.Context(group), name)
        if isinstance(found, LazyGroup):
            yield from walk(found, (*path, name))
        else:
            yield (*path, name), place


COMMANDS = [path for path, _ in walk(root())]
NAMES = [" ".join(path) or "zthook" for path in COMMANDS]


def resolved(path: tuple[str, ...]) -> tuple[click.Command, click.Context]:
    command: click.Command = root()
    context = click.Context(command, info_name="zthook")
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    return command, context


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from zthook.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES)
def test_help_ends_with_an_example_that_the_command_takes(path: tuple[str, ...]) -> None:
    command, context = resolved(path)
    told = command.get_help(context)
    example = getattr(command, "example", "")
    assert example.startswith(" ".join(("zthook", *path)))
    assert told.rstrip().endswith(example.splitlines()[-1].strip())
    assert "\nExample:\n" in told
    for line in example.splitlines():
        words = shlex.split(line, comments=True)
        _parse(list(_until_pipe(words))[1:])


def _until_pipe(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in {"|", ">", "&&"}:
            return
        yield word


def _parse(words: list[str]) -> None:
    """Have click read the words as it would when they are typed; nothing is run."""
    command: click.Command = root()
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(words[0], list(words), parent=context)
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command = found
    command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES)
def test_the_one_line_help_of_the_group_is_short_and_ends_like_a_sentence(
    path: tuple[str, ...],
) -> None:
    command, _ = resolved(path)
    for _, told in getattr(command, "table", {}).values():
        assert told.endswith(".")
        assert len(told) < 60


@pytest.mark.parametrize("path", COMMANDS, ids=NAMES)
def test_an_unknown_option_is_told_with_what_was_meant(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        _main(*path, "--hepl")
    told = capsys.readouterr().err
    assert left.value.code == 2
    complaint = next(line for line in told.splitlines() if line.startswith("error: "))
    assert "No such option '--hepl'" in complaint
    assert "'--help'" in complaint
    assert f"hint: `{' '.join(('zthook', *path))} --help`" in told


def _main(*arguments: str) -> None:
    from zthook.cli import main

    main(arguments)


@pytest.mark.parametrize(
    ("typed", "meant"), [("stauts", "status"), ("asign", "assign"), ("jion", "join")]
)
def test_an_unknown_command_is_told_with_what_was_meant(typed: str, meant: str) -> None:
    done = run(typed)
    assert done.returncode == 2
    assert f"Did you mean {meant!r}?" in done.stderr
    assert done.stdout == ""


def test_help_imports_no_command_and_nothing_heavy() -> None:
    heavy = ("asyncio", "cryptography", "httpx", "libvirt", "lxml", "msgspec", "pyroute2", "rich")
    script = (
        "import sys\nfrom zthook.cli import main\n"
        "try:\n main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Example:\n  zthook assign web1 203.0.113.10" in done.stdout


def test_version() -> None:
    from zthook import __version__

    assert run("--version").stdout == f"zthook {__version__}\n"


class TestFaults:
    """How an error reaches the user."""

    def fail(self, error: BaseException) -> click.Command:
        @click.command("fail")
        def command() -> None:
            raise error

        return command

    def left(self, error: BaseException) -> int:
        from zthook.cli.faults import guarded

        return guarded(self.fail(error), [])

    def test_an_error_of_ours(self, capsys: pytest.CaptureFixture[str]) -> None:
        from zthook.errors import Refused

        assert self.left(Refused("web1 has it", hint="stop web1")) == 1
        assert capsys.readouterr() == ("", "error: web1 has it\nhint: stop web1\n")

    def test_wrong_configuration_is_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        from zthook.errors import ConfigError

        assert self.left(ConfigError("/etc/zthook/edge.toml:3: no")) == 2
        assert capsys.readouterr().err == "error: /etc/zthook/edge.toml:3: no\n"

    def test_interrupted(self) -> None:
        assert self.left(KeyboardInterrupt()) == 130

    def test_the_systems_no(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.left(PermissionError(13, "Permission denied", "/etc/shadow")) == 1
        assert "error: /etc/shadow: Permission denied" in capsys.readouterr().err

    def test_our_own_fault_is_one_line_and_says_how_to_see_it(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ZTHOOK_DEBUG", raising=False)
        assert self.left(ZeroDivisionError("by zero")) == 70
        told = capsys.readouterr().err
        assert told.splitlines()[0] == "error: unexpected ZeroDivisionError: by zero"
        assert "ZTHOOK_DEBUG=1" in told
        monkeypatch.setenv("ZTHOOK_DEBUG", "1")
        with pytest.raises(ZeroDivisionError):
            self.left(ZeroDivisionError("by zero"))


class TestCompletion:
    def complete(self, *words: str) -> list[str]:
        import os

        environment = os.environ | {
            "_ZTHOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", "from zthook.cli import main; main()"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=environment,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    def test_commands_and_options(self) -> None:
        assert self.complete("zthook", "edge", "st") == ["status"]
        assert self.complete("zthook", "edge", "host", "") == [
            *("add", "approve", "list", "remove", "rotate"),
        ]
        assert "--json" in self.complete("zthook", "edge", "status", "--")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_for_each_shell(self, shell: str, tmp_path: Path) -> None:
        done = run("completion", shell)
        assert done.returncode == 0
        assert "_ZTHOOK_COMPLETE" in done.stdout
        if shell == "bash":
            subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True, timeout=30)

    def test_without_a_shell_it_says_where_to_put_it(self) -> None:
        assert "bash_completion.d" in run("completion").stdout

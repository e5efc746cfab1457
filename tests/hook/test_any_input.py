"""Whatever is thrown at the hook: it exits 0, prints nothing, and starts no more than it needs."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.hook import fake_agent
from tests.hook.conftest import (
    ANNOTATED,
    LIBVIRT_ENVIRONMENT,
    PLAIN,
    REQUIRED,
    SOURCE,
    InstalledHook,
    guest_xml,
)
from tests.hook.fake_agent import FakeAgent
from tests.lab.commands import wait_until


def test_a_guest_without_our_namespace_starts_no_python_and_asks_nobody(
    hook: InstalledHook, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cat").symlink_to("/bin/cat")
    ran = tmp_path / "ran"
    (programs / "python3").write_text(f"#!/bin/sh\necho ran >>{ran}\n")
    (programs / "python3").chmod(0o755)
    assert hook("prepare", PLAIN, environment={"PATH": str(programs)}).harmless
    assert not ran.exists()
    assert hook("prepare", ANNOTATED, environment={"PATH": str(programs)}).harmless
    wait_until(ran.exists, 10, "Python is started")


def test_all_input_is_read_before_it_exits(hook: InstalledHook) -> None:
    with subprocess.Popen(
        hook.command("web1", "start"), stdin=subprocess.PIPE, env=LIBVIRT_ENVIRONMENT
    ) as run:
        assert run.stdin is not None
        run.stdin.write(PLAIN + b" " * 5_000_000)  # BrokenPipeError if it left early
        run.stdin.close()
        assert run.wait(20) == 0


def test_it_works_as_the_one_hook_of_libvirt(tmp_path: Path) -> None:
    """As /etc/libvirt/hooks/qemu, which is a link on some machines."""
    (tmp_path / "qemu").symlink_to(SOURCE)
    run = InstalledHook(tmp_path / "qemu", Path("/run/zthook/hook.sock"))
    assert run("start", PLAIN).harmless
    assert run("stopped", ANNOTATED).harmless


GARBAGE = {
    "nothing": b"",
    "no newline at the end": ANNOTATED.rstrip(),
    "zeros": b"\0" * 1000 + b"urn:zthook:1" + b"\0" * 1000,
    "noise": random.Random(1).randbytes(100_000) + b"urn:zthook:1 required",  # noqa: S311
    "a bomb": b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><d x="urn:zthook:1 required">&c;</d>',
    "shell": ANNOTATED + b"$(touch hurt) `touch hurt` \\ %s 'x' \"",
    "large": guest_xml('public="203.0.113.10"', rest=f"<!-- required {'x' * 10_000_000} -->"),
    "latin-1": b"<?xml version='1.0' encoding='latin-1'?><d a='\xe4 urn:zthook:1 required'/>",
}


@pytest.mark.parametrize("xml", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("operation", ["prepare", "migrate"])
def test_any_input_is_harmless(hook: InstalledHook, xml: bytes, operation: str) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent:
        assert hook(operation, xml).harmless
        expected = 1 if b"urn:zthook:1" in xml else 0
        assert len(agent.wait_calls(expected)) == expected
    if agent.calls and b"\0" not in xml:
        # What a busy machine does not take of 10 MB within the deadline stays untold.
        assert xml.startswith(agent.calls[0].xml.rstrip(b"\n"))
        assert len(xml) > 1_000_000 or len(agent.calls[0].xml) >= len(xml)


@pytest.mark.parametrize(
    "arguments",
    [[], ["web1"], ["web1", "start"], ["a b", "start", "begin"], ["", "", "", "", "", ""]],
)
def test_any_arguments_are_harmless(hook: InstalledHook, arguments: list[str]) -> None:
    done = subprocess.run(
        [hook.path, *arguments],
        input=REQUIRED,
        capture_output=True,
        env=LIBVIRT_ENVIRONMENT,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("name", ["gäst", "a'b\"c", "$(touch hurt)", "-n", "x" * 10_000])
def test_any_guest_name_arrives_as_it_is(hook: InstalledHook, name: str) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent:
        assert hook("start", ANNOTATED, guest=name).harmless
        (call,) = agent.wait_calls(1)
    assert call.head[1] == name


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("xml", [ANNOTATED, REQUIRED], ids=["annotated", "required"])
def test_closed_files_are_harmless(
    hook: InstalledHook, closed: str, xml: bytes, tmp_path: Path
) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running():
        done = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", *hook.command("web1", "prepare")],
            input=xml,
            capture_output=True,
            env=LIBVIRT_ENVIRONMENT,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, b"")


def test_an_empty_environment_is_enough(hook: InstalledHook) -> None:
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent:
        assert hook("start", ANNOTATED, environment={}).harmless
        assert len(agent.wait_calls(1)) == 1


def test_a_python_environment_of_somebody_else_changes_nothing(
    hook: InstalledHook, tmp_path: Path
) -> None:
    (tmp_path / "posix.py").write_text("raise SystemExit(10)")
    (tmp_path / "pyexpat.py").write_text("raise SystemExit(10)")
    hostile = {
        **LIBVIRT_ENVIRONMENT,
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nowhere",
        "PYTHONSTARTUP": "/nowhere",
    }
    with FakeAgent(hook.socket, fake_agent.answers(b"0")).running() as agent:
        assert hook("prepare", REQUIRED, environment=hostile).harmless
        assert len(agent.wait_calls(1)) == 1


@pytest.mark.parametrize("status", [1, 2, 137])
def test_a_broken_python_is_no_refusal(hook: InstalledHook, tmp_path: Path, status: int) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cat").symlink_to("/bin/cat")
    end = "kill -9 $$" if status == 137 else f"exit {status}"
    (programs / "python3").write_text(f"#!/bin/sh\n{end}\n")
    (programs / "python3").chmod(0o755)
    for operation in ("prepare", "start", "reconnect"):
        outcome = hook(operation, ANNOTATED, environment={"PATH": str(programs)})
        assert (outcome.status, outcome.stdout) == (0, b"")


def test_a_blocked_alarm_signal_does_not_hide_the_deadline(hook: InstalledHook) -> None:
    """Masks and ignored signals are inherited."""

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    with FakeAgent(hook.socket, fake_agent.hangs_after_reading).running() as agent:
        done = subprocess.run(
            hook.command("web1", "start"),
            input=ANNOTATED,
            env=LIBVIRT_ENVIRONMENT,
            timeout=20,
            check=False,
            preexec_fn=block,
        )
        assert not agent.released.is_set()
    assert done.returncode == 0


def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", SOURCE], capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a /dev of its own")
@pytest.mark.parametrize("python", [True, False], ids=["hook", "shell half"])
def test_what_goes_wrong_is_in_syslog_with_the_guest_s_name(
    hook: InstalledHook, tmp_path: Path, *, python: bool
) -> None:
    device = tmp_path / "dev"
    device.mkdir()
    os.mknod(device / "null", 0o20666, os.makedev(1, 3))
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("cat", "logger", *(["python3"] if python else [])):
        (programs / program).symlink_to(f"/usr/bin/{program}")
    script = 'mount --bind "$0" /dev && export PATH="$1" && shift && exec "$@"'
    own_dev = ["unshare", "-m", "sh", "-c", script]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(device / "log"))
        journal.settimeout(10)
        done = subprocess.run(
            [*own_dev, device, programs, *hook.command("web1", "started")],
            input=ANNOTATED,
            capture_output=True,
            timeout=20,
            check=False,
        )
        line = journal.recv(4096).decode()
    assert (done.returncode, done.stdout) == (0, b"")
    assert line.startswith("<28>" if python else "<27>")
    assert "guest web1: started" in line
    assert ("no agent answers" if python else "is python3 installed?") in line


def fill(link: socket.socket, queue: Path) -> None:
    """Send until nothing more is taken."""
    link.settimeout(0)
    for _ in range(100_000):
        try:
            link.sendto(b"x", str(queue))
        except BlockingIOError:
            return
    pytest.fail("the queue has no end")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a /dev of its own")
def test_a_full_syslog_holds_no_guest_up(hook: InstalledHook, tmp_path: Path) -> None:
    device = tmp_path / "dev"
    device.mkdir()
    os.mknod(device / "null", 0o20666, os.makedev(1, 3))
    own_dev = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /dev && exec "$@"']
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hung,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood,
    ):
        hung.bind(str(device / "log"))
        fill(flood, device / "log")
        started = time.monotonic()
        done = subprocess.run(
            [*own_dev, device, *hook.command("web1", "started")],
            input=ANNOTATED,
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, b"")
    assert time.monotonic() - started < 1.5

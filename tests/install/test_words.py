"""Mistyped commands, and systems that install.sh knows little or nothing of."""

import os
import subprocess
from pathlib import Path

import pytest

INSTALLER = Path(__file__).parents[2] / "install.sh"


def call(*arguments: str, os_release: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ZTHOOK_OS_RELEASE": str(os_release)} if os_release else None
    return subprocess.run(
        [INSTALLER, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )


def release(folder: Path, name: str, version: str) -> Path:
    path = folder / "os-release"
    path.write_text(f'ID={name}\nVERSION_ID="{version}"\nPRETTY_NAME="{name.title()} {version}"\n')
    return path


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("hots", '"hots" is no command'),
        ("host --dry", '"--dry"'),
        ("host home1", '"home1"'),
        ("edge --purge", '"--purge"'),
        ("demo --dry-run", '"--dry-run"'),
    ],
)
def test_what_is_mistyped_is_named_with_what_there_is(words: str, named: str) -> None:
    done = call(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert named in error
    assert hint.startswith("hint: ")


def test_without_a_command_it_says_which_there_are() -> None:
    done = call()
    assert done.returncode == 2
    assert done.stderr == call("--help").stdout


@pytest.mark.parametrize(
    ("command", "name", "version"),
    [("host", "arch", ""), ("edge", "debian", "11"), ("upgrade", "fedora", "40")],
)
def test_on_a_system_that_it_does_not_know_it_says_what_it_knows(
    tmp_path: Path, command: str, name: str, version: str
) -> None:
    done = call(command, "--dry-run", os_release=release(tmp_path, name, version))
    assert (done.returncode, done.stdout) == (1, "")
    error, hint = done.stderr.splitlines()
    assert name.title() in error
    assert "Debian 12 and 13" in error
    assert "docs/install-by-hand.md" in hint


def test_without_os_release_too(tmp_path: Path) -> None:
    done = call("host", os_release=tmp_path / "none")
    assert done.returncode == 1
    assert "a system without /etc/os-release" in done.stderr


@pytest.mark.parametrize(
    ("name", "version", "package"),
    [
        ("ubuntu", "24.04", "libvirt-daemon-system"),
        ("ubuntu", "22.04", "libvirt-dev"),
        ("fedora", "43", "libvirt-daemon-kvm"),
    ],
)
def test_where_it_was_never_tried_it_says_so_first(
    tmp_path: Path, name: str, version: str, package: str
) -> None:
    done = call("host", "--dry-run", os_release=release(tmp_path, name, version))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Note: written for {name.title()} {version}")
    assert "not tried" in done.stdout.splitlines()[0]
    assert ("dnf installs" if name == "fedora" else "apt installs") in done.stdout
    assert package in done.stdout


def test_the_lab_runs_on_debian_12_alone(tmp_path: Path) -> None:
    done = call("demo", os_release=release(tmp_path, "debian", "13"))
    assert done.returncode == 1
    assert "install.sh demo runs on Debian 12 only" in done.stderr

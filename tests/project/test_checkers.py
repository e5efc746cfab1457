"""The checkers are part of the tests: none of them may have anything to say."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable).parent
SHELL_FILES = [
    "install.sh",
    ".ci/run",
    "debian/program",
    *(f"debian/zthook{part}" for part in (".postinst", ".postrm", ".preinst", ".prerm")),
    "debian/zthook-edge.prerm",
    "debian/zthook-host.postinst",
    "debian/zthook-host.prerm",
    "hooks/qemu",
    *(f"vagrant/{name}.sh" for name in ("edge", "home", "zerotier")),
    "tests/lab/guest/init",
    "tests/lab/guest/network",
]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([PYTHON / "ruff", "check", "."], id="ruff-check"),
        pytest.param([PYTHON / "ruff", "format", "--check", "."], id="ruff-format"),
        pytest.param([PYTHON / "mypy", "--strict", "-p", "zthook"], id="mypy"),
        pytest.param([PYTHON / "lint-imports", "--no-cache"], id="import-linter"),
        pytest.param(["shellcheck", "-x", "-a", *SHELL_FILES], id="shellcheck"),
    ],
)
def test_checker_is_silent(command: list[str | Path]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def _is_shell(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[:64].split(b"\n")[0] in {
        b"#!/bin/sh",
        b"#!/bin/bash",
    }


def test_every_shell_script_is_checked() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    scripts = {name for name in listed if _is_shell(ROOT / name)}
    assert "install.sh" in scripts
    assert scripts <= set(SHELL_FILES)


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of a developer's machine and no package registry's host is in any file."""
    words = ["/wor" + "k/", "pypi." + "org", "deb." + "debian.org", "files.python" + "hosted"]
    found = subprocess.run(
        ["git", "grep", "-nIF", *(part for word in words for part in ("-e", word))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1, found.stdout

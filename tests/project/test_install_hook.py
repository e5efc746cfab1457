"""The hook as `install.sh host` writes it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION = ". install/hook.sh; hook_text hooks/qemu"


def installed(host_toml: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{FUNCTION} {host_toml}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_without_host_toml_it_is_as_it_comes(tmp_path: Path) -> None:
    assert installed(tmp_path / "host.toml") == (ROOT / "hooks" / "qemu").read_text()


@pytest.mark.parametrize(
    ("line", "seconds"), [("required_seconds = 12.5 # slow line", "12.5"), ("# mark = 1", "5")]
)
def test_a_required_guest_waits_as_long_as_host_toml_says(
    tmp_path: Path, line: str, seconds: str
) -> None:
    path = tmp_path / "host.toml"
    path.write_text(f"[host]\n{line}\n")
    assert f"\nrequired_seconds={seconds}\n" in installed(path)

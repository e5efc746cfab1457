"""What Vagrant itself says of the Vagrantfile, with Debian's vagrant and vagrant-libvirt."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "vagrant"

pytestmark = pytest.mark.long


def vagrant(home: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run in a copy, as it leaves a folder of its own beside the Vagrantfile."""
    copy = shutil.copytree(FOLDER, home / "vagrant", dirs_exist_ok=True)
    return subprocess.run(
        ["vagrant", *words],
        cwd=copy,
        env=os.environ | {"VAGRANT_HOME": str(home / "home")} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("overlay", ["plain", "zerotier"])
def test_it_is_valid(tmp_path: Path, overlay: str) -> None:
    done = vagrant(tmp_path, "validate", ZTHOOK_OVERLAY=overlay)
    assert done.stdout == "Vagrantfile validated successfully.\n", done.stderr


def test_a_mistyped_overlay_is_said(tmp_path: Path) -> None:
    done = vagrant(tmp_path, "validate", ZTHOOK_OVERLAY="plian")
    assert done.returncode != 0
    assert "ZTHOOK_OVERLAY is plian, and may be plain or zerotier" in done.stderr


def test_it_has_an_edge_two_hosts_and_a_client(tmp_path: Path) -> None:
    done = vagrant(tmp_path, "status", "--machine-readable")
    names = {line.split(",")[1] for line in done.stdout.splitlines() if ",state," in line}
    assert names == {"edge", "home1", "home2", "client"}, done.stderr

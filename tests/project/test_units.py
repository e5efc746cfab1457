"""The systemd units: what the programs in them need, and what becomes of failures."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "install"
DAEMONS = ["zthook-agent.service", "zthook-edge.service"]


def values(unit: str, key: str) -> list[str]:
    """Every value of ``key``, in order."""
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", DAEMONS)
def test_a_daemon_is_started_again_however_often_it_fails(unit: str) -> None:
    assert values(unit, "Restart") == ["always"]
    assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_the_edge_may_open_every_kind_of_socket_that_the_kernel_package_opens() -> None:
    code = "".join(path.read_text() for path in (ROOT / "zthook" / "kernel").glob("*.py"))
    opened = set(re.findall(r"socket\.socket\(socket\.(AF_\w+)", code))
    assert "AF_PACKET" in opened
    [allowed] = values("zthook-edge.service", "RestrictAddressFamilies")
    assert opened <= set(allowed.split())


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("zthook-agent.service", 3.2),
        ("zthook-edge.service", 3.5),
        ("zthook-edge-rules.service", 3.2),
    ],
)
def test_what_is_not_needed_is_taken_away(unit: str, most: float) -> None:
    """The score of `systemd-analyze security`, 10 for no sandbox at all."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)
    assert found is not None, told.stderr
    assert float(found[1]) <= most


@pytest.mark.parametrize(
    ("rules", "nft", "loads"),
    [
        pytest.param("echo table inet zthook", "grep -q zthook", True, id="all is well"),
        pytest.param("exit 2", "cat", False, id="edge.toml is wrong"),
        pytest.param("echo table", "exit 1", False, id="nft refuses"),
    ],
)
def test_the_rules_unit_fails_where_no_rules_are_loaded(
    tmp_path: Path, rules: str, nft: str, loads: bool
) -> None:
    [line] = values("zthook-edge-rules.service", "ExecStart")
    for name, script in (("zthook", rules), ("nft", nft)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        line = re.sub(rf"/\S*/{name} ", f"{program} ", line)
    shell = re.fullmatch(r"/bin/sh -c '(.*)'", line)
    assert shell is not None
    command = shell[1].replace("$$", "$")  # as systemd has it
    done = subprocess.run(["/bin/sh", "-c", command], env=os.environ, timeout=10)
    assert (done.returncode == 0) is loads

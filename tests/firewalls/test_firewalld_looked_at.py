"""What firewalld lacks, asked of a stand-in for `busctl` that keeps to what it was told."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from zthook.kernel.firewalls.firewalld import Reach, lacking

REACH = Reach("02:00:c0:a8:c1:de", ip_address("192.168.122.50"), "zt0", "virbr0")
BUSCTL = """#!/bin/sh
case "$*" in
*getPolicies*) cat {folder}/policies ;;
*getPolicySettings*) cat {folder}/settings ;;
*) echo "not for one that only looks: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def firewalld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "busctl"
    program.write_text(BUSCTL.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def say(folder: Path, policies: list[str], *rules: Reach) -> None:
    (folder / "policies").write_text(json.dumps({"data": [policies]}))
    settings = {"rich_rules": {"type": "as", "data": [str(one) for one in rules]}}
    (folder / "settings").write_text(json.dumps({"data": [settings]}))


def test_nothing_where_our_policy_has_the_rule(firewalld: Path) -> None:
    say(firewalld, ["zthook"], REACH)
    assert lacking("zthook", [REACH]) == []


@pytest.mark.parametrize("policies", [["zthook"], []])
def test_the_rule_where_it_is_not_there_and_nothing_is_made(
    firewalld: Path, policies: list[str]
) -> None:
    say(firewalld, policies)
    assert lacking("zthook", [REACH]) == [f"firewalld lacks our {REACH}"]

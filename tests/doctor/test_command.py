"""`zthook doctor` as it is called: whose checks are gone through, what is printed, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_edge.conftest import zthook
from tests.documents.json_schemas import check

__all__ = ["zthook"]

Zthook = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"ZTHOOK_{name}_DIR", str(tmp_path))
    return tmp_path


def test_neither_host_nor_edge(config: Path, zthook: Zthook) -> None:
    code, out, err = zthook("doctor")
    assert (code, out) == (1, "")
    assert "neither host nor edge" in err


def test_a_guest_of_an_edge_is_wrong_usage(config: Path, zthook: Zthook) -> None:
    (config / "edge.toml").write_text("")
    code, _, err = zthook("doctor", "web1")
    assert code == 2
    assert "an edge has no guests" in err


def test_a_wrong_configuration_is_the_first_failure_and_the_rest_is_skipped(
    config: Path, zthook: Zthook
) -> None:
    (config / "edge.toml").write_text("nonsense = 1\n")
    code, out, _ = zthook("doctor", "--json")
    said = json.loads(out)
    assert (code, said["well"], said["verdict"]) == (1, False, "")
    first, *rest = said["checks"]
    assert (first["check"], first["outcome"]) == ("configuration", "fail")
    assert {one["outcome"] for one in rest} == {"skipped"}


def test_for_a_person_each_check_is_a_line_and_what_to_do_stands_below(
    config: Path, zthook: Zthook
) -> None:
    (config / "host.toml").write_text('[overlay]\ndriver = "interface"\ninterface = "zt9"\n')
    code, out, _ = zthook("doctor", "web1")
    lines = out.splitlines()
    assert code == 1
    assert lines[0].split(None, 2) == ["fail", "enrolment", "this host belongs to no edge"]
    assert lines[1].strip().startswith("→ `zthook edge host add NAME` on the edge")
    assert (
        lines[-1]
        == "whether web1 is reached is not known: enrolment: this host belongs to no edge."
    )


def test_a_machine_that_is_both_is_looked_at_as_the_edge_where_that_is_asked_for(
    config: Path, zthook: Zthook
) -> None:
    (config / "host.toml").write_text("")
    (config / "edge.toml").write_text("nonsense = 1\n")
    checks = check(zthook("doctor", "--edge", "--json")[1], "zthook doctor")["checks"]
    assert checks[0]["check"] == "configuration"
    checks = json.loads(zthook("doctor", "--json")[1])["checks"]
    assert checks[0]["check"] == "enrolment"

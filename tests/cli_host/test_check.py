"""``zthook status --check``: what monitoring hears of a host."""

import os
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.cli_host.conftest import ACTIVE, STATUS, Agent
from zthook.cli.check import Measure, Severity
from zthook.cli.status_check import check_guest, check_host
from zthook.config.places import Places
from zthook.errors import NotFound
from zthook.host.credential import Credential, save_credential
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView
from zthook.model.mappings import MappingState

Zthook = Callable[..., tuple[int, str, str]]
NOW = 1_700_003_600.0

LINE = re.compile(
    r"ZTHOOK (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+"
    r"( \|( [a-z_]+=\d+(\.\d+)?(s|c)?(;\d*(\.\d+)?){0,4})+)?\n"
)
"""As the Monitoring Plugins' guidelines have it."""


def status(*mappings: MappingView, **changes: Any) -> AgentStatus:
    return msgspec.structs.replace(STATUS, mappings=list(mappings or [ACTIVE]), **changes)


def mapping(state: MappingState, seconds: float | None = 0.0, **changes: Any) -> MappingView:
    since = None if seconds is None else NOW - seconds
    return msgspec.structs.replace(ACTIVE, state=state, since=since, reason="so it is", **changes)


def down(seconds: float, *, refusing: bool = False) -> Health:
    return Health(up=False, since=NOW - seconds, error="no answer", refusing=refusing)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status(), Severity.OK),
        (msgspec.structs.replace(STATUS, mappings=[]), Severity.OK),
        (status(edge_health=down(59)), Severity.WARNING),
        (status(edge_health=down(61)), Severity.CRITICAL),
        (status(edge_health=down(61), lease_seconds=600.0), Severity.WARNING),
        (status(edge_health=down(1, refusing=True)), Severity.CRITICAL),
        (status(overlay_health=down(59)), Severity.WARNING),
        (status(overlay_health=down(61)), Severity.CRITICAL),
        (status(kernel_health=down(59)), Severity.WARNING),
        (status(kernel_health=down(61)), Severity.CRITICAL),
        (status(libvirt_health=down(99_999)), Severity.WARNING),
        (status(mapping(MappingState.REFUSED)), Severity.CRITICAL),
        (status(mapping(MappingState.CONFLICT, 99_999)), Severity.WARNING),
        (status(mapping(MappingState.CONFLICT, required=True)), Severity.CRITICAL),
        (status(mapping(MappingState.PENDING, 59)), Severity.OK),
        (status(mapping(MappingState.PENDING, None)), Severity.OK),
        (status(mapping(MappingState.PENDING, 61)), Severity.WARNING),
        (status(mapping(MappingState.PENDING, 301)), Severity.CRITICAL),
        (status(faults=["two agents use the credential of home1"]), Severity.WARNING),
        (status(edge=None, host=None, faults=["it belongs to no edge"]), Severity.UNKNOWN),
    ],
)
def test_how_bad_it_is(found: AgentStatus, expected: Severity) -> None:
    assert check_host(found, NOW).severity is expected


def test_the_worst_is_said_first_and_a_part_that_is_down_once() -> None:
    fault = "edge: no answer (is the overlay up?)"
    found = status(
        mapping(MappingState.CONFLICT), edge_health=down(120), faults=[fault, "a copy of a guest"]
    )
    line = check_host(found, NOW).line("ZTHOOK")
    assert line.startswith("ZTHOOK CRITICAL - the edge is down for 2 min: no answer; ")
    assert "test 203.0.113.10 conflict: so it is" in line
    assert line.count("no answer") == 1
    assert "a copy of a guest" in line


def test_a_guest_that_is_not_here_is_critical() -> None:
    nothing = msgspec.structs.replace(STATUS, mappings=[])
    checked = check_guest(nothing, "web1", NOW)
    assert checked.severity is Severity.CRITICAL
    assert "web1 runs nowhere here" in checked.line("ZTHOOK")
    assert check_guest(status(), "test", NOW).severity is Severity.OK


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        (Measure("active", 3), "active=3;;;0"),
        (Measure("lease_age", 3.14159, "s", critical=60.0), "lease_age=3.142s;;60.0;0"),
        (Measure("silent", 1, warning=0), "silent=1;0;;0"),
        (Measure("pool_six", 1, most=1 << 64), "pool_six=1;;;0;18446744073709551616"),
    ],
)
def test_measures(measure: Measure, text: str) -> None:
    assert str(measure) == text


def test_it_prints_one_line_whatever_others_wrote(zthook: Zthook, agent: Agent) -> None:
    code, out, err = zthook("status", "--check")
    assert (code, err) == (0, "")
    assert out.startswith("ZTHOOK OK - mappings: 1 active | active=1;;;0 ")
    assert LINE.fullmatch(out)
    agent.show(mapping(MappingState.REFUSED, guest="a|b\nc\x1b", asked="x"))
    code, out, _ = zthook("status", "--check")
    assert code == 2
    assert LINE.fullmatch(out)


def test_a_guests_line_is_of_its_mappings_alone(zthook: Zthook, agent: Agent) -> None:
    agent.show(ACTIVE, mapping(MappingState.REFUSED, guest="db1", uuid="x"))
    assert zthook("status", "test", "--check")[0] == 0
    assert zthook("status", "db1", "--check")[0] == 2


def test_an_agent_that_is_away_is_critical_where_this_is_a_host(
    zthook: Zthook, places: Places
) -> None:
    assert zthook("status", "--check") == (3, "ZTHOOK UNKNOWN - this host belongs to no edge\n", "")
    save_credential(places.credential, Credential("e1", "192.168.193.222", 9443, "h", "", "s"))
    code, out, _ = zthook("status", "--check")
    assert code == 2
    assert out.startswith("ZTHOOK CRITICAL - the agent does not run on this machine")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/run/zthook/agent.sock"), "run it as root"),
        (NotFound("no such thing"), "no such thing"),
        (ZeroDivisionError("by zero"), "unexpected ZeroDivisionError: by zero"),
        (msgspec.ValidationError("Object missing required field"), "missing required field"),
    ],
)
def test_what_can_not_be_known_is_unknown(
    zthook: Zthook, places: Places, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(_: object) -> AgentStatus:
        raise error

    monkeypatch.setattr("zthook.cli.status.agent_status", fail)
    code, out, _ = zthook("status", "--check")
    assert code == 3
    assert said in out
    assert LINE.fullmatch(out)


def test_who_is_not_root_is_told_so(zthook: Zthook, agent: Agent) -> None:
    os.seteuid(65534)
    try:
        code, out, _ = zthook("status", "--check")
        _, _, err = zthook("status")
    finally:
        os.seteuid(0)
    assert (code, out.endswith("Permission denied: run it as root (sudo)\n")) == (3, True)
    assert "hint: run it as root (sudo)" in err


def test_other_output_beside_it_is_unknown(zthook: Zthook, agent: Agent) -> None:
    assert zthook("status", "--check", "--json")[0] == 3
    assert zthook("status", "--check", "--watch")[0] == 3


def test_the_time_is_now(zthook: Zthook, agent: Agent) -> None:
    agent.show(edge_health=Health(up=False, since=time.time() - 5, error="no answer"))
    assert zthook("status", "--check")[0] == 1

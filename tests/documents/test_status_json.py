"""docs/commands.md has every field of `zthook status --json`, and no other."""

import re

import msgspec
import pytest

from tests.documents import DOCS
from tests.documents.markdown import read
from zthook.host.addresses import Source
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView, TrafficView
from zthook.model.guests import GuestState

HEADING = "What zthook status prints as JSON"
ROWS = read(DOCS / "commands.md").rows(HEADING)


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def fields(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_fields__)


def test_every_field_has_a_row() -> None:
    listed = [name for row in ROWS for name in sorted(names(row[0]))]
    assert sorted(listed) == sorted(fields(AgentStatus) | fields(MappingView))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("edge_health", fields(Health)),
        ("traffic", fields(TrafficView)),
        ("guest_state", {state.value for state in GuestState}),
    ],
)
def test_what_is_inside_is_named(field: str, expected: set[str]) -> None:
    [row] = [row for row in ROWS if field in names(row[0])]
    assert expected <= names(row[1])


def test_every_source_is_named() -> None:
    [row] = [row for row in ROWS if "source" in names(row[0])]
    assert set(re.findall(r"`([\w ]+)`", row[1])) - {"private"} == {one.value for one in Source}

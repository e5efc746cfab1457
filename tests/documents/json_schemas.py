"""What each command prints with --json, as a JSON Schema: made from the structs it is made of."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from tests.documents import DOCS
from zthook.doctor.finding import Diagnosis
from zthook.edge.admin_views import EdgeReport, HostAdded, Knock, WebView
from zthook.edge.views import EventView, HostView, MappingView, PoolUse, Released
from zthook.host.status import AgentStatus
from zthook.host.status import MappingView as HostMapping

FOLDER = DOCS / "json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

PRINTED: dict[str, Any] = {
    "zthook doctor": Diagnosis,
    "zthook edge host add": HostAdded,
    "zthook edge host approve": list[Knock],
    "zthook edge host list": list[HostView],
    "zthook edge host rotate": HostAdded,
    "zthook edge log": list[EventView],
    "zthook edge mappings": list[MappingView],
    "zthook edge pool list": list[PoolUse],
    "zthook edge release": Released,
    "zthook edge status": EdgeReport,
    "zthook edge web": WebView,
    "zthook status": AgentStatus,
    "zthook status GUEST": list[HostMapping],
}
"""Command → the type of what it prints."""


def place(command: str) -> Path:
    """Where its schema is: ``edge-mappings.json``."""
    return FOLDER / f"{command.removeprefix('zthook ').replace(' ', '-').lower()}.json"


def schema(command: str) -> dict[str, Any]:
    """The schema, in which every field is there, as it always is."""
    made = msgspec.json.schema(PRINTED[command])
    for one in made.get("$defs", {}).values():
        if "properties" in one:
            one["required"] = sorted(one["properties"])
    return {"$schema": DIALECT, "title": f"{command} --json", **made}


def check(printed: str | bytes, command: str) -> Any:
    """What was printed, which is as the schema of that command says; the value.

    Raises jsonschema_rs.ValidationError where it is not.
    """
    value = json.loads(printed)
    _validator(command).validate(value)
    return value


@cache
def _validator(command: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(command))


def text(command: str) -> str:
    """The schema's file."""
    return json.dumps(schema(command), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """All of them anew."""
    FOLDER.mkdir(exist_ok=True)
    for command in PRINTED:
        place(command).write_text(text(command), encoding="utf-8")

"""The edge's API as a table, and the OpenAPI 3.1 document made of it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from zthook import __version__
from zthook.wire import messages
from zthook.wire.messages import ErrorReply, Reply

_ERRORS = {
    400: "The request is not what the schema says; the message tells where.",
    401: "The credential is missing, wrong, or its host was removed.",
    403: "The token can not be used, or the credential does not reach that far.",
    404: "There is no such thing.",
    405: "Not with this method.",
    408: "The body did not come in time.",
    409: "Refused or fenced: `error` says which.",
    413: "The body is larger than the edge reads.",
    415: "The body is not application/json.",
    429: "Too many requests: wait as long as Retry-After says.",
    500: "The edge's store or the edge itself is at fault.",
    503: "Not now: the kernel or the overlay said no. Try again.",
}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**53}


class HealthReply(Reply, frozen=True):
    """GET /v1/health: the edge's id, as in its certificate."""

    edge: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with numbers as its query. ``reply`` None: no body (204); str: a
    PEM file.
    """

    method: str
    path: str
    name: str
    summary: str
    reply: type | None
    request: type | None = None
    authenticated: bool = True
    numbers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


OPERATIONS = (
    Operation("GET", "/v1/ca", "ca", "The CA's certificate", str, authenticated=False),
    Operation("GET", "/v1/health", "health", "It decides", HealthReply, authenticated=False),
    Operation("GET", "/v1/openapi.json", "openapi", "This file", dict, authenticated=False),
    Operation(
        "POST",
        "/v1/enrol",
        "enrol",
        "Spend a one-time token for a credential",
        messages.EnrolReply,
        messages.EnrolRequest,
        authenticated=False,
    ),
    Operation(
        "POST",
        "/v1/session",
        "session",
        "Begin a session; the one before is stale from then on",
        messages.SessionReply,
        messages.SessionRequest,
    ),
    Operation(
        "PUT",
        "/v1/claims",
        "claims",
        "All that this host claims; what it left out is withdrawn",
        messages.ClaimsReply,
        messages.ListRequest,
    ),
    Operation(
        "POST",
        "/v1/claims",
        "reserve",
        "Claims of one guest, beside what else the host claims",
        messages.ClaimsReply,
        messages.ReserveRequest,
    ),
    Operation(
        "POST",
        "/v1/heartbeat",
        "heartbeat",
        "Renew the lease",
        messages.HeartbeatReply,
        messages.HeartbeatRequest,
    ),
    Operation(
        "GET",
        "/v1/changes",
        "changes",
        "Wait until the generation passes `after`, for 25 or so many seconds (300 at most)",
        messages.ChangesReply,
        numbers=("session", "after"),
        optional=("seconds",),
    ),
    Operation("DELETE", "/v1/enrolment", "leave", "Withdraw everything and forget this host", None),
)


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _error(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(ErrorReply)}}
    return {"description": _ERRORS[status], "content": content}


def _success(operation: Operation) -> dict[str, Any]:
    if operation.reply is None:
        return {"204": {"description": "Done."}}
    if operation.reply is str:
        content: dict[str, Any] = {"application/x-pem-file": {"schema": {"type": "string"}}}
    elif operation.reply is dict:
        content = {"application/json": {"schema": {"type": "object"}}}
    else:
        content = {"application/json": {"schema": _ref(operation.reply)}}
    return {"200": {"description": operation.summary, "content": content}}


def _describe(operation: Operation) -> dict[str, Any]:
    errors = {str(status): _error(status) for status in _ERRORS}
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _success(operation) | errors,
    }
    if operation.authenticated:
        told["security"] = [{"credential": []}]
    if operation.request is not None:
        content = {"application/json": {"schema": _ref(operation.request)}}
        told["requestBody"] = {"required": True, "content": content}
    if operation.numbers:
        told["parameters"] = [
            {"name": name, "in": "query", "required": needed, "schema": _NUMBER}
            for names, needed in ((operation.numbers, True), (operation.optional, False))
            for name in names
        ]
    return told


def document() -> dict[str, Any]:
    """The whole OpenAPI 3.1 document, as JSON values."""
    kinds = {ErrorReply, *(kind for op in OPERATIONS for kind in (op.request, op.reply))}
    ours = sorted(
        (kind for kind in kinds if kind not in {None, str, dict}),
        key=lambda kind: getattr(kind, "__name__", ""),
    )
    _, schemas = msgspec.json.schema_components(ours, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "zthook edge", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
        },
    }

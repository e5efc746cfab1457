"""Whatever the OpenAPI document allows, and what it does not: no fault of the server's,
and no answer but those that the document tells of."""

from typing import Any

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Receive, Scope, Send

from tests.edge_api.standin import HOME1, Stage

STAGE = Stage(changes_seconds=0.0)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The API as home1 reaches it."""
    if scope["type"] == "http":
        scope["client"] = ("192.168.193.2", 50000)
        STAGE.service.hosts["credential-home1"] = "home1"
        STAGE.service.generations["home1"] = 1
        STAGE.service.secrets["good"] = "home3"
    await STAGE.app(scope, receive, send)


schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@schema.parametrize()
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_operation_keeps_to_the_document(case: Any) -> None:
    case.call_and_validate(headers=HOME1, checks=CHECKS)

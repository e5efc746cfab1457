"""Whatever the OpenAPI document allows, and what it does not, against the whole edge over a
made-up kernel: no fault of the server's, and no answer but those that the document tells of."""

from collections import Counter
from ipaddress import IPv4Address
from typing import Any

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Message, Receive, Scope, Send

from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.api import Api, make_app
from zthook.edge.changes import Changes
from zthook.edge.refusals import Refusals
from zthook.edge.service import EdgeService
from zthook.edge.turns import Alone
from zthook.edge.worker import Worker
from zthook.errors import NotAuthenticated
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.edge.fake import OVERLAY, FakeEdgeKernel
from zthook.model.addresses import AddressRange, Pool
from zthook.model.clock import ManualClock
from zthook.store.memory import MemoryLedger
from zthook.wire.messages import SessionRequest

HOST = IPv4Address("192.168.193.2")
POOL = Pool("hk", (AddressRange.parse("203.0.113.0/28"),), "eth0")


class Edge:
    """One edge with one host, which is enrolled again whenever it left."""

    def __init__(self) -> None:
        kernel = FakeEdgeKernel()
        kernel.macs[HOST] = "02:00:00:00:00:02"
        self.service = EdgeService(
            ledger=MemoryLedger(),
            dataplane=KernelEdgeDataplane(kernel),
            clock=ManualClock(),
            settings=EdgeSettings(OverlaySettings("interface", interface="zt0"), pools=(POOL,)),
            overlay=lambda: OVERLAY,
            edge_id="19e1a11125cfd6f7",
            notify=lambda _: None,
            turns=Alone(),
        )
        self.service.start()
        api = Api(
            self.service,
            Worker(),
            Changes(),
            edge_id="19e1a11125cfd6f7",
            ca_pem="-----BEGIN CERTIFICATE-----\n",
            changes_seconds=0.0,
            longest_seconds=0.0,
        )
        self.app = make_app(api, Refusals(lambda: 0.0))
        self.statuses: Counter[int] = Counter()
        self.credential = ""
        self.agents = 0
        self.session = 0
        self.sequence = 0

    def enrolled(self) -> None:
        """The host is there, with a session."""
        try:
            self.service.authenticate(self.credential)
        except NotAuthenticated:
            secret = self.service.add_host("home1").secret
            self.credential = self.service.enrol(secret, "kvm1").credential
        self.agents += 1
        opened = SessionRequest(agent="0", instance=f"agent {self.agents}")
        self.session = self.service.open_session("home1", opened, HOST).session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API as that host reaches it."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
            await send(message)

        if scope["type"] == "http":
            scope["client"] = (str(HOST), 50000)
        await self.app(scope, receive, told)


EDGE = Edge()
schema = schemathesis.openapi.from_asgi("/v1/openapi.json", EDGE)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


def make_likely(body: dict[str, Any]) -> None:
    """Half of the made-up messages get a session and addresses that count here: without them
    none would come further than the fence."""
    if isinstance(body.get("session"), int) and body["session"] % 2 == 0:
        EDGE.sequence += 1
        body |= {"session": EDGE.session, "sequence": EDGE.sequence}
    claims = body.get("claims")
    for number, claim in enumerate(claims if isinstance(claims, list) else ()):
        if isinstance(claim, dict) and isinstance(claim.get("epoch", 0), int):
            claim |= {"public": f"203.0.113.{number % 20}", "private": f"192.168.122.{number % 9}"}


@schema.parametrize()
@hypothesis.settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_operation_keeps_to_the_document(case: Any) -> None:
    EDGE.enrolled()
    if isinstance(case.body, dict):
        make_likely(case.body)
    if (case.query or {}).get("session") in [0, "0"]:
        case.query["session"] = EDGE.session
    case.call_and_validate(headers={"authorization": f"Bearer {EDGE.credential}"}, checks=CHECKS)


def test_good_and_bad_ones_were_among_them() -> None:
    """After the test above: what never comes further than the first check proves little."""
    assert EDGE.statuses[200] > 20
    assert EDGE.statuses[204] > 0
    assert {400, 409} <= set(EDGE.statuses)

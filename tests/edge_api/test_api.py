"""The API as an application: what it takes, what it refuses, and how it says so."""

import asyncio
import json
import logging
from ipaddress import IPv4Address
from typing import Any

import httpx
import pytest

from tests.edge_api.standin import HOME1, HOME2, Stage
from zthook.edge import asked
from zthook.edge.openapi import OPERATIONS
from zthook.errors import KernelError, StoreError
from zthook.wire.messages import MAX_BODY, MAX_STRANGERS_BODY, ErrorReply

GUEST = "6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11"
SESSION = {"agent": "0.1.0", "instance": "one"}
CLAIM = {"guest": GUEST, "name": "web1", "public": "203.0.113.10", "private": "192.168.122.50"}
LIST = {"session": 1, "sequence": 1, "claims": [CLAIM]}
JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int, name: str) -> str:
    """Check that this is that refusal, and return what it says."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, name), body
    assert answer.headers["content-type"] == "application/json"
    assert body["message"]
    return str(body["message"])


async def test_each_operation_has_an_endpoint_that_answers(stage: Stage) -> None:
    async with stage.client() as client:
        for operation in OPERATIONS:
            answer = await client.request(operation.method, operation.path)
            expected = 401 if operation.authenticated else 415 if operation.request else 200
            assert answer.status_code == expected, operation


async def test_what_needs_no_credential(stage: Stage) -> None:
    async with stage.client() as client:
        ca = await client.get("/v1/ca")
        assert ca.text.startswith("-----BEGIN CERTIFICATE-----")
        assert (await client.get("/v1/health")).json() == {"edge": "19e1a11125cfd6f7"}
        assert (await client.get("/v1/openapi.json")).json()["openapi"] == "3.1.0"


async def test_enrolment_spends_the_token(stage: Stage) -> None:
    async with stage.client() as client:
        body = {"secret": "good", "hostname": "kvm1"}
        answer = await client.post("/v1/enrol", json=body)
        assert answer.json() == {"host": "home3", "credential": "credential of kvm1"}
        assert "used" in refused(await client.post("/v1/enrol", json=body), 403, "bad_token")


async def test_who_asks_is_the_credential_and_where_from_is_the_connection(stage: Stage) -> None:
    async with stage.client("192.168.193.3") as client:
        assert (await client.post("/v1/session", json=SESSION, headers=HOME2)).status_code == 200
        assert (await client.put("/v1/claims", json=LIST, headers=HOME2)).status_code == 200
        assert (await client.post("/v1/claims", json=LIST, headers=HOME2)).status_code == 200
        beat = {"session": 1, "sequence": 2}
        assert (await client.post("/v1/heartbeat", json=beat, headers=HOME2)).status_code == 200
    assert [what for what, _, _ in stage.service.asked] == [
        "session",
        "claims",
        "reserve",
        "heartbeat",
    ]
    assert {where[1:] for where in stage.service.asked} == {("home2", IPv4Address("192.168.193.3"))}


async def test_every_decision_is_made_in_one_thread(stage: Stage) -> None:
    async with stage.client() as client:
        await asyncio.gather(
            *(client.put("/v1/claims", json=LIST, headers=HOME1) for _ in range(20))
        )
    assert len(stage.service.threads) == 1


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}]
)
async def test_without_a_credential(stage: Stage, headers: dict[str, str]) -> None:
    async with stage.client() as client:
        answer = await client.put("/v1/claims", json=LIST, headers=headers)
    refused(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert stage.service.asked == []


async def test_leaving_ends_the_credential(stage: Stage) -> None:
    async with stage.client() as client:
        answer = await client.delete("/v1/enrolment", headers=HOME1)
        assert (answer.status_code, answer.content) == (204, b"")
        refused(await client.delete("/v1/enrolment", headers=HOME1), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/ca/", 404, "not_found"),
        ("GET", "/v2/claims", 404, "not_found"),
        ("GET", "/v1/claims", 405, "bad_request"),
        ("PATCH", "/v1/claims", 405, "bad_request"),
        ("GET", "/v1/enrolment", 405, "bad_request"),
        ("OPTIONS", "/v1/session", 405, "bad_request"),
    ],
)
async def test_no_such_thing(stage: Stage, method: str, path: str, status: int, name: str) -> None:
    async with stage.client() as client:
        answer = await client.request(method, path, headers=HOME1)
    refused(answer, status, name)
    if status == 405 and path == "/v1/claims":
        assert set(answer.headers["allow"].split(", ")) == {"PUT", "POST"}


async def test_of_a_stranger_little_is_read(stage: Stage) -> None:
    body = {"secret": "good", "hostname": "x" * MAX_STRANGERS_BODY}
    async with stage.client() as client:
        answer = await client.post("/v1/enrol", json=body)
    assert str(MAX_STRANGERS_BODY) in refused(answer, 413, "bad_request")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type(stage: Stage, kind: str | None) -> None:
    headers = HOME1 | ({"content-type": kind} if kind else {})
    async with stage.client() as client:
        answer = await client.put("/v1/claims", content=json.dumps(LIST), headers=headers)
    assert "application/json" in refused(answer, 415, "bad_request")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"session": "1"}, "Expected `int`, got `str` - at `$.session`"),
        ({"session": -1}, "`$.session`"),
        ({"session": True}, "`$.session`"),
        ({"claims": {}}, "Expected `array`, got `object` - at `$.claims`"),
        ({"claims": [CLAIM | {"guest": GUEST.upper()}]}, "`$.claims[0].guest`"),
        ({"claims": [CLAIM | {"name": "x" * 257}]}, "`$.claims[0].name`"),
        ({"claims": [CLAIM | {"mode": "magic"}]}, "`$.claims[0].mode`"),
        ({"claims": [CLAIM | {"via": "192.168.193.9"}]}, "unknown field `via`"),
        ({"claims": [CLAIM] * 10_001}, "`$.claims`"),
    ],
)
async def test_a_wrong_body_is_told_where_and_what(
    stage: Stage, change: dict[str, Any], where: str
) -> None:
    async with stage.client() as client:
        answer = await client.put("/v1/claims", json=LIST | change, headers=HOME1)
    assert where in refused(answer, 400, "bad_request")
    assert stage.service.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b'{"session": 1, "sequence": 1, "claims": ' + b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"session": 1e999, "sequence": 1, "claims": []}',
        b'{"session": 1, "sequence": 1, "claims": [], "claims": "\xed\xa0\x80"}',
    ],
    ids=["empty", "cut off", "null", "no utf-8", "deep list", "deep object", "huge", "surrogate"],
)
async def test_what_is_no_message_at_all(stage: Stage, body: bytes) -> None:
    async with stage.client() as client:
        answer = await client.put("/v1/claims", content=body, headers=HOME1 | JSON)
    refused(answer, 400, "bad_request")
    assert stage.service.asked == []


async def test_a_body_too_large_is_not_read_to_its_end(stage: Stage) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while read < 100 * 1024 * 1024:
            read += 65536
            yield b" " * 65536

    async with stage.client() as client:
        answer = await client.put("/v1/claims", content=endless(), headers=HOME1 | JSON)
    assert str(MAX_BODY) in refused(answer, 413, "bad_request")
    assert answer.headers["connection"] == "close"
    assert read <= MAX_BODY + 2 * 65536


async def test_a_body_that_says_it_is_too_large_is_not_read_at_all(stage: Stage) -> None:
    async def body() -> Any:
        raise AssertionError("read")
        yield b""

    headers = HOME1 | JSON | {"content-length": str(MAX_BODY + 1)}
    async with stage.client() as client:
        refused(await client.put("/v1/claims", content=body(), headers=headers), 413, "bad_request")


async def test_a_body_that_does_not_come(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "BODY_SECONDS", 0.05)

    async def stuck() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    async with stage.client() as client:
        answer = await client.put("/v1/claims", content=stuck(), headers=HOME1 | JSON)
    refused(answer, 408, "bad_request")


async def test_a_refused_host_has_its_body_not_read(stage: Stage) -> None:
    async def body() -> Any:
        raise AssertionError("read")
        yield b""

    async with stage.client() as client:
        refused(await client.put("/v1/claims", content=body()), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        (KernelError("the kernel said no", hint="look again"), 503, "kernel"),
        (StoreError("the disk is full"), 500, "store"),
    ],
)
async def test_faults_of_the_edge_have_their_type(
    stage: Stage, fault: Exception, status: int, name: str
) -> None:
    stage.service.fault = fault
    async with stage.client() as client:
        refused(await client.put("/v1/claims", json=LIST, headers=HOME1), status, name)


async def test_an_unexpected_fault_tells_nothing_of_itself(stage: Stage) -> None:
    stage.service.fault = ZeroDivisionError("secret")
    async with stage.client() as client:
        answer = await client.put("/v1/claims", json=LIST, headers=HOME1)
    assert "secret" not in refused(answer, 500, "unavailable")


async def test_refusals_are_logged_with_who_asked_but_do_not_flood(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "zthook.edge.api")
    async with stage.client("192.168.193.66") as client:
        for _ in range(50):
            await client.put("/v1/claims", json=LIST)
    assert len(caplog.records) == 1
    assert "PUT '/v1/claims' from 192.168.193.66: 401, no credential" in caplog.text
    async with stage.client("192.168.193.67") as client:
        await client.put("/v1/claims", json=LIST)
    assert "192.168.193.67" in caplog.records[1].message
    stage.time += 11
    async with stage.client("192.168.193.66") as client:
        await client.put("/v1/claims", json=LIST)
    assert "and 49 more" in caplog.records[2].message


async def test_a_path_can_not_forge_a_log_line(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.client() as client:
        await client.get("/x%0aWARNING all is well")
    assert "\n" not in caplog.records[0].message


class TestChanges:
    """GET /v1/changes, the long request."""

    ASK = "/v1/changes?session=0&after=1"

    async def test_what_has_changed_already_is_answered_at_once(self, stage: Stage) -> None:
        async with stage.client() as client:
            answer = await client.get("/v1/changes?session=0&after=0", headers=HOME1)
        assert answer.json() == {"generation": 1}

    async def test_a_change_wakes_its_host_and_no_other(self, stage: Stage) -> None:
        async with stage.client() as client:
            one = asyncio.create_task(client.get(self.ASK, headers=HOME1))
            other = asyncio.create_task(client.get(self.ASK, headers=HOME2))
            await stage.waiting("home1")
            await stage.waiting("home2")
            stage.changed("home1")
            assert (await asyncio.wait_for(one, 5)).json() == {"generation": 2}
            assert not other.done()
            stage.changed("home2")
            assert (await asyncio.wait_for(other, 5)).json() == {"generation": 2}
        assert not stage.changes._waiting

    async def test_a_change_between_two_requests_is_not_missed(self, stage: Stage) -> None:
        stage.changed("home1")
        async with stage.client() as client:
            answer = await asyncio.wait_for(client.get(self.ASK, headers=HOME1), 5)
        assert answer.json() == {"generation": 2}

    async def test_waking_without_a_change_is_not_answered(self, stage: Stage) -> None:
        async with stage.client() as client:
            asked = asyncio.create_task(client.get(self.ASK, headers=HOME1))
            await stage.waiting("home1")
            stage.changes.wake("home1")
            stage.changed("home1")
            assert (await asyncio.wait_for(asked, 5)).json() == {"generation": 2}

    async def test_a_removed_host_hears_it_at_once(self, stage: Stage) -> None:
        async with stage.client() as client:
            asked = asyncio.create_task(client.get(self.ASK, headers=HOME1))
            await stage.waiting("home1")
            stage.service.leave("home1")
            stage.changes.wake("home1")
            refused(await asyncio.wait_for(asked, 5), 401, "not_authenticated")

    async def test_a_newer_session_ends_the_request_of_the_one_before(self, stage: Stage) -> None:
        async with stage.client() as client:
            asked = asyncio.create_task(client.get(self.ASK, headers=HOME1))
            await stage.waiting("home1")
            await client.post("/v1/session", json=SESSION, headers=HOME1)
            stage.changes.wake("home1")
            refused(await asyncio.wait_for(asked, 5), 409, "stale_session")

    async def test_nothing_new_is_said_when_the_time_is_over(self) -> None:
        stage = Stage(changes_seconds=0.05)
        async with stage.client() as client:
            answer = await client.get(self.ASK, headers=HOME1)
        assert answer.json() == {"generation": 1}
        stage.worker.close()

    async def test_who_says_how_long_waits_so_long(self) -> None:
        stage = Stage(changes_seconds=3600)
        async with stage.client() as client:
            answer = await client.get(f"{self.ASK}&seconds=0", headers=HOME1)
        assert answer.json() == {"generation": 1}
        stage.worker.close()

    async def test_the_end_of_the_server_lets_everyone_go(self, stage: Stage) -> None:
        async with stage.client() as client:
            asked = asyncio.create_task(client.get(self.ASK, headers=HOME1))
            await stage.waiting("home1")
            stage.changes.close()
            assert (await asyncio.wait_for(asked, 5)).json() == {"generation": 1}

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "session=0",
            "after=1",
            "session=0&after=-1",
            "session=x&after=1",
            "session=0&after=%C2%B2",
            f"session=0&after={2**53 + 1}",
            f"session=0&after={'9' * 99}",
            "session=0&after=1&seconds=x",
            "session=0&after=1&seconds=",
        ],
    )
    async def test_wrong_numbers(self, stage: Stage, query: str) -> None:
        async with stage.client() as client:
            answer = await client.get(f"/v1/changes?{query}", headers=HOME1)
        assert "a whole number" in refused(answer, 400, "bad_request")


def test_an_error_reply_is_in_the_document_for_every_operation() -> None:
    from zthook.edge.openapi import document

    for path in document()["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": f"#/components/schemas/{ErrorReply.__name__}"}

"""What is fuzzed: for each reader its inputs, and what must hold whatever comes."""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import msgspec
from hypothesis import strategies as st

from tests.annotation.test_reading import DEFAULT, DOMAIN, FULL
from tests.config.test_loading import EDGE, HOST
from tests.fuzz.bending import anything
from tests.host.edge import CREDENTIAL
from tests.host.real_edge import RealEdge
from tests.wire.test_token import LINE, NETWORKED
from zthook.annotation import read_domain
from zthook.annotation.checking import check
from zthook.config.loading import parse_edge, parse_host
from zthook.edge.api import Api, make_app
from zthook.edge.openapi import OPERATIONS
from zthook.edge.refusals import Refusals
from zthook.errors import (
    AnnotationError,
    ConfigError,
    OverlayDown,
    TokenError,
    ZthookError,
)
from zthook.host.edge_http import EdgeHttp
from zthook.host.hook_socket import parse_request
from zthook.hypervisor.leases import read_leases
from zthook.overlay.node_api import ControlledNetwork, MoonView, NodeApi, NodeStatus
from zthook.overlay.ways import path_of
from zthook.overlay.zerotier import ZeroTierOverlay
from zthook.overlay.zerotier_api import MemberView, NetworkView, PeerView, ZeroTierApi
from zthook.wire import control_server
from zthook.wire.messages import ClaimsReply, ErrorReply, HeartbeatReply, SessionReply
from zthook.wire.token import read_token, write_token


@dataclass(frozen=True, slots=True)
class Target:
    """``inputs``, and what is done with one; it raises where a promise is broken."""

    inputs: st.SearchStrategy[Any]
    act: Callable[[Any], None]


def annotation(xml: bytes) -> None:
    """Read, or named with lines that are there; never anything else."""
    publication, problems = check(xml)
    assert (publication is None) == bool(problems)
    lines = xml.count(b"\n") + xml.count(b"\r") + 1
    assert all(1 <= problem.line <= lines for problem in problems)
    with suppress(AnnotationError):
        read_domain(xml)


def hook(request: bytes) -> None:
    """A call, whose XML can be judged, or no request."""
    with suppress(ValueError):
        call = parse_request(request)
        assert isinstance(call.decides, bool)
        with suppress(AnnotationError):
            read_domain(call.xml)


def token(line: bytes) -> None:
    """The token it says, or a TokenError without its secret."""
    text = line.decode("utf-8", "replace")
    try:
        found = read_token(text)
    except TokenError as error:
        leaks = "s3cret" in error.message + error.hint
        assert not leaks
    else:
        assert read_token(write_token(found)) == found


def config(content: bytes) -> None:
    """Settings, or faults that name the file and a line."""
    text, path = content.decode("utf-8", "replace"), Path("edge.toml")
    for parse in (parse_edge, parse_host):
        try:
            parse(text, path)
        except ConfigError as error:
            assert all(  # noqa: PT017 - as above
                line.startswith("edge.toml:") for line in error.message.splitlines()
            )


def zerotier(answer: tuple[int, bytes]) -> None:
    """A device, or why the overlay is down."""
    status, content = answer
    api = ZeroTierApi(Path("/nowhere"))
    with suppress(OverlayDown):
        view = api._understood("/network", httpx.Response(status, content=content), NetworkView)
        overlay = ZeroTierOverlay("b87d70f46bc5c578", Path("/nowhere"), lambda _: None)
        overlay._api = _Said(view)  # type: ignore[assignment]
        overlay.observe()
        raise AssertionError("there is no device, so none can be found")


def peers(answer: tuple[int, bytes]) -> None:
    """Which ways the overlay takes, or why that is not known."""
    status, content = answer
    with suppress(OverlayDown):
        api = ZeroTierApi(Path("/nowhere"))
        found = api._understood("/peer", httpx.Response(status, content=content), list[PeerView])
        for one in found or []:
            assert path_of(one, 1.8e9).direct in {True, False}


def node(answer: tuple[int, bytes]) -> None:
    """How a node, its network and its moons are, or why that is not known."""
    status, content = answer
    for kind in (NodeStatus, ControlledNetwork, MemberView, list[MoonView]):
        with suppress(OverlayDown):
            response = httpx.Response(status, content=content)
            match NodeApi(Path("/nowhere"))._understood("/", response, kind):
                case NodeStatus() as found:
                    assert isinstance(found.port, int)
                case ControlledNetwork() as found:
                    assert found.range is None or found.range.version == 4
                case [*moons]:
                    assert all(isinstance(one.node, str) for one in moons)


class _Said:
    def __init__(self, view: NetworkView | None) -> None:
        self._view = view

    def network(self, _network: str) -> NetworkView | None:
        return self._view

    def node_id(self) -> str:
        return "b87d70f46b"


@cache
def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="zthook-fuzz-")
    _kept.append(made)
    return Path(made.name)


_kept: list[Any] = []


def dnsmasq(content: bytes) -> None:
    """Leases that are ones, or none; what is wrong with the rest is in the log."""
    (_folder() / "virbr0.status").write_bytes(content)
    for mac, addresses in read_leases(_folder(), "virbr0", now=1.0).items():
        assert isinstance(mac, str)
        assert 1 <= len(addresses) <= 2
        assert all(isinstance(one, IPv4Address | IPv6Address) for one in addresses)


@cache
def _edge() -> tuple[Any, str]:
    """A real edge on a kernel in memory, and a host's credential; the clock of its bounds runs."""
    edge = RealEdge()
    edge.notify = lambda _host: None  # type: ignore[method-assign]
    edge.boot()
    credential, _ = edge.enrol("home1")
    api = Api(
        edge.service,
        edge.worker,
        edge.changes,
        edge_id="edge-1",
        ca_pem="",
        changes_seconds=0.0,
        longest_seconds=0.0,
        clock=map(float, itertools.count(step=1000)).__next__,
    )
    return make_app(api, Refusals(lambda: 0.0)), credential.credential


def api(asked: tuple[str, str, str, bytes, bool]) -> None:
    """An answer that the API knows: never a fault of the edge's, never another host's."""
    method, path, query, body, known = asked
    app, credential = _edge()
    headers = {"content-type": "application/json"}
    if known:
        headers["authorization"] = f"Bearer {credential}"
    if path == "/v1/enrolment" and known:
        return  # leaving would end the credential

    async def ask() -> httpx.Response:
        way = httpx.ASGITransport(app, client=("192.168.193.2", 5000))
        async with httpx.AsyncClient(transport=way, base_url="https://edge") as client:
            url = f"https://edge{path}?{query}"
            return await client.request(method, url, content=body, headers=headers)

    answer = asyncio.run(ask())
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        told = msgspec.json.decode(answer.content, type=ErrorReply)
        assert told.message
        assert credential not in answer.text


def admin(line: bytes) -> None:
    """The control socket answers, or says what is no command."""

    async def echo(arguments: dict[str, Any]) -> Any:
        return sorted(arguments)

    reply = asyncio.run(control_server._answer(line, {"echo": echo}))
    assert (reply.error is None) or reply.error.message


def edges_answer(answer: tuple[int, bytes]) -> None:
    """What an agent reads: an answer, or an error of ours."""
    status, content = answer
    way = httpx.MockTransport(lambda _: httpx.Response(status, content=content))

    async def ask() -> None:
        http = EdgeHttp(CREDENTIAL, way)
        for kind in (ClaimsReply, HeartbeatReply, SessionReply):
            with suppress(ZthookError):
                await http.send("POST", "heartbeat", kind)
        await http.close()

    asyncio.run(ask())


RECORDED = Path(__file__).parents[1] / "overlay/zerotier-api"
ZEROTIER = [
    one for one in sorted(RECORDED.glob("*network*.json")) if not one.match("network-list*")
]
NODE = [
    path
    for pattern in ("status-*.json", "controller-*.json", "moon-*.json")
    for path in sorted(RECORDED.glob(pattern))
]
PEERS = sorted(RECORDED.glob("peer-list*.json"))
CLAIM = (
    b'{"guest":"6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11","name":"web1","public":"203.0.113.10",'
    b'"private":"192.168.122.50","mode":"nat","ports":["tcp/80:8080"],"allow":["10.0.0.0/8"]}'
)
BODIES = (
    b'{"session":1,"sequence":1,"claims":[' + CLAIM + b"]}",
    b'{"session":1,"sequence":2,"digest":"x"}',
    b'{"agent":"zthook 0.1.0","instance":"one","highest_epoch":0}',
    b'{"secret":"guessed","hostname":"kvm1"}',
)
LEASES = (
    b'[{"ip-address":"192.168.122.50","mac-address":"52:54:00:aa:00:01","hostname":"web1",'
    b'"client-id":"ff:00","expiry-time":1764070000}]',
    b'[{"iaid":"1","ip-address":"fd00::5","mac-address":"52:54:00:aa:00:01","expiry-time":0}]',
)
ANSWERS = (
    b'{"generation":3,"mappings":[{"guest":"g","asked":"203.0.113.10","public":null,'
    b'"private":null,"state":"pending","reason":"waits"}],"pools":[]}',
    b'{"error":"too_many","message":"wait","hint":""}',
    b'{"session":1,"host":"h","edge":"e","lease_seconds":60,"prefixes":[],"pools":[],'
    b'"generation":1}',
)
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 409, 429, 500, 503])
PATHS = st.sampled_from([*sorted({one.path for one in OPERATIONS}), "/v1/", "/v2/claims"])
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"])
QUERIES = anything([b"session=1&after=0", b"session=1&session=2"]).map(
    lambda query: quote_from_bytes(query, safe="/=&")
)
REQUESTS = (
    b"zthook-hook 1\0web1\0prepare\0begin\0-\0" + DOMAIN,
    b"zthook-hook 1\0web1\0migrate\0begin\0-\0" + FULL,
)

TARGETS: Mapping[str, Target] = {
    "annotation": Target(anything([FULL, DOMAIN, DEFAULT]), annotation),
    "hook": Target(anything(REQUESTS), hook),
    "token": Target(anything([LINE.encode(), write_token(NETWORKED).encode()]), token),
    "api": Target(st.tuples(METHODS, PATHS, QUERIES, anything(BODIES), st.booleans()), api),
    "config": Target(anything([EDGE.encode(), HOST.encode()]), config),
    "zerotier": Target(
        st.tuples(STATUSES, anything([one.read_bytes() for one in ZEROTIER])), zerotier
    ),
    "zerotier's node": Target(
        st.tuples(STATUSES, anything([one.read_bytes() for one in NODE])), node
    ),
    "zerotier's peers": Target(
        st.tuples(STATUSES, anything([one.read_bytes() for one in PEERS])), peers
    ),
    "dnsmasq": Target(anything(LEASES), dnsmasq),
    "admin": Target(anything([b'{"command":"echo","arguments":{"name":"home1"}}']), admin),
    "edge's answer": Target(st.tuples(STATUSES, anything(ANSWERS)), edges_answer),
}

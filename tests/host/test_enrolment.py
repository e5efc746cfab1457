"""Joining and leaving a real API on loopback, under its pinned CA."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.edge_api.standin import Stage, keys_in
from zthook.edge.api import Api, make_app
from zthook.edge.keys import EdgeKeys
from zthook.edge.refusals import Refusals
from zthook.edge.server import Listener
from zthook.errors import ConfigError, EdgeUnreachable, NotEnrolled, Refused, TokenError
from zthook.host import enrolment
from zthook.host.credential import Credential, load_credential, save_credential
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import SystemClock
from zthook.wire.token import Token, write_token

HERE = IPv4Address("127.0.0.1")


def free_port() -> int:
    with socket.socket() as link:
        link.bind((str(HERE), 0))
        return int(link.getsockname()[1])


class Edge:
    """An API that serves a :class:`Stage`'s service under keys of its own."""

    def __init__(self, keys: EdgeKeys) -> None:
        self.keys = keys
        self.stage = Stage()
        self.port = free_port()
        api = Api(
            self.stage.service,
            self.stage.worker,
            self.stage.changes,
            edge_id=keys.edge_id,
            ca_pem=keys.ca_pem,
        )
        self.app = make_app(api, Refusals(lambda: 0.0))
        self.listener = Listener(self.app, keys.server_context())

    def token(self, spends: str = "good", ca: str = "") -> str:
        known = ca or self.keys.ca_sha256
        return write_token(Token(self.keys.edge_id, known, str(HERE), self.port, spends))

    def credential(self, ca_pem: str = "") -> Credential:
        ours = ca_pem or self.keys.ca_pem
        name, secret = "home1", "credential-home1"
        return Credential(self.keys.edge_id, str(HERE), self.port, name, ours, secret)


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    made = Edge(keys_in(tmp_path / "edge"))
    await made.listener.listen(HERE, made.port)
    yield made
    made.stage.changes.close()
    await made.listener.close()
    made.stage.worker.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "credential.json"


async def join(path: Path, token: str) -> Credential:
    return await asyncio.to_thread(enrolment.join, path, token)


async def leave(path: Path, *, force: bool = False) -> Credential:
    return await asyncio.to_thread(enrolment.leave, path, force=force)


async def test_a_token_becomes_a_credential_for_root_alone(edge: Edge, path: Path) -> None:
    made = await join(path, edge.token())
    assert load_credential(path) == made
    assert (made.host, made.address, made.port) == ("home3", str(HERE), edge.port)
    assert made.credential == f"credential of {socket.gethostname()}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_host_joins_one_edge_only(edge: Edge, path: Path, tmp_path: Path) -> None:
    other = keys_in(tmp_path / "other")
    before = replace(edge.credential(other.ca_pem), edge=other.edge_id)
    save_credential(path, before)
    with pytest.raises(Refused, match=r"belongs to the edge at 127\.0\.0\.1:.* already, as home1"):
        await join(path, edge.token())
    assert "good" in edge.stage.service.secrets
    assert load_credential(path) == before


async def test_at_its_edge_a_host_takes_a_new_credential_for_the_old(
    edge: Edge, path: Path
) -> None:
    before = edge.credential()
    save_credential(path, before)
    after = await join(path, edge.token())
    assert load_credential(path) == after
    assert after.credential == f"credential of {socket.gethostname()}"
    assert edge.stage.service.shown == [before.credential]


async def test_a_token_that_is_not_taken_leaves_the_credential(edge: Edge, path: Path) -> None:
    before = edge.credential()
    save_credential(path, before)
    with pytest.raises(TokenError, match="used already"):
        await join(path, edge.token("spent"))
    assert load_credential(path) == before


async def test_who_only_names_himself_as_our_edge_is_not_shown_our_credential(
    edge: Edge, path: Path, tmp_path: Path
) -> None:
    save_credential(path, edge.credential(keys_in(tmp_path / "other").ca_pem))
    with pytest.raises(Refused, match="belongs to the edge"):
        await join(path, edge.token())
    assert edge.stage.service.shown == []


async def test_a_spent_token_leaves_nothing_behind(edge: Edge, path: Path) -> None:
    with pytest.raises(TokenError, match="used already") as refused:
        await join(path, edge.token("spent"))
    assert "zthook edge host add" in refused.value.hint
    assert not path.exists()


async def test_a_token_of_another_edge_is_not_spent_here(edge: Edge, path: Path) -> None:
    with pytest.raises(TokenError, match="not the one that made this token"):
        await join(path, edge.token(ca="0" * 64))
    assert "good" in edge.stage.service.secrets
    assert not path.exists()


async def test_joining_an_edge_that_is_away_says_so(edge: Edge, path: Path) -> None:
    edge.port = free_port()
    with pytest.raises(EdgeUnreachable, match="no edge answers"):
        await join(path, edge.token())


async def test_leaving_is_told_to_the_edge_and_forgotten_here(edge: Edge, path: Path) -> None:
    save_credential(path, edge.credential())
    await leave(path)
    assert not path.exists()
    assert "home1" not in edge.stage.service.hosts.values()


async def test_leaving_an_edge_that_forgot_us_is_fine(edge: Edge, path: Path) -> None:
    save_credential(path, edge.credential())
    edge.stage.service.hosts.clear()
    await leave(path)
    assert not path.exists()


async def test_an_edge_that_is_away_is_left_only_by_force(edge: Edge, path: Path) -> None:
    edge.port = free_port()
    save_credential(path, edge.credential())
    with pytest.raises(EdgeUnreachable):
        await leave(path)
    assert path.exists()
    await leave(path, force=True)
    assert not path.exists()


async def test_who_belongs_to_no_edge_can_not_leave(path: Path) -> None:
    with pytest.raises(NotEnrolled):
        await leave(path)


def test_a_damaged_credential_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"edge": 5}')
    with pytest.raises(ConfigError, match="credential is damaged"):
        load_credential(path)


async def test_the_client_speaks_to_the_real_api(edge: Edge) -> None:
    client = EdgeClient(edge.credential(), SystemClock())
    await client.greet()
    assert client.session is not None
    assert client.session.host == "home1"
    assert (await client.list_claims(list)).mappings == []
    await client.heartbeat()
    waiting = asyncio.create_task(client.changes(client.generation))
    await edge.stage.waiting("home1")
    edge.stage.changed("home1")
    assert await asyncio.wait_for(waiting, 5) == 2
    assert client.list_due
    sources = {source for _, _, source in edge.stage.service.asked}
    assert sources == {HERE}
    await client.close()


async def test_another_machine_at_the_edges_address_gets_nothing(
    edge: Edge, tmp_path: Path
) -> None:
    other = keys_in(tmp_path / "other")
    client = EdgeClient(edge.credential(other.ca_pem), SystemClock())
    with pytest.raises(EdgeUnreachable, match="is not the edge this host joined"):
        await client.greet()
    assert edge.stage.service.asked == []
    await client.close()

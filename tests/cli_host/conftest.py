"""A command line, libvirt's test driver with one running guest, and an agent that answers."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
import msgspec
import pytest

from tests.cli_edge.conftest import zthook
from zthook.config.places import Places
from zthook.config.settings import HostSettings, OverlaySettings
from zthook.config.writing import write_host
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView, TrafficView
from zthook.hypervisor.events import start_event_loop
from zthook.model.mappings import MappingState
from zthook.model.paths import OverlayPath
from zthook.wire import control_server

__all__ = ["zthook"]

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
"""Of the guest `test` that libvirt's test driver has, running, in test:///default."""
PUBLIC = "203.0.113.10"
SINCE = 1_700_000_000.0

ACTIVE = MappingView(
    guest="test",
    uuid=UUID,
    guest_state="running",
    asked=PUBLIC,
    public=PUBLIC,
    private="192.168.122.50",
    source="DHCP lease",
    mode="nat",
    client="keep",
    state=MappingState.ACTIVE,
    since=SINCE,
    egress="home",
    traffic=TrafficView(1_200_000, 900, 831, 10, rate_in=30_000.0, rate_out=0.0),
)
HEALTHY = Health(up=True, since=SINCE)
STATUS = AgentStatus(
    version="0.1.0",
    host="home1",
    edge="192.168.193.222:9443",
    edge_health=HEALTHY,
    libvirt_health=HEALTHY,
    overlay_health=HEALTHY,
    overlay_path=OverlayPath(direct=True, latency=0.0124),
    kernel_health=HEALTHY,
    lease_age=3.0,
    lease_seconds=60.0,
    mappings=[ACTIVE],
)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The three folders, moved below the test's own."""
    for name, folder in (("CONFIG", "etc"), ("STATE", "lib"), ("RUNTIME", "run")):
        monkeypatch.setenv(f"ZTHOOK_{name}_DIR", str(tmp_path / folder))
    return Places.from_environment()


@dataclass
class Agent:
    """``status`` is what it answers; ``hints`` counts the commands that made it look."""

    status: AgentStatus
    hints: int = 0
    on_hint: Callable[[], None] = field(default=lambda: None)

    def show(self, *mappings: MappingView, **more: Any) -> None:
        self.status = msgspec.structs.replace(self.status, mappings=list(mappings), **more)

    async def answer(self, _arguments: dict[str, Any]) -> AgentStatus:
        return self.status

    async def look(self, _arguments: dict[str, Any]) -> None:
        self.hints += 1
        self.on_hint()


@pytest.fixture
def agent(places: Places) -> Iterator[Agent]:
    """An agent that answers at this test's socket."""
    made = Agent(STATUS)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = control_server.serve(places.agent_socket, {"status": made.answer, "apply": made.look})
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@dataclass
class Guest:
    """The test driver's guest; ``persistent`` and ``live`` are its XML."""

    domain: Any

    @property
    def live(self) -> str:
        return str(self.domain.XMLDesc(0))

    @property
    def persistent(self) -> str:
        return str(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def put(self, element: str, *, live: bool) -> None:
        flag = libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        self.domain.setMetadata(kind, element, "zthook", "urn:zthook:1", flag)


@pytest.fixture
def guest(places: Places) -> Iterator[Guest]:
    """The guest `test`, in libvirt's own test driver, whose state lasts while this is open."""
    start_event_loop()
    uri = "test:///default"
    write_host(
        places.host_config,
        HostSettings(OverlaySettings("interface", interface="zt0"), libvirt_uri=uri),
    )
    connection = libvirt.open(uri)
    yield Guest(connection.lookupByName("test"))
    connection.close()

"""One real libvirtd for all tests that want one, in namespaces of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hook.fake_agent import FakeAgent, hangs_after_reading
from tests.lab.host import Host
from tests.lab.lab import Lab

HOOK = Path(__file__).parents[2] / "hooks" / "qemu"


def uri(host: Host) -> str:
    return f"qemu+unix:///system?socket={host.place('/run/libvirt')}/libvirt-sock"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def hook_socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the installed hook asks; nobody listens there until a test does."""
    return tmp_path_factory.mktemp("hook") / "hook.sock"


@pytest.fixture(scope="session")
def started(lab: Lab, hook_socket: Path) -> Host:
    """A host with our hook installed and its libvirtd running."""
    host = lab["home1"]
    host.install_hook(HOOK, hook_socket)
    host.libvirtd.start()
    return host


@pytest.fixture
def host(started: Host) -> Host:
    """The same; its libvirtd runs and answers, whatever the test before did to it."""
    if not started.libvirtd.process.running:
        started.libvirtd.start()
    return started


@pytest.fixture
def hung_agent(hook_socket: Path) -> Iterator[FakeAgent]:
    hook_socket.unlink(missing_ok=True)
    with FakeAgent(hook_socket, hangs_after_reading).running() as agent:
        yield agent
    hook_socket.unlink(missing_ok=True)

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from os import getpid
from pathlib import Path
from typing import TypeVar

import pytest
from pyroute2 import netns

from tests.overlay.fake_zerotier import FakeZeroTier, running
from zthook.errors import KernelError
from zthook.model.addresses import IPAddress
from zthook.model.mappings import OverlayDevice

T = TypeVar("T")


class Namespace:
    """A network namespace, and a thread that is in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(netns.setns, name).result()

    def run(self, call: Callable[[], T]) -> T:
        return self._thread.submit(call).result(timeout=60)

    def ip(self, arguments: str) -> None:
        subprocess.run(["ip", "-n", self.name, *arguments.split()], check=True)

    def close(self) -> None:
        self._thread.shutdown()


class Kernel:
    """Devices by name, as the kernel would have them."""

    def __init__(self) -> None:
        self.devices: dict[str, OverlayDevice] = {}
        self.error = ""

    def add(self, name: str, *addresses: IPAddress | str, mac: str = "7a:98:80:23:20:f2") -> None:
        own = tuple(IPv4Address(one) if isinstance(one, str) else one for one in addresses)
        self.devices[name] = OverlayDevice(name, 7, mac, 2800, own)

    def lose_addresses(self, name: str) -> None:
        self.devices[name] = replace(self.devices[name], addresses=())

    def __call__(self, name: str) -> OverlayDevice | None:
        if self.error:
            raise KernelError(self.error)
        return self.devices.get(name)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def zerotier(tmp_path: Path) -> Iterator[FakeZeroTier]:
    with running(tmp_path / "zerotier-one") as fake:
        yield fake


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"zthook-overlay-{getpid()}"
    netns.create(name)
    try:
        namespace = Namespace(name)
        yield namespace
        namespace.close()
    finally:
        netns.remove(name)

"""Any order of anything once more, over the real kernel in a network namespace."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pyroute2 import netns

from tests.edge.machine import AnyOrder
from tests.edge.test_any_order import run
from tests.edge.world import EDGE_ADDRESS, Inside, overlay_mac
from zthook.kernel.edge.dataplane import EdgeDataplane, KernelEdgeDataplane
from zthook.kernel.edge.linux import LinuxEdgeKernel
from zthook.kernel.edge.plan import Seen
from zthook.model.mappings import EdgePlane

NEIGHBOURS = [EDGE_ADDRESS + number for number in (10, 11, 12, 110, 111, 112)]
"""Where the machine's three hosts are on the overlay, before and after they move."""


class RealInside:
    """The kernel of the namespace that this thread is in; a second look at it is ours."""

    def __init__(self) -> None:
        self.observer = LinuxEdgeKernel()

    def dataplane(self) -> EdgeDataplane:
        return KernelEdgeDataplane()

    def look(self, plane: EdgePlane) -> Seen:
        return self.observer.look(plane)

    def flush(self) -> None:
        subprocess.run(["nft", "flush", "ruleset"], check=True)

    def fail_at(self, step: int, error: Exception | None) -> None:
        """The real kernel fails at no step of its own."""

    def heal(self) -> None:
        """Nor has it to be healed."""


class OnTheKernel(AnyOrder):
    """The same over nftables, routes and neighbours that are really there."""

    def make_kernel(self) -> Inside:
        self.real = RealInside()
        return self.real

    def teardown(self) -> None:
        super().teardown()
        self.real.observer.close()


@contextmanager
def namespace() -> Iterator[ThreadPoolExecutor]:
    """A thread inside a namespace that has an overlay, two uplinks, and known neighbours."""
    name = f"edge-order-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with ThreadPoolExecutor(1, initializer=netns.setns, initargs=(name,)) as inside:
            inside.submit(_lay_cables).result(timeout=30)
            yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def _lay_cables() -> None:
    for device in ("zt0", "up0", "up1"):
        _ip(f"link add {device} type veth peer name far-{device}")
        _ip(f"link set far-{device} up")
        _ip(f"link set {device} up")
    _ip(f"address add {EDGE_ADDRESS}/24 dev zt0")
    _ip("address add 203.0.113.2/24 dev up0")
    for address in NEIGHBOURS:
        _ip(f"neighbour replace {address} lladdr {overlay_mac(address)} dev zt0 nud permanent")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@pytest.mark.netns
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
def test_on_the_real_kernel() -> None:
    with namespace() as inside:
        inside.submit(run, OnTheKernel, examples=6, steps=20).result(timeout=110)

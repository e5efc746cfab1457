"""A lab for benchmarks: an edge, a host with hook and agent, and one with libvirtd alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.end_to_end.conftest import enrol
from tests.lab.lab import Lab

PUBLICS = [f"203.0.113.{number}" for number in range(100, 200)]
POOL = {"hk": f"{PUBLICS[0]}-{PUBLICS[-1]}"}


@contextmanager
def benched() -> Iterator[Lab]:
    """``home1`` belongs to the edge; ``home2`` has no hook and no agent."""
    with Lab() as lab:
        lab.edge.daemon.init(POOL)
        lab.edge.daemon.start()
        enrol(lab, lab["home1"])
        lab["home2"].libvirtd.start()
        yield lab

"""One topology a test: a second to make, and nothing of one test is left for the next."""

from collections.abc import Iterator

import pytest

from tests.kernel.driver import CONFIGURED, Edge
from tests.kernel.topology import Topology


@pytest.fixture
def top() -> Iterator[Topology]:
    """A fresh topology."""
    with Topology() as made:
        yield made


@pytest.fixture
def edge(top: Topology) -> Iterator[Edge]:
    """A dataplane inside the topology's edge that was not applied yet."""
    one = Edge(top)
    one.configure(CONFIGURED)
    try:
        yield one
    finally:
        one.stop()

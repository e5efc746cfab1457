"""One topology a test: a second to make, and nothing of one test is left for the next."""

from collections.abc import Iterator

import pytest

from tests.kernel.driver import CONFIGURED, Edge
from tests.kernel.topology import Topology


@pytest.fixture
def version() -> int:
    """The IP version that is spoken, unless a test is parametrized with both."""
    return 4


@pytest.fixture
def top(version: int) -> Iterator[Topology]:
    """A fresh topology."""
    with Topology(version=version) as made:
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

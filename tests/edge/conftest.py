"""One edge a test, over the ledger in memory and the fake kernel."""

import pytest

from tests.edge.world import Edge


@pytest.fixture
def edge() -> Edge:
    return Edge()

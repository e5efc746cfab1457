from collections.abc import Iterator

import pytest

from tests.edge_api.standin import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.worker.close()

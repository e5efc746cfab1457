from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.edge_api.running import HERE, Running
from tests.edge_api.standin import Stage, keys_in
from zthook.edge.keys import EdgeKeys


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.worker.close()


@pytest.fixture
def keys(tmp_path: Path) -> EdgeKeys:
    return keys_in(tmp_path)


@pytest.fixture
async def running(stage: Stage, keys: EdgeKeys) -> AsyncIterator[Running]:
    made = Running(stage, keys)
    await made.listener.listen(HERE, made.port)
    yield made
    stage.changes.close()
    await made.listener.close()

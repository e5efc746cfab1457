from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge_web.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    async with made.serving():
        yield made


@pytest.fixture
def token(stage: Stage) -> str:
    return stage.web.renew().token

import pytest

from tests.host.standins import Home


@pytest.fixture
async def home() -> Home:
    return Home()

"""The machine that install.sh is tried on."""

from pathlib import Path

import pytest

from tests.install.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)

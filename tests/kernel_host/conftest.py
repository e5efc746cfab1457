"""The home with its packets, made once; each test leaves it as it was."""

from collections.abc import Iterator

import pytest

from tests.kernel_host.home import Home
from zthook.kernel.host import KernelHostDataplane


@pytest.fixture(scope="package")
def built() -> Iterator[Home]:
    home = Home()
    try:
        yield home
    finally:
        home.close()


@pytest.fixture
def home(built: Home) -> Iterator[Home]:
    for echo in (*built.echo.values(), built.other_echo):
        echo.heard.clear()
    return built


@pytest.fixture
def dataplane(home: Home) -> Iterator[KernelHostDataplane]:
    """The host's, taken away without a trace at the end."""
    inside = home.inside["host"]
    one = home.dataplane()
    yield one
    inside(one.apply, None)
    inside(one.close)

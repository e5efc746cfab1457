"""The home with its packets, made once; each test leaves it as it was."""

from collections.abc import Iterator

import pytest

from tests.kernel_host.home import Home, Spoken


@pytest.fixture(scope="package")
def built() -> Iterator[Home]:
    home = Home()
    try:
        yield home
    finally:
        home.close()


@pytest.fixture
def version() -> int:
    """The IP version that is spoken; tests of both are parametrized with it."""
    return 4


@pytest.fixture
def home(built: Home, version: int) -> Iterator[Home]:
    built.version = version
    for echo in (*built.echo.values(), built.other_echo):
        echo.heard.clear()
    return built


@pytest.fixture
def dataplane(home: Home) -> Iterator[Spoken]:
    """The host's, taken away without a trace at the end."""
    inside = home.inside["host"]
    one = home.dataplane()
    yield one
    inside(one.apply, None)
    inside(one.close)

"""Labs for tests; each is shared by the tests of one module, which leave it as they found it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Host, Lab

HOOK = Path(__file__).parents[2] / "hooks" / "qemu"
LOGS = Path(__file__).parents[2] / "build" / "lab-logs"
"""What the programs of each module's last lab wrote."""


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with two hosts; nothing is started on them."""
    with Lab(keep=LOGS / Path(request.path).stem) as lab:
        yield lab


@pytest.fixture(scope="module")
def home1(lab: Lab) -> Host:
    """The first host: a libvirtd that knows our hook."""
    return _started(lab["home1"])


@pytest.fixture(scope="module")
def home2(lab: Lab) -> Host:
    """The second host, likewise."""
    return _started(lab["home2"])


def _started(host: Host) -> Host:
    host.install_hook(HOOK)
    host.libvirtd.start()
    return host

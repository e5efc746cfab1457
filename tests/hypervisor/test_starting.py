"""Starting what is marked for autostart, on libvirt's test driver."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import libvirt
import pytest

from zthook.errors import HypervisorUnavailable, Refused
from zthook.hypervisor.events import start_event_loop
from zthook.hypervisor.starting import start_autostart

URI = "test:///default"


@pytest.fixture
def domain() -> Iterator[Any]:
    """The driver's one guest; its state lasts as long as this connection."""
    start_event_loop()
    connection = libvirt.open(URI)
    yield connection.lookupByName("test")
    connection.close()


def uuid(domain: Any) -> UUID:
    return UUID(domain.UUIDString())


def test_a_marked_guest_that_does_not_run_is_started(domain: Any) -> None:
    domain.setAutostart(1)
    domain.destroy()
    assert start_autostart(URI, uuid(domain))
    assert domain.isActive()


def test_one_that_runs_is_left_alone(domain: Any) -> None:
    domain.setAutostart(1)
    assert not start_autostart(URI, uuid(domain))


def test_one_that_is_not_marked_stays_off(domain: Any) -> None:
    domain.destroy()
    assert not start_autostart(URI, uuid(domain))
    assert not domain.isActive()


def test_a_guest_that_is_gone_is_named(domain: Any) -> None:
    with pytest.raises(Refused, match="did not start guest"):
        start_autostart(URI, UUID(int=5))


def test_no_libvirt_is_unavailable() -> None:
    with pytest.raises(HypervisorUnavailable):
        start_autostart("test:///nowhere/at/all", UUID(int=5))

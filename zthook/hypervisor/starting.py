"""Guests that are to start with their host and could not: finds and starts them; blocking."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from zthook.annotation import read_domain
from zthook.errors import AnnotationError, HypervisorUnavailable, Refused
from zthook.hypervisor.events import start_event_loop
from zthook.hypervisor.lane import Lane

T = TypeVar("T")

SECONDS = 60.0
"""A start waits for hooks, and on a busy host for the emulator."""


def failed_autostarts(uri: str) -> list[tuple[UUID, str]]:
    """The guests, by UUID and name, that are marked for autostart, insist on an address, and
    were kept from starting the last time, whoever tried; libvirt knows that until it is
    restarted.

    Raises HypervisorUnavailable.
    """
    return _within_deadline(uri, lambda: _failed(uri))


def start_autostart(uri: str, guest: UUID) -> bool:
    """Start the guest where it is marked for autostart and does not run; whether it was.

    Raises Refused with libvirt's words where the start failed, HypervisorUnavailable.
    """
    return _within_deadline(uri, lambda: _start(uri, guest))


def _within_deadline(uri: str, call: Callable[[], T]) -> T:
    lane = Lane(f"libvirt at {uri}")
    job = lane.submit(call)
    try:
        return job.result(SECONDS)
    except TimeoutError:
        raise lane.give_up(job, SECONDS) from None
    finally:
        lane.close()


@contextmanager
def _connected(uri: str) -> Iterator[Any]:
    start_event_loop()
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorUnavailable(
            f"libvirt at {uri}: {error}", hint="is libvirtd running? (virsh list)"
        ) from error
    try:
        yield connection
    finally:
        connection.close()


def _failed(uri: str) -> list[tuple[UUID, str]]:
    flags = libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE | libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART
    with _connected(uri) as connection:
        try:
            found = [one for one in connection.listAllDomains(flags) if _was_kept_off(one)]
        except libvirt.libvirtError as error:
            raise HypervisorUnavailable(f"libvirt at {uri}: {error}") from error
        return [(UUID(domain.UUIDString()), domain.name()) for domain in found]


def _was_kept_off(domain: Any) -> bool:
    if tuple(domain.state()) != (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED):
        return False
    try:
        return read_domain(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).encode()).required
    except AnnotationError:
        return False


def _start(uri: str, guest: UUID) -> bool:
    with _connected(uri) as connection:
        try:
            domain = connection.lookupByUUIDString(str(guest))
            if domain.isActive() or not domain.autostart():
                return False
            domain.create()
        except libvirt.libvirtError as error:
            raise Refused(f"libvirt did not start guest {guest}: {error}") from error
    return True

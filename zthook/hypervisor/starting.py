"""Starts a guest that is to start with its host and could not; blocking."""

from uuid import UUID

import libvirt

from zthook.errors import HypervisorUnavailable, Refused
from zthook.hypervisor.events import start_event_loop
from zthook.hypervisor.lane import Lane

SECONDS = 60.0
"""A start waits for hooks, and on a busy host for the emulator."""


def start_autostart(uri: str, guest: UUID) -> bool:
    """Start the guest where it is marked for autostart and does not run; whether it was.

    Raises Refused with libvirt's words where the start failed, HypervisorUnavailable.
    """
    lane = Lane(f"libvirt at {uri}")
    job = lane.submit(lambda: _start(uri, guest))
    try:
        return job.result(SECONDS)
    except TimeoutError:
        raise lane.give_up(job, SECONDS) from None
    finally:
        lane.close()


def _start(uri: str, guest: UUID) -> bool:
    start_event_loop()
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorUnavailable(
            f"libvirt at {uri}: {error}", hint="is libvirtd running? (virsh list)"
        ) from error
    try:
        domain = connection.lookupByUUIDString(str(guest))
        if domain.isActive() or not domain.autostart():
            return False
        domain.create()
    except libvirt.libvirtError as error:
        raise Refused(f"libvirt did not start guest {guest}: {error}") from error
    finally:
        connection.close()
    return True

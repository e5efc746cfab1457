"""libvirt's own event loop in one daemon thread, and what is listened for.

libvirt's asyncio adapter (libvirtaio) calls ``ensure_future`` from whichever thread calls
libvirt, which loses events. The default implementation and ``call_soon_threadsafe`` do not.
"""

import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from uuid import UUID

import libvirt

from zthook.hypervisor.contract import Happened, Hint, OnHint

Connection = Any
"""A libvirt.virConnect; the binding has no types."""

DOMAIN_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
)
NETWORK_EVENTS = (libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE,)


@cache
def start_event_loop() -> None:
    """Start the process's one libvirt event loop; must come before a connection is opened."""
    # Errors are raised, and say more there; the library prints them to stderr besides.
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn, name="libvirt-events", daemon=True).start()


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def supported(call: Callable[[], Any]) -> Any:
    """The call's result, or None where this driver of libvirt has no such thing."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return None
        raise


def meaning(event: int, detail: int) -> Happened | None:
    """What a lifecycle event says that a listing does not."""
    if event in {libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED}:
        return Happened.DEFINED
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        left = detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED
        return Happened.MIGRATED if left else Happened.STOPPED
    return None


class Subscription:
    """Calls ``hint`` for each event of a connection, and ``lost`` when it breaks.

    Both are called in libvirt's thread and must not call libvirt.
    """

    def __init__(self, connection: Connection, hint: OnHint, lost: Callable[[], None]) -> None:
        def said(*_: object) -> None:
            hint(Hint())

        def lived(_connection: object, domain: Any, event: int, detail: int, _: object) -> None:
            hint(Hint(UUID(domain.UUIDString()), meaning(event, detail)))

        def edited(_connection: object, domain: Any, *_: object) -> None:
            # Live, defined, or both: the event does not say.
            hint(Hint(UUID(domain.UUIDString()), Happened.DEFINED))

        callbacks = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: lived,
            libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: edited,
            **dict.fromkeys(DOMAIN_EVENTS, said),
        }
        self._connection = connection
        supported(partial(connection.registerCloseCallback, lambda *_: lost(), None))
        self._domain = [
            supported(partial(connection.domainEventRegisterAny, None, event, callback, None))
            for event, callback in callbacks.items()
        ]
        self._network = [
            supported(partial(connection.networkEventRegisterAny, None, event, said, None))
            for event in NETWORK_EVENTS
        ]

    def end(self) -> None:
        """Let go of the callbacks, which would keep the connection; also of a dead one."""
        ends: list[Callable[[], Any]] = [self._connection.unregisterCloseCallback]
        ends += [
            partial(self._connection.domainEventDeregisterAny, number)
            for number in self._domain
            if number is not None
        ]
        ends += [
            partial(self._connection.networkEventDeregisterAny, number)
            for number in self._network
            if number is not None
        ]
        for end in ends:
            try:
                end()
            except libvirt.libvirtError:
                continue  # the daemon is gone: what it would have been told has no effect

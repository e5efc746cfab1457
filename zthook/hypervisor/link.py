"""A libvirt connection that is opened when it is needed, and the one thread that uses it."""

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

import libvirt

from zthook.errors import HypervisorUnavailable
from zthook.hypervisor.contract import OnHint
from zthook.hypervisor.events import Connection, Subscription, start_event_loop, supported
from zthook.hypervisor.lane import Lane

log = logging.getLogger(__name__)
T = TypeVar("T")

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3
"""A libvirtd that is silent for so long is given up; what waits for it then fails."""


def nothing(*_: object) -> None:
    """For who needs no callback."""


class Link:
    """Calls of one connection, one after another; it is opened again when it broke.

    The callbacks are called in threads of ours and must not block: ``opened`` after each
    opening, ``hint`` for each event, ``lost`` when the connection broke, ``recovered`` when a
    call that hung has returned.
    """

    def __init__(
        self,
        uri: str,
        *,
        opened: Callable[[], None] = nothing,
        hint: OnHint = nothing,
        lost: Callable[[], None] = nothing,
        recovered: Callable[[], None] = nothing,
    ) -> None:
        self.uri = uri
        self._opened = opened
        self._hint = hint
        self._lost = lost
        self._lane = Lane(f"libvirt at {uri}", recovered)
        self._connection: Connection | None = None
        self._subscription: Subscription | None = None

    async def call(self, work: Callable[[Connection], T], seconds: float) -> T:
        """``work``'s result. Raises HypervisorUnavailable for whatever libvirt raises."""
        return await self._lane.call(lambda: self._call(work), seconds)

    async def close(self, seconds: float) -> None:
        """Close the connection; one that hangs is left to the end of the process."""
        with contextlib.suppress(HypervisorUnavailable):
            await self._lane.call(self._drop, seconds)
        self._lane.close()

    def _call(self, work: Callable[[Connection], T]) -> T:
        try:
            return work(self._usable())
        except libvirt.libvirtError as error:
            raise HypervisorUnavailable(
                f"libvirt at {self.uri}: {error}", hint="is libvirtd running? (virsh list)"
            ) from error

    def _usable(self) -> Connection:
        if self._connection is not None and not self._connection.isAlive():
            self._drop()
        if self._connection is None:
            self._open()
        return self._connection

    def _open(self) -> None:
        start_event_loop()
        connection = libvirt.open(self.uri)
        supported(lambda: connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT))
        self._subscription = Subscription(connection, self._hint, self._lost)
        self._connection = connection
        self._opened()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.end()
        if connection is not None:
            try:
                connection.close()
            except libvirt.libvirtError as error:
                log.debug("closing %s: %s", self.uri, error)

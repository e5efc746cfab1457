"""Whether something the agent depends on answers, since when, and what it said last."""

import logging
from collections.abc import Callable

import msgspec

from zthook.errors import Permanent, ZthookError
from zthook.model.clock import Clock

log = logging.getLogger("zthook.agent")


class Health(msgspec.Struct, frozen=True):
    """``up`` None: not tried yet. ``since`` is Unix time.

    ``refusing``: it is not up for us, as it answers, but with no.
    """

    up: bool | None
    since: float
    error: str = ""
    hint: str = ""
    refusing: bool = False


class Pulse:
    """Follows the health of ``name`` and tells of each change, once, in the log."""

    def __init__(self, name: str, clock: Clock, on_change: Callable[[], None] = lambda: None):
        self.name = name
        self._clock = clock
        self._on_change = on_change
        self.health = Health(None, clock.now())

    @property
    def up(self) -> bool:
        """Whether it answered last time."""
        return self.health.up is True

    def good(self) -> None:
        """It answered."""
        if not self.up:
            self._change(Health(up=True, since=self._since(up=True)))
            log.info("%s answers", self.name)

    def bad(self, error: ZthookError) -> None:
        """It did not."""
        if self.health.up is not False or self.health.error != error.message:
            self._change(
                Health(
                    up=False,
                    since=self._since(up=False),
                    error=error.message,
                    hint=error.hint,
                    refusing=isinstance(error, Permanent),
                )
            )
            log.warning("%s: %s", self.name, error.message)

    def _since(self, *, up: bool) -> float:
        return self.health.since if up is self.health.up else self._clock.now()

    def _change(self, health: Health) -> None:
        turned = health.up is not self.health.up
        self.health = health
        if turned:
            self._on_change()

"""Who is here: each host's time-limited right to its mappings, in memory."""

from collections.abc import Iterable

from zthook.model.clock import Clock


class Leases:
    """Leases by host name, on ``clock.boottime()``; ``seconds`` and ``grace`` may be changed.

    A lease that was never begun is not live.
    """

    def __init__(self, clock: Clock, seconds: float, grace: float) -> None:
        self.seconds = seconds
        self.grace = grace
        self._clock = clock
        self._until: dict[str, float] = {}
        self._told_ended: set[str] = set()
        self._told_over: set[str] = set()

    def renew(self, host: str) -> bool:
        """A full period from now; whether the lease had not been live."""
        began = not self.live(host)
        self._until[host] = self._clock.boottime() + self.seconds
        self._told_ended.discard(host)
        self._told_over.discard(host)
        return began

    def live(self, host: str) -> bool:
        """Whether the host has its lease now."""
        left = self.left(host)
        return left is not None and left > 0

    def left(self, host: str) -> float | None:
        """Seconds until the lease ends, negative since it has; None without one."""
        until = self._until.get(host)
        return None if until is None else until - self._clock.boottime()

    def forget(self, host: str) -> None:
        """The host is removed."""
        self._until.pop(host, None)
        self._told_ended.discard(host)
        self._told_over.discard(host)

    def ended(self) -> list[str]:
        """Hosts whose lease ended, and of whom this was not ``told`` yet."""
        return self._passed(0.0, self._told_ended)

    def grace_over(self) -> list[str]:
        """Hosts whose lease and grace both ended, and of whom this was not ``told`` yet."""
        return self._passed(self.grace, self._told_over)

    def told(self, ended: Iterable[str], over: Iterable[str]) -> None:
        """What follows from these ends is decided, and need not be again."""
        self._told_ended.update(ended)
        self._told_over.update(over)

    def _passed(self, grace: float, told: set[str]) -> list[str]:
        now = self._clock.boottime()
        return [
            host for host, until in self._until.items() if now >= until + grace and host not in told
        ]

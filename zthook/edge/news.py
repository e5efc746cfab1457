"""Which hosts have something new to hear."""

from collections.abc import Callable

from zthook.edge.sight import Sight
from zthook.store.ledger import ClaimKey

ClaimSeen = tuple[Sight, int, str, str | None, str | None]
"""What a host is told of a claim: its sight, epoch, public and private address, and which
private one its guest brings along from another host."""


class News:
    """A generation for each host; it rises when what the host is told of a claim changes.

    ``notify`` is called with the name of each such host.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._start = 0
        self._notify = notify
        self._generation: dict[str, int] = {}
        self._told: dict[str, dict[ClaimKey, ClaimSeen]] = {}

    def begin(self, start: int) -> None:
        """Generations begin at ``start``, which has to be above all of an earlier daemon's."""
        self._start = start

    def generation(self, host: str) -> int:
        """The host's number as it is now."""
        return self._generation.get(host, self._start)

    def tell(self, public: str, seen: dict[ClaimKey, ClaimSeen]) -> None:
        """This is so for a public address now, by claim; tell whom it concerns."""
        before = self._told.pop(public, {})
        if seen:
            self._told[public] = seen
        keys = before.keys() | seen.keys()
        for host in sorted({key[0] for key in keys if before.get(key) != seen.get(key)}):
            self.wake(host)

    def wake(self, host: str) -> None:
        """Let the host look again."""
        self._generation[host] = self.generation(host) + 1
        self._notify(host)

"""Which hosts have something new to hear."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

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
        # By public address: what each host was told of it, as a hash, where that is known.
        self._told: dict[str, tuple[tuple[str, int], ...]] = {}

    def begin(self, start: int) -> None:
        """Generations begin at ``start``, which has to be above all of an earlier daemon's."""
        self._start = start

    def generation(self, host: str) -> int:
        """The host's number as it is now."""
        return self._generation.get(host, self._start)

    def tell(
        self, public: str, seen: dict[ClaimKey, ClaimSeen], others: Collection[str] = ()
    ) -> None:
        """This is so for a public address now, by claim; tell whom it concerns.

        ``others`` are hosts that may have been told of it before: it counts where nothing is
        known of that, as of everything after the daemon's start.
        """
        said = _by_host(seen)
        before = self._told.pop(public, None)
        if said:
            self._told[public] = said
        if before is None:
            concerned = {host for host, _ in said}.union(others)
        else:
            concerned = {host for host, _ in {*said} ^ {*before}}
        for host in sorted(concerned):
            self.wake(host)

    def tell_all(self, hosts: Iterable[str]) -> None:
        """Everything may be otherwise now, for all of these."""
        self._told.clear()
        for host in hosts:
            self.wake(host)

    def wake(self, host: str) -> None:
        """Let the host look again."""
        self._generation[host] = self.generation(host) + 1
        self._notify(host)

    def nudge(self, host: str) -> None:
        """Let whoever waits for the host's news see whether it still may."""
        self._notify(host)


def _by_host(seen: dict[ClaimKey, ClaimSeen]) -> tuple[tuple[str, int], ...]:
    """Kept for every address of an edge: a number has to do for what a host was told."""
    found: defaultdict[str, set[tuple[ClaimKey, ClaimSeen]]] = defaultdict(set)
    for key, one in seen.items():
        found[key[0]].add((key, one))
    return tuple((host, hash(frozenset(some))) for host, some in found.items())

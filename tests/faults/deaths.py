"""A process that ends at a chosen moment; what was durable then stays, and nothing comes after."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from zthook.kernel.edge.fake import Crash, FakeEdgeKernel
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.model.mappings import HostPlane, OverlayDevice
from zthook.store.ledger import Ledger


class Fate:
    """Every moment at which a process may end is named here, in order.

    ``end_at(n)``: the n-th from then on (0 is the next) is its last, and every later one
    raises as well, whatever the process still tries. ``watch`` is called at each.
    """

    def __init__(self) -> None:
        self.moments: list[str] = []
        self.ended = False
        self.watch: Callable[[], None] = lambda: None
        self._left: int | None = None

    def end_at(self, moment: int | None) -> None:
        """Begin anew, with an end or (None) without."""
        self.moments, self._left, self.ended = [], moment, False

    def moment(self, name: str) -> None:
        """The process is about to do this, or has just done it."""
        if self.ended:
            raise Crash
        self.moments.append(name)
        self.watch()
        if self._left is None:
            return
        if self._left == 0:
            self.ended = True
            raise Crash
        self._left -= 1


class MortalKernel(FakeEdgeKernel):
    """The edge's kernel; its daemon may end before each single change."""

    def __init__(self, fate: Fate, device: OverlayDevice) -> None:
        super().__init__(device)
        self._fate = fate

    def _step(self, name: str) -> None:
        self._fate.moment(f"before {name}")
        super()._step(name)

    def reboot(self) -> None:
        """Nothing of ours is left, and the machine forgot its connections."""
        self.flush()
        self.connections.clear()
        for some in (self.routes, self.proxies, self.rules):
            some.clear()
        self.opened = frozenset()
        self.sysctls = dict.fromkeys(self.sysctls, "0")


class MortalLedger:
    """Hands everything on to a ledger; the daemon may end before each commit and after it."""

    def __init__(self, inner: Ledger, fate: Fate) -> None:
        self.inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def as_ledger(self) -> Ledger:
        return cast("Ledger", self)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self.inner.transaction():
            yield
            self._fate.moment("before the commit")
        self._fate.moment("after the commit")


class MortalHostDataplane:
    """Hands every call on; before a change of the kernel and after it the agent may end."""

    def __init__(self, dataplane: KernelHostDataplane, fate: Fate) -> None:
        self._dataplane = dataplane
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataplane, name)

    def apply(self, desired: HostPlane | None) -> list[str]:
        self._fate.moment("before the kernel changes")
        lines = self._dataplane.apply(desired)
        self._fate.moment("after the kernel changed")
        return lines

"""A store that fails and a process that dies, at any step."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

from zthook.errors import StoreError
from zthook.kernel.edge.fake import Crash
from zthook.store.ledger import Ledger


class TroubledLedger:
    """Hands everything on to a ledger, but for the transactions that it is told to spoil.

    ``fails_in``: a full disk after so many more transactions. ``dies_in``: Crash after
    so many, before the commit (``dies_before``) or after.
    """

    def __init__(self, inner: Ledger) -> None:
        self.inner = inner
        self.fails_in: int | None = None
        self.dies_in: int | None = None
        self.dies_before = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def as_ledger(self) -> Ledger:
        return cast("Ledger", self)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        fails, self.fails_in = _count_down(self.fails_in)
        dies, self.dies_in = _count_down(self.dies_in)
        with self.inner.transaction():
            yield
            if fails:
                raise StoreError("the store can not be used: disk full")
            if dies and self.dies_before:
                raise Crash
        if dies:
            raise Crash


def _count_down(left: int | None) -> tuple[bool, int | None]:
    """Whether it is now, and what is left."""
    if left is None:
        return False, None
    return (True, None) if left == 0 else (False, left - 1)

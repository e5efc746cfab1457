"""The ledger on disk for who only looks, while its daemon works on it or none runs."""

import sqlite3
from pathlib import Path

from zthook.errors import StoreError
from zthook.store import schema
from zthook.store.rows import HostRow
from zthook.store.sqlite import SqliteLedger


class ReadLedger(SqliteLedger):
    """A ``Ledger`` that can not be changed, and takes no lock. Raises StoreError as that does."""

    def __init__(self, path: Path) -> None:
        self.fault = ""
        self._path = path
        self._hosts, self._named = {}, {}
        with self._explained():
            place = f"{path.absolute().as_uri()}?mode=ro"
            self._link = sqlite3.connect(place, uri=True, check_same_thread=False)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        version = self._sound_version()
        if version != schema.VERSION:
            raise StoreError(
                f"the store {self._path} is of version {version}, and this zthook knows "
                f"{schema.VERSION}",
                hint="start the daemon of the zthook that is meant: it brings an older store up",
            )

    def host(self, name: str) -> HostRow | None:
        """As it is now: the daemon may have changed it since the last time."""
        return self._row(HostRow, "WHERE name = ?", name)

    def close(self) -> None:
        self._link.close()

"""The store's file in SQLite: opened, made of this version, read and written in transactions."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zthook.errors import StoreError
from zthook.store import schema
from zthook.store.events import EventRow
from zthook.store.place import claim_file, explain
from zthook.store.rows import ClaimRow, HostRow, InvitationRow, ReservationRow, Row

AnyRow = TypeVar("AnyRow", bound=Row)
Value = str | int | float | None


class StoreFile:
    """One file (mode 0600, its folder made with 0700) beside its WAL, ours while it is open.

    Opening makes it where it is not there. Raises StoreError, naming the file, where it is
    damaged, of a newer zthook, or can not be written.
    """

    def __init__(self, path: Path) -> None:
        self.fault = ""
        self._path = path
        self._hosts: dict[str, HostRow] = {}
        """As they are in the file, read already: each is asked for again and again."""
        self._named: dict[str, str] = {}
        """By credential; it may be another's by now."""
        try:
            self._lock = claim_file(path)
        except BlockingIOError as error:
            raise StoreError(
                f"the store {path} is in use by another daemon",
                hint="is `zthook edge serve` running already?",
            ) from error
        except OSError as error:
            raise StoreError(
                f"the store {path} can not be opened: {error.strerror or error}",
                hint="is the disk full or read-only, or the folder not root's? what is mapped "
                "goes on meanwhile, and nothing is lost",
            ) from error
        with self._explained():
            self._link = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._explained():
            self._link.execute("PRAGMA journal_mode = WAL")
            self._link.execute("PRAGMA synchronous = FULL")
            # 400 kB beside the store, not 4 MB: on a small disk it is the first to lack room.
            self._link.execute("PRAGMA wal_autocheckpoint = 100")
        version = self._sound_version()
        if version > schema.VERSION:
            raise StoreError(
                f"the store {self._path} was written by a newer zthook (its version is "
                f"{version}, this one knows {schema.VERSION})",
                hint="install that zthook again, or put back the store's backup of before",
            )
        with self._explained():
            schema.bring_up(self._link, version)

    def _sound_version(self) -> int:
        """The schema's version. Raises StoreError for a damaged file."""
        with self._explained():
            (version,) = self._link.execute("PRAGMA user_version").fetchone()
            (verdict,) = self._link.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        return int(version)

    @property
    def changes(self) -> int:
        return self._link.total_changes

    def close(self) -> None:
        self._link.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(self._path, error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self._link.in_transaction:
            raise StoreError("a transaction is open already")
        with self._noting_faults():
            with self._explained():
                self._link.execute("BEGIN IMMEDIATE")
            try:
                yield
                with self._explained():
                    self._link.execute("COMMIT")
            except BaseException:
                self._hosts.clear()  # of some it is what was put, and is not kept
                raise
            finally:
                # SQLite itself ends the transaction on some errors (a full disk).
                if self._link.in_transaction:
                    self._link.execute("ROLLBACK")

    @contextlib.contextmanager
    def _noting_faults(self) -> Iterator[None]:
        before = self._link.total_changes
        try:
            yield
        except StoreError as error:
            self.fault = error.message
            raise
        if self._link.total_changes != before:
            self.fault = ""

    def _rows(self, kind: type[AnyRow], rest: str, *values: Value) -> list[AnyRow]:
        return list(self._each(kind, rest, *values))

    def _each(self, kind: type[AnyRow], rest: str, *values: Value) -> Iterator[AnyRow]:
        table, decode = _TABLE[kind], _DECODERS[kind].decode
        try:
            with self._explained():
                found = self._link.execute(f"SELECT row FROM {table} {rest}", values)  # noqa: S608
                for (text,) in found:
                    yield decode(text)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"the store {self._path} has a row in {table} that is not ours: {error}",
                hint="put a backup in its place",
            ) from error

    def _row(self, kind: type[AnyRow], rest: str, *values: Value) -> AnyRow | None:
        return next(iter(self._rows(kind, rest, *values)), None)

    def _write(self, statement: str, *values: Value) -> int:
        """How many rows that changed."""
        if not self._link.in_transaction:
            raise StoreError("a change outside of a transaction")
        with self._explained():
            return self._link.execute(statement, values).rowcount


_TABLE: dict[type[Row], str] = {
    HostRow: "hosts",
    InvitationRow: "invitations",
    ClaimRow: "claims",
    ReservationRow: "reservations",
    EventRow: "events",
}
_DECODERS: dict[type[Row], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in _TABLE
}

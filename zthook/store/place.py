"""The store's file: made ours alone, and its faults in words."""

import fcntl
import os
import sqlite3
from pathlib import Path

from zthook.errors import StoreError


def explain(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite said of the file, as an error of ours."""
    if isinstance(error, sqlite3.IntegrityError):
        return StoreError(f"the store {path} refuses to contradict itself: {error}")
    if isinstance(error, sqlite3.OperationalError):
        return StoreError(
            f"the store {path} can not be used: {error}",
            hint="is the disk full, read-only, or the file not ours? nothing was changed",
        )
    return StoreError(
        f"the store {path} is damaged: {error}",
        hint="put a backup in its place, or move it away and run `zthook edge init`: hosts "
        "then have to enrol again",
    )


def claim_file(path: Path) -> int:
    """Make the file readable by its owner only, and ours alone while we live.

    Two daemons on one store would each believe what only one of them decided. The lock
    is on a file beside it: closing the store's own would drop SQLite's locks. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(lock)
        raise
    return lock

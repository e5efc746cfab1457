"""What only a store on disk can get wrong."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zthook.errors import StoreError
from zthook.store.rows import HostRow
from zthook.store.sqlite import SCHEMA_VERSION, SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "edge.sqlite"


def keep(path: Path, *names: str) -> None:
    ledger = SqliteLedger(path)
    with ledger.transaction():
        for name in names:
            ledger.put_host(HostRow(name=name, hostname="x" * 500))
    ledger.close()


def test_rows_are_there_after_reopening(path: Path) -> None:
    keep(path, "home1")
    ledger = SqliteLedger(path)
    assert [row.name for row in ledger.hosts()] == ["home1"]
    ledger.close()


def test_a_commit_survives_a_kill_and_what_was_not_committed_does_not(path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from zthook.store.rows import HostRow
from zthook.store.sqlite import SqliteLedger
ledger = SqliteLedger(Path(sys.argv[1]))
with ledger.transaction():
    ledger.put_host(HostRow(name="committed"))
with ledger.transaction():
    ledger.put_host(HostRow(name="halfway"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=60)
    assert done.returncode == -9
    ledger = SqliteLedger(path)
    assert [row.name for row in ledger.hosts()] == ["committed"]
    ledger.close()


def test_each_commit_is_synced(path: Path) -> None:
    ledger = SqliteLedger(path)
    assert ledger._link.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._link.execute("PRAGMA synchronous").fetchone() == (2,)
    ledger.close()


def test_nobody_else_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        keep(path, "home1")
        ledger = SqliteLedger(path)
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes
    ledger.close()


def test_a_newer_store_is_left_alone_and_says_what_to_do(path: Path) -> None:
    keep(path)
    link = sqlite3.connect(path)
    link.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    link.close()
    with pytest.raises(StoreError, match="newer zthook") as raised:
        SqliteLedger(path)
    assert str(path) in raised.value.message
    assert "install" in raised.value.hint


def test_a_file_that_is_no_store_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, whatever its name says\n" * 200)
    with pytest.raises(StoreError, match="damaged") as raised:
        SqliteLedger(path)
    assert str(path) in raised.value.message
    assert "backup" in raised.value.hint


def test_a_damaged_page_is_found_at_start(path: Path) -> None:
    keep(path, *(f"home{number}" for number in range(100)))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xaa" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as raised:
        SqliteLedger(path)
    assert str(path) in raised.value.message


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="can not be opened") as raised:
        SqliteLedger(path)
    assert str(path) in raised.value.message


def test_two_daemons_do_not_share_it(path: Path) -> None:
    first = SqliteLedger(path)
    with pytest.raises(StoreError, match="in use by another daemon"):
        SqliteLedger(path)
    first.close()
    SqliteLedger(path).close()


def test_a_full_disk_loses_nothing_and_heals(path: Path) -> None:
    keep(path, "home1")
    ledger = SqliteLedger(path)
    (pages,) = ledger._link.execute("PRAGMA page_count").fetchone()
    ledger._link.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full") as raised, ledger.transaction():
        ledger.put_host(HostRow(name="home2", hostname="x" * 50_000))
    assert str(path) in raised.value.message
    assert [row.name for row in ledger.hosts()] == ["home1"]
    with ledger.transaction():
        assert ledger.fault == raised.value.message, "until something is written"
    assert ledger.fault == raised.value.message
    ledger._link.execute("PRAGMA max_page_count = 100000")
    with ledger.transaction():
        ledger.put_host(HostRow(name="home2"))
    assert ledger.fault == ""
    assert [row.name for row in ledger.hosts()] == ["home1", "home2"]
    ledger.close()


def test_a_store_that_became_read_only_says_so_and_can_still_be_read(path: Path) -> None:
    keep(path, "home1")
    ledger = SqliteLedger(path)
    ledger._link.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="readonly"), ledger.transaction():
        ledger.put_host(HostRow(name="home2"))
    assert [row.name for row in ledger.hosts()] == ["home1"]
    ledger.close()


def test_a_lookup_uses_an_index(path: Path) -> None:
    ledger = SqliteLedger(path)
    for where in (
        "claims WHERE public = 'x' ORDER BY place",
        "claims WHERE private = 'x'",
        "claims WHERE host = 'x' AND guest = 'x' AND public = 'x'",
        "claims WHERE host = 'x'",
        "claims WHERE standing = 'x' ORDER BY public, place",
        "hosts WHERE credential = 'x'",
        "invitations WHERE secret = 'x'",
    ):
        query = f"EXPLAIN QUERY PLAN SELECT row FROM {where}"  # noqa: S608
        plan = ledger._link.execute(query).fetchall()
        assert plan[0][3].startswith("SEARCH"), (where, plan)
    ledger.close()

"""What only a store on disk can get wrong."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zthook.errors import StoreError
from zthook.store import schema
from zthook.store.rows import ClaimRow, HostRow, InvitationRow, Standing
from zthook.store.sqlite import SqliteLedger


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
    link.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
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
        "claims WHERE host = 'x' AND guest = 'x' AND asked = 'x'",
        "claims WHERE guest = 'x' ORDER BY place",
        "reservations WHERE guest = 'x' AND asked = 'x'",
        "reservations WHERE public = 'x'",
        "claims WHERE host = 'x'",
        "claims WHERE standing = 'x' ORDER BY public, place",
        "hosts WHERE credential = 'x'",
        "invitations WHERE secret = 'x'",
    ):
        query = f"EXPLAIN QUERY PLAN SELECT row FROM {where}"  # noqa: S608
        plan = ledger._link.execute(query).fetchall()
        assert plan[0][3].startswith("SEARCH"), (where, plan)
    ledger.close()


VERSION_1 = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hosts (name TEXT PRIMARY KEY, credential TEXT UNIQUE, row TEXT NOT NULL);
CREATE TABLE invitations (secret TEXT PRIMARY KEY, host TEXT NOT NULL, expires REAL NOT NULL,
                          row TEXT NOT NULL);
CREATE TABLE claims (host TEXT NOT NULL, guest TEXT NOT NULL, public TEXT NOT NULL,
                     private TEXT, standing TEXT NOT NULL, place INTEGER NOT NULL,
                     row TEXT NOT NULL, PRIMARY KEY (host, guest, public));
CREATE INDEX claims_by_public ON claims (public, place);
CREATE INDEX claims_by_private ON claims (private);
CREATE INDEX claims_by_standing ON claims (standing, public, place);
CREATE UNIQUE INDEX one_holder ON claims (public) WHERE standing IN ('holding', 'leaving');
INSERT INTO counters VALUES ('epoch', 7), ('place', 9), ('session', 4);
INSERT INTO hosts VALUES ('home1', 'c0ffee', '{"name":"home1","credential":"c0ffee","session":4}');
INSERT INTO invitations VALUES ('5ec', 'home2', 7.25,
    '{"secret":"5ec","host":"home2","expires":7.25}');
INSERT INTO claims VALUES
    ('home1', '11111111-1111-1111-1111-111111111111', '203.0.113.10', '192.168.122.50', 'holding',
     3, '{"host":"home1","guest":"11111111-1111-1111-1111-111111111111","public":"203.0.113.10",
     "name":"web\u00e91","private":"192.168.122.50","mode":"nat","client":"keep","rewriter":"edge",
     "standing":"holding","place":3,"since":1.5,"epoch":7,"session":4,"sequence":2}'),
    ('home2', '22222222-2222-2222-2222-222222222222', '203.0.113.10', NULL, 'waiting',
     9, '{"host":"home2","guest":"22222222-2222-2222-2222-222222222222","public":"203.0.113.10",
     "name":"web2","private":null,"mode":"nat","client":"hide","rewriter":"host",
     "standing":"waiting","place":9,"since":2.5,"heir":true}');
PRAGMA user_version = 1;
"""
"""As the zthook of before wrote it."""


@pytest.fixture
def version_1(path: Path) -> Path:
    path.parent.mkdir()
    link = sqlite3.connect(path)
    link.executescript(VERSION_1)
    link.close()
    return path


def test_a_store_of_version_1_is_brought_up_with_all_that_was_in_it(version_1: Path) -> None:
    for _ in range(2):  # the second time it is one of this version
        ledger = SqliteLedger(version_1)
        holder, waiting = ledger.claims_on("203.0.113.10")
        assert holder == ClaimRow(
            host="home1",
            guest="11111111-1111-1111-1111-111111111111",
            asked="203.0.113.10",
            public="203.0.113.10",
            name="webé1",
            private="192.168.122.50",
            mode="nat",
            client="keep",
            rewriter="edge",
            standing=Standing.HOLDING,
            place=3,
            since=1.5,
            epoch=7,
            session=4,
            sequence=2,
        )
        assert (waiting.asked, waiting.private, waiting.heir) == ("203.0.113.10", None, True)
        assert ledger.claim(holder.key) == holder
        assert ledger.claims(Standing.WAITING) == [waiting]
        assert ledger.hosts() == [HostRow(name="home1", credential="c0ffee", session=4)]
        assert ledger.invitations() == [InvitationRow(secret="5ec", host="home2", expires=7.25)]
        assert ledger.reservations() == []
        with ledger.transaction():
            ledger.raise_to("epoch", 1)
        assert ledger._link.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        ledger.close()


def test_its_numbers_rise_on(version_1: Path) -> None:
    ledger = SqliteLedger(version_1)
    with ledger.transaction():
        assert [ledger.next(one) for one in ("epoch", "place", "session")] == [8, 10, 5]
    ledger.close()


def test_what_can_not_be_brought_up_whole_is_left_as_it_was(version_1: Path) -> None:
    link = sqlite3.connect(version_1)
    with link:
        link.execute("UPDATE claims SET row = 'half a li' WHERE host = 'home2'")
    link.close()
    with pytest.raises(StoreError, match="damaged") as raised:
        SqliteLedger(version_1)
    assert str(version_1) in raised.value.message
    link = sqlite3.connect(version_1)
    assert link.execute("PRAGMA user_version").fetchone() == (1,)
    assert link.execute("SELECT count(*) FROM claims").fetchone() == (2,)
    link.close()

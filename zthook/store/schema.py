"""The tables of the store on disk, and how those of an earlier zthook become them."""

import json
import sqlite3

VERSION = 3

TABLES = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hosts (name TEXT PRIMARY KEY, credential TEXT UNIQUE, row TEXT NOT NULL);
CREATE TABLE invitations (secret TEXT PRIMARY KEY, host TEXT NOT NULL, expires REAL NOT NULL,
                          row TEXT NOT NULL);
"""
"""Those that were so from the beginning."""

CLAIMS = """
CREATE TABLE claims (host TEXT NOT NULL, guest TEXT NOT NULL, asked TEXT NOT NULL,
                     public TEXT NOT NULL, private TEXT, standing TEXT NOT NULL,
                     place INTEGER NOT NULL, row TEXT NOT NULL,
                     PRIMARY KEY (host, guest, asked));
CREATE INDEX claims_by_public ON claims (public, place);
CREATE INDEX claims_by_private ON claims (private);
CREATE INDEX claims_by_guest ON claims (guest, place);
CREATE INDEX claims_by_standing ON claims (standing, public, place);
CREATE TABLE reservations (guest TEXT NOT NULL, asked TEXT NOT NULL, public TEXT UNIQUE NOT NULL,
                           row TEXT NOT NULL, PRIMARY KEY (guest, asked));
"""
"""Since version 2, where several claims may hold parts of one address."""

EVENTS = """
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL,
                     public TEXT NOT NULL, host TEXT NOT NULL, guest TEXT NOT NULL,
                     name TEXT NOT NULL, share TEXT NOT NULL, nth INTEGER NOT NULL,
                     row TEXT NOT NULL);
CREATE UNIQUE INDEX events_by_share ON events (share, nth);
"""
"""Since version 3. ``nth`` counts the lines of a share, so that its oldest are found at once."""


def bring_up(link: sqlite3.Connection, version: int) -> None:
    """Make the tables of ``VERSION`` from those of ``version``, 0 for none; all or nothing.

    Raises sqlite3.Error.
    """
    if version == VERSION:
        return
    link.execute("BEGIN IMMEDIATE")
    try:
        for step in _STEPS[version:] if version else (_anew,):
            step(link)
        link.execute(f"PRAGMA user_version = {VERSION}")
        link.execute("COMMIT")
    finally:
        if link.in_transaction:
            link.execute("ROLLBACK")


def _anew(link: sqlite3.Connection) -> None:
    _run(link, TABLES + CLAIMS + EVENTS)


def _from_1(link: sqlite3.Connection) -> None:
    """What was claimed was an address then, and the whole of it."""
    found = link.execute(
        "SELECT host, guest, public, private, standing, place, row FROM claims"
    ).fetchall()
    link.execute("DROP TABLE claims")
    _run(link, CLAIMS)
    for host, guest, public, *rest, row in found:
        link.execute(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (host, guest, public, public, *rest, _asking(public, row)),
        )


def _asking(public: str, row: str) -> str:
    try:
        return json.dumps(json.loads(row) | {"asked": public})
    except ValueError as error:
        raise sqlite3.DatabaseError(f"a claim of version 1 is no JSON: {error}") from error


def _from_2(link: sqlite3.Connection) -> None:
    """There was no audit trail then: it begins now."""
    _run(link, EVENTS)


def _run(link: sqlite3.Connection, statements: str) -> None:
    """One by one: ``executescript`` would end the transaction first."""
    for statement in filter(None, map(str.strip, statements.split(";"))):
        link.execute(statement)


_STEPS = (_anew, _from_1, _from_2)
"""By the version they begin from."""

"""How the daemons log: one line a record on stderr, with its priority where the journal reads."""

import logging
import os
import sys

from zthook.errors import UsageError

LEVELS = ("debug", "info", "warning", "error")
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class OneLine(logging.Formatter):
    """A record as one line; a traceback's lines are joined, so that none lacks its origin."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__(
            "%(name)s: %(message)s"
            if journal
            else "%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        self.journal = journal

    def format(self, record: logging.LogRecord) -> str:
        line = " | ".join(super().format(record).splitlines())
        return f"<{_PRIORITY.get(record.levelno, 5)}>{line}" if self.journal else line


def to_journal() -> bool:
    """Whether stderr is the journal's own stream, as systemd says in ``JOURNAL_STREAM``."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def start_logging() -> None:
    """Log to stderr from the level that ``ZTHOOK_LOG`` names (default: info).

    Raises UsageError for a name that is no level.
    """
    level = os.environ.get("ZTHOOK_LOG", "info").lower()
    if level not in LEVELS:
        raise UsageError(f"ZTHOOK_LOG={level!r} is no level", hint=f"one of {', '.join(LEVELS)}")
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(OneLine(journal=to_journal()))
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)
    for talkative in ("asyncio", "httpx", "httpcore", "pyroute2", "uvicorn"):
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.root.level))

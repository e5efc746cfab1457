"""The token that the page is seen with: one at a time, made by the admin, kept as its hash."""

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from zthook.edge.keys import write_private
from zthook.errors import StoreError

log = logging.getLogger("zthook.edge.web")

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Those that are not mistaken for each other when somebody types them on a phone."""
_GROUPS, _OF = 5, 5
"""25 letters of 31: 123 bits, which nobody guesses."""


class PageToken:
    """The one that counts. ``path`` has its SHA-256 and nothing that could be shown again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def renew(self) -> str:
        """Make another one, in place of the one before. Raises StoreError."""
        letters = (secrets.choice(_LETTERS) for _ in range(_GROUPS * _OF))
        made = "".join(letters)
        try:
            write_private(self._path, _hash(made).encode())
        except OSError as error:
            raise StoreError(
                f"the token can not be kept in {self._path}: {error.strerror}"
            ) from error
        return "-".join(re.findall("." * _OF, made))

    def fits(self, shown: str) -> bool:
        """Whether it is this one, however it is spaced; it takes as long where it is not."""
        try:
            kept = self._path.read_text()
        except FileNotFoundError:
            kept = ""
        except (OSError, UnicodeDecodeError) as error:
            log.error("nobody can log in: %s can not be read: %s", self._path, error)  # noqa: TRY400
            kept = ""
        same = hmac.compare_digest(kept.encode(), _hash(_bare(shown)).encode())
        return bool(kept) and same

    @property
    def made(self) -> float | None:
        """When, Unix time; None where there is none."""
        try:
            return self._path.stat().st_mtime
        except OSError:
            return None


def _bare(shown: str) -> str:
    return re.sub(r"[\s-]", "", shown).lower()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

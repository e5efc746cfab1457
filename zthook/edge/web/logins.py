"""Who is logged in: in memory, for some hours, by a cookie that is kept as its hash."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "__Host-zthook"
"""The prefix has browsers take it from this very address alone, over TLS alone."""
LASTS_SECONDS = 8 * 3600
MOST = 32
"""Who logs in beyond that ends the oldest login."""


@dataclass(frozen=True, slots=True)
class _Login:
    until: float
    source: str


class Logins:
    """``clock`` returns seconds that rise. A restart of the daemon ends them all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_key: OrderedDict[str, _Login] = OrderedDict()

    def begin(self, source: str) -> str:
        """A new login from that address: its cookie's value, which is told nowhere else."""
        value = secrets.token_urlsafe(32)
        self._by_key[_key(value)] = _Login(self._clock() + LASTS_SECONDS, source)
        if len(self._by_key) > MOST:
            self._by_key.popitem(last=False)
        return value

    def key(self, cookie: str) -> str:
        """What to call the login of this cookie; "" where it is none, or none any more."""
        return _key(cookie) if cookie and self.left(_key(cookie)) else ""

    def left(self, key: str) -> float:
        """Seconds until it ends; 0 where it has."""
        found = self._by_key.get(key)
        left = found.until - self._clock() if found is not None else 0.0
        if left <= 0:
            self._by_key.pop(key, None)
        return max(0.0, left)

    def regular(self, source: str) -> bool:
        """Whether somebody logged in from there."""
        return any(one.source == source for one in self._by_key.values())

    def end(self, key: str) -> None:
        """Log out."""
        self._by_key.pop(key, None)

    def end_all(self) -> None:
        """Log everybody out."""
        self._by_key.clear()

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for key in list(self._by_key) if self.left(key))


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()

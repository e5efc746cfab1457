"""What a single TOML value may be: functions that read one or raise ValueError.

The error completes the sentence "it must be".
"""

import math
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from zthook.config.settings import Endpoint, Listen


def array(value: object) -> list[object]:
    """An array of anything."""
    if not isinstance(value, list):
        raise ValueError("an array")  # noqa: TRY004 - what read functions raise is a ValueError
    return value


def table(value: object) -> dict[str, object]:
    """A table of anything."""
    if not isinstance(value, dict):
        raise ValueError("a table")  # noqa: TRY004
    return value


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004
    return value


def text(value: object) -> str:
    """A string that is not empty and has no control characters."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a string of printable characters")
    return value


def one_of(*choices: str) -> Callable[[object], str]:
    """One of these strings."""

    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(" or ".join(f'"{choice}"' for choice in choices))
        return str(value)

    return read


def matching(pattern: str, meaning: str) -> Callable[[object], str]:
    """A string that matches ``pattern`` as a whole."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(meaning)
        return value

    return read


def integer(low: int, high: int) -> Callable[[object], int]:
    """An integer from ``low`` to ``high``."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return value

    return read


def seconds(low: float, high: float) -> Callable[[object], float]:
    """A number of seconds from ``low`` to ``high``."""

    def read(value: object) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or math.isnan(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
            raise ValueError(f"a number of seconds from {low:.12g} to {high:.12g}")
        return float(value)  # type: ignore[arg-type]

    return read


def folder(value: object) -> Path:
    """An absolute path."""
    path = Path(text(value))
    if not path.is_absolute():
        raise ValueError("an absolute path")
    return path


def listen(value: object) -> Listen:
    """Where to serve, to this machine or the overlay alone."""
    if isinstance(value, str) and value.startswith("/"):
        return folder(value)
    try:
        return endpoint(value)
    except ValueError as error:
        raise ValueError(LISTEN) from error


def endpoint(value: object) -> Endpoint:
    """The same without a socket."""
    written = value if isinstance(value, str) else ""
    host, _, port = written.rpartition(":")
    try:
        address = None if host == "overlay" else ip_address(host.strip("[]"))
        found = Endpoint(address, integer(1, 65535)(int(port)))
    except ValueError as error:
        raise ValueError(ENDPOINT) from error
    if str(found) != written or (address is not None and not address.is_loopback):
        raise ValueError(ENDPOINT)
    return found


LISTEN = (
    '"overlay" or an address of loopback, and a port, as in "127.0.0.1:9753",'
    " or the absolute path of a socket"
)
ENDPOINT = '"overlay" or an address of loopback, and a port, as in "overlay:9444"'
DEVICE = matching(
    r"(?!\.\.?$)[^/\s:]{1,15}", "the name of a network device (15 characters at most)"
)
"""A device's name as the kernel takes it (dev_valid_name, IFNAMSIZ)."""

"""What a daemon tells systemd: ready, reloading, stopping, alive. Without systemd: nothing."""

import logging
import os
import socket
import time

log = logging.getLogger("zthook.notify")

WAIT_SECONDS = 5.0


def notify(*states: str, wait: float = WAIT_SECONDS) -> bool:
    """Send ``NAME=value`` lines to ``$NOTIFY_SOCKET``; false where there is no such socket.

    Raises OSError where the socket is named but does not take the message within ``wait``
    seconds.
    """
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return False
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.settimeout(wait)
        link.sendto("\n".join(states).encode(), address)
    return True


def ready(status: str = "") -> bool:
    """The daemon serves. Raises OSError as :func:`notify`: unheard, it would be ended anyway."""
    return notify("READY=1", f"STATUS={status}")


def reloading() -> bool:
    """A reload began; ``Type=notify-reload`` wants the time beside it."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return _told("RELOADING=1", f"MONOTONIC_USEC={now}")


def reloaded() -> bool:
    """The reload is over."""
    return _told("READY=1")


def stopping() -> bool:
    """The daemon is about to leave."""
    return _told("STOPPING=1")


def alive() -> bool:
    """The daemon's loop turns: to be sent within each half of :func:`watchdog_seconds`.

    Never waits: a systemd that does not listen now must not stop the loop it watches.
    """
    try:
        return notify("WATCHDOG=1", wait=0.0)
    except OSError:
        return False


def _told(*states: str) -> bool:
    """Tell what nothing depends on: neither waits for systemd nor fails where it is not there."""
    try:
        return notify(*states, wait=0.0)
    except OSError as error:
        log.warning("systemd was not told %s: %s", states[0], error.strerror)
        return False


def watchdog_seconds() -> float | None:
    """After how many seconds of silence systemd restarts us; None where it does not watch."""
    period = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not period.isdigit() or watched != str(os.getpid()):
        return None
    return int(period) / 1_000_000

"""What signals do to a lab: SIGTERM ends it as Ctrl-C does, and nothing ends its cleaning up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def catch_termination() -> None:
    """Make SIGTERM what Ctrl-C is, where nobody else has it, so that a lab cleans up."""
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def release_termination() -> None:
    """End that."""
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C while cleaning up does not leave half of it behind."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (2, 15)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

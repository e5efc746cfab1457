"""pyroute2's socket, for what hosts and doctor ask now and then; an edge does without it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from zthook.errors import KernelError

__all__ = ["IPRoute", "NetlinkError", "asking"]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the kernel's refusal inside the block into KernelError("WHAT: why")."""
    try:
        yield
    except NetlinkError as error:
        raise KernelError(f"{what}: the kernel says {error.args[-1]}") from error
    except OSError as error:
        raise KernelError(f"{what}: {error.strerror or error}") from error

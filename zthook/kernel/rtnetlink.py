"""The socket over which links, addresses, routes, rules and neighbours are asked for and set."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from zthook.errors import KernelError

PROTOCOL = 123
"""The route protocol number that says: this route is ours."""

__all__ = ["PROTOCOL", "IPRoute", "NetlinkError", "asking"]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the kernel's refusal inside the block into KernelError("WHAT: why")."""
    try:
        yield
    except NetlinkError as error:
        raise KernelError(f"{what}: the kernel says {error.args[-1]}") from error
    except OSError as error:
        raise KernelError(f"{what}: {error.strerror or error}") from error

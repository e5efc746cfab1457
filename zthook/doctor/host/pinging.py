"""Pings that one lost packet does not make fail."""

from ipaddress import IPv4Address

from zthook.host.echo import SHORTEST, answers

TRIES = 2
SECONDS = 1.0
ANY = IPv4Address(0)
"""As a source: whichever address the kernel takes."""


async def echoed(target: IPv4Address, size: int = SHORTEST) -> bool:
    """Whether a packet of that size came back."""
    for _ in range(TRIES):
        if await answers(ANY, target, size=size, seconds=SECONDS):
            return True
    return False

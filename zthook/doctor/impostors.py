"""Who else says that an overlay address is his, and who that is."""

from collections.abc import Collection

from zthook.config.settings import OverlaySettings
from zthook.overlay.member_mac import member_of

FIND = "find that machine, and take it off the overlay or give it an address of its own"


def named(overlay: OverlaySettings, macs: Collection[str]) -> str:
    """These MACs, and on ZeroTier the members that have them."""
    return ", ".join(_named(overlay, one) for one in sorted(macs))


def _named(overlay: OverlaySettings, mac: str) -> str:
    member = member_of(overlay.network, mac) if overlay.network else None
    return f"{mac} (ZeroTier node {member})" if member else mac

"""By which MAC a host is known on the overlay, and whether that is sure: pure.

Three say something of it. The overlay itself, where it makes sure of its members' MACs (ZeroTier,
where the member is known). The host, authenticated. And the kernel, which asks by ARP, so that
any member may answer.
"""

from zthook.config.settings import OverlaySettings
from zthook.edge.views import HostView
from zthook.overlay.member_mac import member_mac, member_of
from zthook.store.rows import HostRow


def reckoned_mac(overlay: OverlaySettings, host: HostRow) -> str | None:
    """What the overlay itself makes sure of; None where it does not, or for whom is unknown."""
    if overlay.driver != "zerotier" or not overlay.network or not host.member:
        return None
    return member_mac(overlay.network, host.member)


def node_of(host: HostView, network: str) -> str | None:
    """The host's node: as its owner named it, else as its MAC tells; None where neither does."""
    if host.member or host.mac is None:
        return host.member
    return member_of(network, host.mac)


def believed_mac(host: HostRow, found: str | None) -> str | None:
    """By which MAC the host is known from now on, where ARP says ``found`` (None: nothing).

    Of hosts of which the overlay itself makes sure of nothing. What ARP alone says is believed
    of those that say nothing themselves (they are behind a router). What the host alone says
    never: it would have its guests' packets sent to others. Where it is not known a mapping
    ends, so what was known stays until something else is.
    """
    if not host.own_mac:
        return found or host.mac
    return host.own_mac if found == host.own_mac else host.mac


def is_pinned(overlay: OverlaySettings, host: HostRow, *, leased: bool) -> bool:
    """Whether nobody need be asked who has the host's address: it is at its MAC.

    Not where the host says that it has another. One that only ARP has told is asked for again
    when its host falls silent for a lease's time: it may have another now, with which it
    would never be heard again.
    """
    if host.mac is None or host.own_mac not in ("", host.mac):
        return False
    return leased or host.mac == reckoned_mac(overlay, host)


def doubt(overlay: OverlaySettings, host: HostRow, source: str, found: str | None) -> str:
    """What is to be said where ``found`` answers for its address, and should not; or nothing."""
    reckoned = reckoned_mac(overlay, host)
    expected = reckoned or host.own_mac
    if reckoned and host.own_mac not in ("", reckoned):
        return (
            f"{host.name} itself says {host.own_mac}, and its member {host.member} has {reckoned}"
            ": is that its node's id?"
        )
    if not expected or found in (None, expected):
        return ""
    if reckoned:
        return (
            f"{source}, by which {host.name} speaks, is answered for by {found} on the overlay, "
            f"and its member {host.member} has {reckoned}"
        )
    return (
        f"{source}, by which {host.name} speaks, is answered for by {found} on the overlay, "
        f"and the host itself says {host.own_mac}"
    )

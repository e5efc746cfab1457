"""By which ways a ZeroTier node reaches other members: directly, or relayed by a root."""

import time
from collections.abc import Callable, Collection
from pathlib import Path

from zthook.config.settings import ZEROTIER_HOME, OverlaySettings
from zthook.model.paths import OverlayPath
from zthook.overlay.member_mac import member_of
from zthook.overlay.zerotier_api import TOKEN, PeerPath, PeerView, ZeroTierApi

ANSWER_SECONDS = 0.5
"""It answers from memory, and nobody needs to know that much."""
FRESH_SECONDS = 30.0
"""A bonded path is spoken on all the time: one that was heard longer ago is dead."""
PREFIX = "zt"
"""What the names of ZeroTier's devices begin with on Linux."""

FindPaths = Callable[[str, Collection[str]], dict[str, OverlayPath]]
"""By device and MACs on it: the ways that are known, by MAC. Blocking. Raises OverlayDown."""


def no_paths(_device: str, _macs: Collection[str]) -> dict[str, OverlayPath]:
    """Of an overlay that tells nothing of its ways."""
    return {}


def paths_of(settings: OverlaySettings) -> FindPaths:
    """How to ask for the ways of that overlay.

    Its driver may be ``interface`` with a device that is ZeroTier's all the same.
    """
    return ZeroTierPaths(home_of(settings))


def home_of(settings: OverlaySettings) -> Path:
    """Where the daemon would live whose overlay it may be."""
    return settings.home or ZEROTIER_HOME


def network_on(home: Path, device: str) -> str | None:
    """The network's id whose device that is; None where no zerotier-one with that home has it.

    Raises OverlayDown where it has one and does not answer.
    """
    if not device.startswith(PREFIX) or not (home / TOKEN).exists():
        return None
    return _network(ZeroTierApi(home), device)


class ZeroTierPaths:
    """Asks the daemon whose home is ``home``; ``now`` is Unix time."""

    def __init__(self, home: Path, now: Callable[[], float] = time.time) -> None:
        self._api = ZeroTierApi(home, ANSWER_SECONDS)
        self._now = now

    def __call__(self, device: str, macs: Collection[str]) -> dict[str, OverlayPath]:
        """See ``FindPaths``; of a device that is not ZeroTier's nothing is asked."""
        if not device.startswith(PREFIX):
            return {}
        network = _network(self._api, device)
        if network is None:
            return {}
        wanted = {member_of(network, mac): mac for mac in macs}
        peers = {one.address: one for one in self._api.peers()}
        return {
            mac: path_of(peers[member], self._now())
            for member, mac in wanted.items()
            if member is not None and member in peers
        }


def _network(api: ZeroTierApi, device: str) -> str | None:
    joined = (one.id for one in api.networks() if one.port_device_name == device)
    return next(joined, None)


def path_of(peer: PeerView, now: float) -> OverlayPath:
    """What zerotier-cli says of it: direct by the path in use, relayed where there is none."""
    latency = peer.latency / 1000 if peer.latency >= 0 else None
    used = next((one for one in peer.paths if _is_used(one, peer, now)), None)
    if used is None or peer.tunneled:
        return OverlayPath(direct=False, latency=latency)
    return OverlayPath(direct=True, latency=latency, address=used.address)


def _is_used(path: PeerPath, peer: PeerView, now: float) -> bool:
    """Of a bond that sends on all its paths none is preferred."""
    if path.expired or not path.active:
        return False
    fresh = now - path.last_receive / 1000 < FRESH_SECONDS
    return path.preferred or (peer.is_bonded and fresh)

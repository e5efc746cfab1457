"""The network between hosts and edge: which device it is, and why it is not there."""

from zthook.config.settings import ZEROTIER_HOME, OverlaySettings
from zthook.overlay.device import FindDevice, Overlay, kernel_device
from zthook.overlay.fake import FakeOverlay
from zthook.overlay.interface import InterfaceOverlay
from zthook.overlay.ways import FindPaths, no_paths, paths_of
from zthook.overlay.zerotier import ZeroTierOverlay

__all__ = [
    "FakeOverlay",
    "FindDevice",
    "FindPaths",
    "InterfaceOverlay",
    "Overlay",
    "ZeroTierOverlay",
    "kernel_device",
    "no_paths",
    "open_overlay",
    "paths_of",
]


def open_overlay(settings: OverlaySettings, find_device: FindDevice = kernel_device) -> Overlay:
    """The overlay that the configuration names; nothing is asked yet."""
    if settings.driver == "zerotier":
        home = settings.home or ZEROTIER_HOME
        return ZeroTierOverlay(settings.network or "", home, find_device)
    return InterfaceOverlay(settings.interface or "", find_device)

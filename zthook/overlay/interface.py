"""Driver ``interface``: any layer 2 network that somebody else keeps up, by its device's name."""

from zthook.model.mappings import OverlayDevice
from zthook.overlay.device import FindDevice, kernel_device, usable_device


class InterfaceOverlay:
    """An ``Overlay`` that is the device ``name``."""

    def __init__(self, name: str, find_device: FindDevice = kernel_device) -> None:
        self._name = name
        self._find_device = find_device

    def observe(self) -> OverlayDevice:
        """See ``Overlay.observe``."""
        return usable_device(
            self._name,
            self._find_device,
            absent=f"`ip link show {self._name}` shows it; is overlay.interface the right name?",
            bare=f"give it one: ip address add ADDRESS/PREFIX dev {self._name}",
        )

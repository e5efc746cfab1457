"""A host's part in redials that heal at once: a packet a second, and one UDP port."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from zthook.config.settings import OverlaySettings
from zthook.errors import ZthookError
from zthook.host.echo import echo
from zthook.model.redial import Redial
from zthook.overlay.fast_redial import HostRedial
from zthook.overlay.ways import home_of, network_on

log = logging.getLogger("zthook.agent")

SPEAK_SECONDS = 1.0
"""The edge finds the new address with the first packet from there."""
LOOK_SECONDS = 10.0
"""As often as zerotier-one looks whether its settings changed."""


class FastRedial:
    """``seen`` is how it was found last, None where the overlay is not ZeroTier's.

    ``device`` is the overlay's, None while that is not known. The journal of what was
    changed is at ``path``; None: nothing is.
    """

    def __init__(
        self,
        overlay: OverlaySettings,
        edge: IPv4Address,
        device: Callable[[], str | None],
        path: Path | None,
    ) -> None:
        self.seen: Redial | None = None
        self._overlay = overlay
        self._edge = edge
        self._device = device
        self._path = path

    async def keep(self) -> None:
        """Look every ten seconds, for ever."""
        while True:
            device = self._device()
            if device is not None and self._path is not None:
                await self._look(device, self._path)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, device: str, path: Path) -> None:
        try:
            self.seen = await asyncio.to_thread(self._set_up, device, path)
        except ZthookError as error:
            said = error.told
            if self.seen is None or self.seen.fault != said:
                log.warning("fast redial: %s", said)
            self.seen = Redial(wanted=self._overlay.fast_redial, fault=said)

    def _set_up(self, device: str, path: Path) -> Redial | None:
        home = home_of(self._overlay)
        if network_on(home, device) is None:
            return None
        here = HostRedial(home, path)
        if self._overlay.fast_redial:
            return here.look()
        here.put_back()
        return Redial(wanted=False)

    async def speak(self) -> None:
        """Send the edge a ping each second, for ever; whether it answers is all the same."""
        while True:
            if self.seen is not None and self.seen.wanted:
                with suppress(OSError):  # the overlay is away, as its own state says
                    ping(self._edge)
            await asyncio.sleep(SPEAK_SECONDS)


def ping(address: IPv4Address) -> None:
    """Send it one; no answer is waited for. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as link:
        link.settimeout(0)
        link.sendto(echo(0), (str(address), 0))

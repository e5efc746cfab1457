"""Router advertisements on one device, as a provider's or a home's router sends them."""

import tempfile
from ipaddress import IPv6Network
from pathlib import Path

from tests.lab.namespace import Namespace
from tests.lab.process import Process

LIFETIME_SECONDS = 30
"""How long those who hear it believe that it is a router: it says so again every 4 seconds, but
in its first minute only after 5 to 20.
"""


class Advertiser:
    """dnsmasq in a namespace, which advertises ``prefix`` and itself as the default router."""

    def __init__(self, namespace: Namespace, device: str, prefix: IPv6Network) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"{namespace.name}-ra")
        words = (
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--leasefile-ro",
            "--user=root",
            "--port=0",
            "--log-facility=-",
            "--enable-ra",
            f"--interface={device}",
            "--bind-dynamic",
            f"--dhcp-range={prefix[0]},ra-only,64,600",
            f"--ra-param={device},4,{LIFETIME_SECONDS}",
        )
        log = Path(self._folder.name) / "log"
        self._process = Process(f"advertiser of {prefix}", namespace.entering(words), log)

    def close(self) -> None:
        """End it; what it said is believed on until its lifetime ends."""
        self._process.kill()
        self._folder.cleanup()

"""A home line: a router that masquerades, whose outer address changes when it redials."""

from tests.lab.namespace import Namespace, cable
from tests.lab.topology import LINE_DEVICE, Home

MASQUERADE = """
table ip line {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "wan0" masquerade
    }
}
"""


class Line:
    """The router between a host and the internet; ``outer`` is its address there."""

    def __init__(self, namespace: Namespace, internet: Namespace, host: Namespace, home: Home):
        self.namespace = namespace
        self._home = home
        self._turn = 0
        provider = f"line{home.number}"
        cable(namespace, "wan0", internet, provider)
        cable(namespace, "lan0", host, LINE_DEVICE)
        internet.ip(f"addr add {home.line[1]}/{home.line.prefixlen} dev {provider}")
        namespace.ip(f"addr add {home.router}/{home.lan.prefixlen} dev lan0")
        namespace.sysctl(ipv4__ip_forward=1)
        namespace.run("nft", "-f", "-", stdin=MASQUERADE)
        self._dial()

    @property
    def outer(self) -> str:
        """The address that the internet sees now."""
        return str(self._home.line[2 + self._turn])

    def redial(self) -> str:
        """The line comes back under another address: the new one."""
        self._turn = (self._turn + 1) % 10
        self._dial()
        return self.outer

    def cut(self) -> None:
        """The line goes dead, until redial()."""
        self.namespace.ip("link set wan0 down")

    def _dial(self) -> None:
        # Down and up: the translations of the old address end with it.
        self.namespace.ip(
            "link set wan0 down",
            "addr flush dev wan0",
            f"addr add {self.outer}/{self._home.line.prefixlen} dev wan0",
            "link set wan0 up",
            f"route add default via {self._home.line[1]}",
        )

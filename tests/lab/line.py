"""A home line: a router that masquerades, whose outer address changes when it redials."""

from tests.lab.advertiser import Advertiser
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
    """The router between a host and the internet; ``outer`` is its address there.

    Its bridge ``lan`` is the home LAN. With ``ipv6`` it advertises the LAN's own prefix, which
    the internet routes to it, whatever outer address it has: nothing is translated there.
    """

    def __init__(
        self,
        namespace: Namespace,
        internet: Namespace,
        host: Namespace,
        home: Home,
        *,
        ipv6: bool = False,
    ) -> None:
        self.namespace = namespace
        self.ipv6 = ipv6
        self._home = home
        self._turn = 0
        self._advertiser: Advertiser | None = None
        provider = f"line{home.number}"
        cable(namespace, "wan0", internet, provider)
        internet.ip(f"addr add {home.line[1]}/{home.line.prefixlen} dev {provider}")
        namespace.unfilter_bridges()
        namespace.ip(
            # A MAC of its own: else it becomes the lowest of its ports', whenever one is added.
            f"link add lan address 02:00:c0:a8:{home.lan[0].packed[2]:02x}:01 type bridge",
            "link set lan up",
            f"addr add {home.router}/{home.lan.prefixlen} dev lan",
        )
        self.plug(host, "lan0", LINE_DEVICE)
        namespace.sysctl(ipv4__ip_forward=1)
        namespace.run("nft", "-f", "-", stdin=MASQUERADE)
        if ipv6:
            self._add_ipv6(internet, provider)
        self._dial()

    def plug(self, machine: Namespace, port: str, device: str) -> None:
        """Put a machine into the home LAN, by the router's ``port``."""
        cable(machine, device, self.namespace, port)
        self.namespace.ip(f"link set {port} master lan")

    def set_alone(self, *, on: bool) -> None:
        """Keep the host from machines on its LAN that are alone too: its own macvtap guests."""
        self.namespace.ip(f"link set lan0 type bridge_slave isolated {'on' if on else 'off'}")

    def close(self) -> None:
        """End what runs there."""
        if self._advertiser is not None:
            self._advertiser.close()

    def _add_ipv6(self, internet: Namespace, provider: str) -> None:
        home = self._home
        internet.ip(
            f"addr add {home.line6[1]}/64 dev {provider}",
            f"route add {home.lan6} via {home.line6[2]}",
        )
        self.namespace.sysctl(ipv6__conf__all__forwarding=1)
        self.namespace.ip(f"addr add {home.lan6[1]}/64 dev lan")
        self._advertiser = Advertiser(self.namespace, "lan", home.lan6)

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
        if self._advertiser is not None:
            self.namespace.ip(
                f"addr add {self._home.line6[2]}/64 dev wan0",
                f"route add default via {self._home.line6[1]}",
            )

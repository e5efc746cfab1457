"""The internet of the lab: the client, the providers of the edge's uplinks, ways to the homes."""

import json
from collections.abc import Callable, Sequence

from tests.lab.advertiser import Advertiser
from tests.lab.machine import Machine
from tests.lab.namespace import Namespace, cable
from tests.lab.topology import (
    CLIENT,
    CLIENT6,
    ROUTER6_TO_CLIENT,
    ROUTER_TO_CLIENT,
    Uplink,
)

TRANSIT = "192.0.2.{}"
"""Between the first provider (.1), who is the core, and the second (.2): a /30."""
TRANSIT6 = "2001:db8:2::{}"

# A provider takes from a customer only what has one of his own addresses as source.
INGRESS = """
table inet provider {{
    counter strays {{}}
    set own4 {{ type ipv4_addr; flags interval; elements = {{ {own4} }} }}
    set own6 {{ type ipv6_addr; flags interval; elements = {{ {own6}, fe80::/10 }} }}
    chain customers {{
        type filter hook prerouting priority raw
        iifname != "{device}" accept
        ip saddr != @own4 ip saddr != 0.0.0.0 counter name strays drop
        ip6 saddr != @own6 ip6 saddr != :: counter name strays drop
    }}
}}
"""


class Provider:
    """The router behind one uplink of the edge."""

    def __init__(self, namespace: Namespace, uplink: Uplink, *, ipv6: bool) -> None:
        self.namespace = namespace
        self.uplink = uplink
        self._advertiser: Advertiser | None = None
        namespace.sysctl(ipv4__ip_forward=1)
        namespace.ip(
            f"addr add {uplink.router}/{uplink.network.prefixlen} dev {uplink.device}",
            *([f"addr add {uplink.router6}/64 dev {uplink.device}"] if ipv6 else []),
        )

    def refuse_strays(self) -> None:
        """Drop what comes from the uplink with somebody else's source; see strays()."""
        rules = INGRESS.format(
            own4=self.uplink.network, own6=self.uplink.network6, device=self.uplink.device
        )
        self.namespace.run("nft", "-f", "-", stdin=rules)

    def strays(self) -> int:
        """How many packets had somebody else's source since refuse_strays()."""
        listed = self.namespace.run("nft", "-j", "list", "counter", "inet", "provider", "strays")
        rows = json.loads(listed.stdout)["nftables"]
        return int(next(row["counter"]["packets"] for row in rows if "counter" in row))

    def route(self, network: str, *, own: bool) -> None:
        """Route a network to the edge; ``own``: it is one more of this provider's own."""
        six = ":" in network
        via = self.uplink.edge6 if six else self.uplink.edge
        self.namespace.ip(f"route replace {network} via {via}")
        if own:
            place = ("add", "element", "inet", "provider", "own6" if six else "own4")
            self.namespace.run("nft", *place, f"{{ {network} }}")

    def advertise(self) -> None:
        """Send router advertisements on the uplink from now on."""
        self._advertiser = Advertiser(self.namespace, self.uplink.device, self.uplink.network6)

    def close(self) -> None:
        """End what runs there."""
        if self._advertiser is not None:
            self._advertiser.close()


class Internet:
    """``router`` is the first provider's, and the core; ``providers`` one for each uplink."""

    def __init__(
        self,
        make: Callable[[str], Namespace],
        plug: Callable[[Namespace, Uplink], None],
        client: Machine,
        uplinks: Sequence[Uplink],
        *,
        ipv6: bool,
    ) -> None:
        self._ipv6 = ipv6
        self._many = len(uplinks) > 1
        self.router = make("internet")
        if ipv6:
            self.router.sysctl(ipv6__conf__all__forwarding=1)
        plug(self.router, uplinks[0])
        self.providers = [Provider(self.router, uplinks[0], ipv6=ipv6)]
        self._connect_client(client)
        for number, uplink in enumerate(uplinks[1:], 2):
            namespace = make(f"provider{number}")
            plug(namespace, uplink)
            self._connect_provider(namespace, uplink)
        for provider in self.providers if self._many else []:
            provider.refuse_strays()

    def route_to_edge(self, network: str, uplink: int = 0) -> None:
        """The provider of that uplink routes a network of public addresses to the edge."""
        self.providers[uplink].route(network, own=self._many)
        if uplink:
            via = TRANSIT6.format(2) if ":" in network else TRANSIT.format(2)
            self.router.ip(f"route replace {network} via {via}")

    def translate(self, public: str, arrives_as: str) -> None:
        """The first provider translates ``public`` 1:1; the edge has and sees ``arrives_as``."""
        self.route_to_edge(f"{arrives_as}/32")
        self.router.run(
            "nft",
            "-f",
            "-",
            stdin=f"""
            table ip translation {{
                chain in {{
                    type nat hook prerouting priority dstnat
                    ip daddr {public} dnat to {arrives_as}
                }}
                chain out {{
                    type nat hook postrouting priority srcnat
                    ip saddr {arrives_as} snat to {public}
                }}
            }}
            """,
        )

    def close(self) -> None:
        """End what runs there."""
        for provider in self.providers:
            provider.close()

    def _connect_client(self, client: Machine) -> None:
        cable(client.namespace, "eth0", self.router, "client")
        self.router.ip(f"addr add {ROUTER_TO_CLIENT}/24 dev client")
        client.ip(f"addr add {CLIENT}/24 dev eth0", f"route add default via {ROUTER_TO_CLIENT}")
        if self._ipv6:
            self.router.ip(f"addr add {ROUTER6_TO_CLIENT}/64 dev client")
            client.ip(
                f"addr add {CLIENT6}/64 dev eth0", f"route add default via {ROUTER6_TO_CLIENT}"
            )

    def _connect_provider(self, namespace: Namespace, uplink: Uplink) -> None:
        cable(namespace, "core", self.router, "transit")
        namespace.ip(
            f"addr add {TRANSIT.format(2)}/30 dev core",
            f"route add default via {TRANSIT.format(1)}",
        )
        self.router.ip(
            f"addr add {TRANSIT.format(1)}/30 dev transit",
            f"route add {uplink.network} via {TRANSIT.format(2)}",
        )
        if self._ipv6:
            namespace.sysctl(ipv6__conf__all__forwarding=1)
            namespace.ip(
                f"addr add {TRANSIT6.format(2)}/64 dev core",
                f"route add default via {TRANSIT6.format(1)}",
            )
            self.router.ip(
                f"addr add {TRANSIT6.format(1)}/64 dev transit",
                f"route add {uplink.network6} via {TRANSIT6.format(2)}",
            )
        self.providers.append(Provider(namespace, uplink, ipv6=self._ipv6))

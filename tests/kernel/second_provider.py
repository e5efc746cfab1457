"""A second provider at a topology's edge, by a second interface; both are strict about sources."""

from dataclasses import replace
from ipaddress import ip_address

from tests.kernel.driver import PLANE, Edge, twin_of
from tests.kernel.namespace import Namespace
from tests.kernel.topology import Topology
from tests.kernel_host.twins import six
from zthook.model.addresses import AddressRange
from zthook.model.mappings import Forwarding

ROUTER, ON_EDGE = "198.18.20.1", "198.18.20.2"
CONFIGURED, ON_LINK, ROUTED = "198.18.20.20", "198.18.20.30", "198.18.21.10"
"""Public addresses of the second provider, one for each way of arrival."""
OTHERS = {CONFIGURED, ON_LINK, ROUTED}

# At the customer's port, as hosters do it: also what goes from neighbour to neighbour.
PORT = """table bridge port {{
    counter strays {{}}
    chain of_edge {{
        type filter hook prerouting priority 0; policy accept;
        iifname "pedge" ip saddr != {{ {own} }} counter name strays drop
    }}
}}
"""


class SecondProvider:
    """``neighbour`` is another customer of his; the edge has no default route by him."""

    def __init__(self, top: Topology) -> None:
        self.router, self.neighbour = top.namespace("router2"), top.namespace("neighbour2")
        self._routers = (top.router, self.router)
        self.router.run("ip link add wire type bridge", "ip link set wire up")
        top.cable(top.edge, "eth1", self.router, "pedge", "wire")
        top.cable(self.neighbour, "eth0", self.router, "pneighbour", "wire")
        top.cable(self.router, "core", top.router, "core")
        self.router.run(
            f"ip addr add {ROUTER}/24 dev wire",
            "ip addr add 198.18.255.2/24 dev core",
            "ip route add default via 198.18.255.1",
            f"ip route add 198.18.21.0/24 via {ON_EDGE}",
            "sysctl -qw net.ipv4.ip_forward=1",
        )
        top.router.run(
            "ip addr add 198.18.255.1/24 dev core",
            "ip route add 198.18.20.0/24 via 198.18.255.2",
            "ip route add 198.18.21.0/24 via 198.18.255.2",
        )
        top.edge.run(
            f"ip addr add {ON_EDGE}/24 dev eth1",
            f"ip addr add {CONFIGURED}/32 dev eth1",
            "sysctl -qw net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.eth1.rp_filter=1",
        )
        top.address(self.neighbour, "198.18.20.3/24", ROUTER)
        near = ", fe80::/10, ::" if top.version == 6 else ""
        top.router.nft(PORT.format(own=f"203.0.113.0/24, 192.0.2.0/24{near}"))
        self.router.nft(PORT.format(own=f"198.18.20.0/24, 198.18.21.0/24{near}"))

    def strays(self) -> list[str]:
        """What of others' sources came to either provider from the edge."""
        listed = (one.run("nft list counter bridge port strays") for one in self._routers)
        return [text for text in listed if "packets 0 " not in text]


def join(edge: Edge, router: str | None = ROUTER) -> None:
    """Have pools of the second provider; ``router`` is what edge.toml says of his."""
    plane = replace(
        PLANE,
        uplinks=frozenset({"eth0", "eth1"}),
        pool_ranges=(*PLANE.pool_ranges, AddressRange.parse("198.18.20.20-198.18.21.255")),
    )
    six_too = edge.top.version == 6
    gateways = [] if router is None else [ip_address(six(router) if six_too else router)]
    edge.plane = replace(
        twin_of(plane) if six_too else plane,
        gateways=frozenset(("eth1", one) for one in gateways),
    )


def mapping(edge: Edge, public: str, home: int = 1, **more: object) -> Forwarding:
    """Of whichever provider has the address."""
    made = edge.mapping(public, home, **more)  # type: ignore[arg-type]
    return replace(made, uplink="eth1" if public in OTHERS else "eth0")


def ways(edge: Namespace) -> str:
    """What leads packets to uplinks: rules and tables of ours beside the main one."""
    tables = (edge.run(f"ip -N route show table {n}", check=False) for n in range(12311, 12318))
    listed = [*edge.run("ip -N rule show").splitlines(), *"".join(tables).splitlines()]
    return "\n".join(sorted(listed))

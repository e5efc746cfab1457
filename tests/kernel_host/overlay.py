"""The overlay's device on the host goes and comes, as with a restart of its daemon."""

from tests.kernel_host.home import HOST_ON_OVERLAY, Home
from tests.kernel_host.twins import six
from tests.lab.namespace import cable


def lose_overlay(home: Home) -> None:
    home.spaces["host"].ip("link del zt0")


def regain_overlay(home: Home) -> None:
    """The device as a restarted overlay daemon makes it: strict again, without our routes."""
    own = HOST_ON_OVERLAY, six(HOST_ON_OVERLAY)
    host, switch = home.spaces["host"], home.spaces["switch"]
    cable(host, "zt0", switch, "host", mtu=2800)
    switch.ip("link set host master br0")
    address = f"addr add {HOST_ON_OVERLAY}/24 dev zt0"
    host.ip(address, six(address))
    host.sysctl(ipv4__conf__zt0__rp_filter=1)
    # Who was a neighbour of the old device asks anew; in tests at once.
    for name in ("edge", "member"):
        home.spaces[name].ip(*(f"neigh flush to {one}" for one in own))

"""An edge that is a host too: each keeps what is its own, and neither takes the other's away."""

from ipaddress import IPv4Address

import pytest

from tests.kernel.driver import CONFIGURED, Edge, both
from tests.kernel.questions import tells
from tests.kernel.test_edge_routed import routed
from tests.kernel.topology import Topology
from tests.kernel_host.twins import six_plane
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import Mode

pytestmark = pytest.mark.netns

OTHER_EDGE = IPv4Address("192.168.193.3")


@both
@pytest.mark.parametrize("mode", Mode)
def test_both_stay_as_they_are(top: Topology, edge: Edge, mode: Mode) -> None:
    edge.inside.run("ip link add virbr7 type bridge", "ip link set virbr7 up")
    rule = GuestRule(
        private=IPv4Address("192.168.130.50"),
        device="virbr7",
        public=IPv4Address("198.18.7.7"),
        active=True,
    )
    pools = (AddressRange.parse("198.18.7.0/24"),)
    wanted = HostPlane("zt0", OTHER_EDGE, edge.macs[2], frozenset({rule}), pools)
    if top.version == 6:
        wanted = six_plane(wanted)
    mapping = routed(edge, CONFIGURED) if mode is Mode.ROUTED else edge.mapping(CONFIGURED)
    host = edge.inside.call(KernelHostDataplane)
    try:
        edge.apply(mapping)
        assert edge.inside.call(lambda: host.apply(wanted)) != []
        edge.apply()  # the host turned forwarding on for the whole machine
        assert edge.inside.call(lambda: host.apply(wanted)) == []
        assert edge.apply() == []
        assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
        assert edge.inside.call(lambda: host.apply(None)) != []
        assert edge.apply() == []
        assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
    finally:
        edge.inside.call(host.close)

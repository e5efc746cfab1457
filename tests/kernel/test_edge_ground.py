"""What is around an edge may change while it is looked at."""

from ipaddress import IPv4Network

from tests.kernel.contract_edge import A, B, plane
from zthook.kernel.edge.fake import FakeEdgeDataplane, FakeEdgeKernel


def test_an_uplink_that_went_is_answered_for_when_it_is_back() -> None:
    kernel = FakeEdgeKernel()
    kernel.on_link["eth0"] = (IPv4Network("203.0.113.0/24"),)
    index = kernel.indexes.pop("eth0")
    dataplane = FakeEdgeDataplane(kernel)
    dataplane.apply(plane(A, B))
    assert kernel.proxies == set()
    kernel.indexes["eth0"] = index
    dataplane.apply(plane(A, B))
    assert {entry.address for entry in kernel.proxies} == {A.arrives_as}

"""Many routes in one go, on a real kernel."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.kernel.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.netlink import BATCH, ROUTE, Netlink
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import Route

pytestmark = pytest.mark.netns
LOOPBACK, NO_DEVICE = 1, 999


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("batch")
    made.run("ip link set lo up")
    yield made
    made.close()


@pytest.fixture
def kernel(where: Namespace) -> Iterator[Netlink]:
    made = where.call(lambda: Netlink(ROUTE))
    yield made
    made.close()


def routes(count: int, device: int = LOOPBACK) -> list[Route]:
    return [Route(IPv4Network(IPv4Address("10.0.0.1") + n), device) for n in range(count)]


def there(where: Namespace) -> set[str]:
    return {one["dst"] for one in json.loads(where.run("ip -j route show proto 123"))}


def test_more_than_a_datagram_holds(where: Namespace, kernel: Netlink) -> None:
    some = routes(2 * BATCH + 1)
    where.call(lambda: set_routes(kernel, some))
    assert len(there(where)) == len(some)
    where.call(lambda: remove_routes(kernel, [*some, *some]))
    assert there(where) == set()


def test_a_refusal_is_not_taken_for_the_answer_to_a_later_batch(
    where: Namespace, kernel: Netlink
) -> None:
    with pytest.raises(KernelError, match=r"route 10\.0\.0\.1/32: the kernel says ENODEV"):
        where.call(lambda: set_routes(kernel, routes(3, NO_DEVICE)))
    where.call(lambda: set_routes(kernel, routes(3)))
    assert there(where) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    with pytest.raises(KernelError, match=r"10\.0\.0\.1/32: the kernel says ENODEV"):
        where.call(lambda: set_routes(kernel, routes(1, NO_DEVICE)))

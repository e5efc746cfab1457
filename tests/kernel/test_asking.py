"""Who says by ARP that he has an address, also where the kernel would ask nobody."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.kernel.namespace import Namespace, mac
from zthook.errors import KernelError
from zthook.kernel.asking import ask_all

pytestmark = pytest.mark.netns

ONE, OTHER, NOBODYS = map(IPv4Address, ("192.168.193.2", "192.168.193.3", "192.168.193.9"))


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("asks")
    made.run("ip link add sw type bridge", "ip link set sw up")
    yield made
    made.close()


@pytest.fixture
def there(where: Namespace) -> Iterator[list[Namespace]]:
    """Two machines on the bridge, of which the second says that it has both addresses."""
    made = [Namespace("one"), Namespace("other")]
    for number, machine in enumerate(made):
        where.run(
            f"ip link add p{number} type veth peer name zt0 netns {machine.name}",
            f"ip link set p{number} master sw",
            f"ip link set p{number} up",
        )
        machine.run("ip link set zt0 up")
    made[0].run(f"ip addr add {ONE}/24 dev zt0")
    made[1].run(f"ip addr add {OTHER}/24 dev zt0", f"ip addr add {ONE}/32 dev zt0")
    yield made
    for machine in made:
        machine.close()


def test_all_that_say_so_are_heard(where: Namespace, there: list[Namespace]) -> None:
    one, other = (mac(machine, "zt0") for machine in there)
    where.run(f"ip neigh add {ONE} lladdr {one} dev sw nud permanent")
    found = where.call(lambda: ask_all("sw", [ONE, OTHER, NOBODYS]))
    assert found == {ONE: {one, other}, OTHER: {other}, NOBODYS: set()}
    known = (machine.run("ip neigh show") for machine in there)
    assert [one for one in known if "sw" in one or "192.168.193" in one] == [], "nobody learned us"
    assert mac(there[0], "zt0") in where.run("ip neigh show")


def test_it_ends_as_soon_as_it_is_enough(where: Namespace, there: list[Namespace]) -> None:
    asked = 0

    def is_enough(found: object) -> bool:
        nonlocal asked
        asked += 1
        return found == {OTHER: {mac(there[1], "zt0")}}

    where.call(lambda: ask_all("sw", [OTHER], is_enough))
    assert asked <= 3


def test_a_device_that_is_not_there(where: Namespace) -> None:
    with pytest.raises(KernelError, match="zt9"):
        where.call(lambda: ask_all("zt9", [ONE]))

"""The guests of a storm over real kernels: their XML, drawn by chance."""

import random
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from uuid import UUID

from tests.faults.ground import CONFIGURED, CONFIGURED6
from tests.host.making import mac
from zthook.model.addresses import IPAddress

GUESTS = 12
PUBLICS = [f"203.0.113.{number}" for number in range(10, 17)] + [str(CONFIGURED)]
PUBLICS6 = ["2001:db8:113::10", "2001:db8:113::11", str(CONFIGURED6), "2001:db8:200::10"]
"""Two on-link, one that the edge has itself, one that a router sends to it."""
WITH_IPV6 = 0.25
"""The share of annotations with IPv6: few enough that now and then there is no mapping of it."""
PREFIX6 = IPv6Network("fd00:122::/64")

DOMAIN = """
<domain type='qemu'>
  <name>web{number}</name><uuid>{uuid}</uuid>
  <metadata>{annotation}</metadata>
  <devices>
    <interface type='network'><mac address='{mac}'/><source network='default'/></interface>
  </devices>
</domain>"""
PUBLISH = "<zthook:publish xmlns:zthook='urn:zthook:1'>{addresses}</zthook:publish>"
ADDRESSES = (
    "<zthook:address public='PUBLIC'/>",
    "<zthook:address public='PUBLIC'/>",
    "<zthook:address public='PUBLIC' required='yes'/>",
    "<zthook:address public='PUBLIC' egress='public'/>",
    "<zthook:address public='PUBLIC' client='hide'/>",
    "<zthook:address public='PUBLIC' mode='routed'/>",
    "<zthook:address public='PUBLIC'><zthook:port protocol='tcp' listen='80' target='8080'/>"
    "</zthook:address>",
    "<zthook:address public='PUBLIC'><zthook:port protocol='tcp' listen='443'/>"
    "<zthook:allow source='198.51.100.0/24'/></zthook:address>",
    "<zthook:address public='auto' pool='auto'/>",
)
ADDRESSES6 = (
    *(
        one.replace("198.51.100.0/24", "2001:db8:51::/48").replace("'auto'/>", "'auto6'/>")
        for one in ADDRESSES
    ),
    "<zthook:address public='PUBLIC' mode='routed'/>",
    "<zthook:address public='PUBLIC' mode='routed' egress='public'/>",
)
WRONG = "<zthook:address public='203.0.113.300'/>"


def domain_xml(number: int, chance: random.Random) -> bytes:
    """Guest ``number`` with an annotation: most of one address or two, some wrong, some without."""
    annotation = _annotation(chance)
    return DOMAIN.format(
        number=number, uuid=UUID(int=number), mac=mac(number), annotation=annotation
    ).encode()


def _annotation(chance: random.Random) -> str:
    kind = chance.random()
    if kind >= 0.95:
        return ""
    if kind < 0.05:
        return PUBLISH.format(addresses=WRONG)
    addresses = _some(chance, ADDRESSES, PUBLICS, 0.25)
    if chance.random() < WITH_IPV6:
        addresses += _some(chance, ADDRESSES6, PUBLICS6, 0.5)
    return PUBLISH.format(addresses=addresses)


def _some(chance: random.Random, kinds: tuple[str, ...], publics: list[str], second: float) -> str:
    """One address, or with that chance two, of which one at most is the guest's way out."""
    some = [chance.choice(kinds)]
    if chance.random() < second:
        some.append(chance.choice([one for one in kinds if "egress" not in one]))
    pairs = zip(some, chance.sample(publics, len(some)), strict=True)
    return "".join(one.replace("PUBLIC", public) for one, public in pairs)


def leased(number: int, turn: int) -> tuple[IPAddress, IPAddress]:
    """What DHCP gives a guest, each turn others (0 to 2), which nobody else ever has."""
    last = (100, 150, 200)[turn] + number
    return IPv4Address("192.168.122.0") + last, IPv6Address(PREFIX6[last])

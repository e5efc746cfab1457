"""What is read of right documents, and that nothing but our errors comes of wrong ones."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.annotation.strategies import PUBLICATIONS
from zthook.annotation import (
    NAMESPACE,
    PREFIX,
    check,
    read_domain,
    read_network,
    read_publication,
    write_publication,
)
from zthook.errors import AnnotationError
from zthook.model.guests import Interface, NetworkKind
from zthook.model.publication import (
    AddressRequest,
    Client,
    Egress,
    Mode,
    PortRange,
    Protocol,
    Publication,
)

FULL = b"""\
<zthook:publish xmlns:zthook="urn:zthook:1">
  <zthook:address public="203.0.113.10" private="192.168.122.50" mode="nat" client="keep"
                  interface="52:54:00:AA:00:01" egress="home" required="no">
    <zthook:port protocol="tcp" listen="80" target="8080"/> <!-- the web server -->
    <zthook:port protocol="udp" listen="27000-27100"/>
    <zthook:allow source="198.51.100.0/24"/>
    <zthook:allow source="198.51.100.7"/>
  </zthook:address>
  <zthook:address
     public="auto" pool="hk"/>
  <zthook:address public="2001:DB8::10" mode="routed" egress="public" required="yes"/>
</zthook:publish>
"""

DOMAIN = b"""\
<domain type='qemu' id='3'>
  <name>web1</name>
  <uuid>8f5d2c1e-0000-4000-8000-000000000001</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0"/>
    <zthook:publish xmlns:zthook="urn:zthook:1">
      <zthook:address public="203.0.113.10" required="yes"/>
    </zthook:publish>
  </metadata>
  <devices>
    <interface type='network'>
      <mac address='52:54:00:AA:00:01'/>
      <source network='default' portid='d1' bridge='virbr0'/>
      <target dev='vnet0'/>
    </interface>
    <interface type='bridge'>
      <mac address='52:54:00:aa:00:02'/>
      <source bridge='br0'/>
    </interface>
    <interface type='direct'>
      <mac address='52:54:00:aa:00:03'/>
      <source dev='eth0' mode='bridge'/>
    </interface>
    <interface type='user'>
      <mac address='52:54:00:aa:00:04'/>
    </interface>
    <interface type='network'/>
  </devices>
</domain>
"""


def test_the_full_grammar() -> None:
    web, hk, six = read_publication(FULL).requests
    assert web == AddressRequest(
        public=IPv4Address("203.0.113.10"),
        private=IPv4Address("192.168.122.50"),
        client=Client.KEEP,
        interface="52:54:00:aa:00:01",
        ports=(
            PortRange(Protocol.TCP, 80, 80, 8080),
            PortRange(Protocol.UDP, 27000, 27100, 27000),
        ),
        allow=(IPv4Network("198.51.100.0/24"), IPv4Network("198.51.100.7/32")),
        line=2,
    )
    assert hk == AddressRequest(public=None, pool="hk", line=9)
    assert six == AddressRequest(
        public=IPv6Address("2001:db8::10"),
        mode=Mode.ROUTED,
        egress=Egress.PUBLIC,
        required=True,
        line=11,
    )


def test_the_same_in_metadata_and_in_a_domain() -> None:
    alone = read_publication(FULL).requests
    for around in (b"<metadata>%s</metadata>", b"<domain><metadata>%s</metadata></domain>"):
        assert read_publication(around % FULL).requests == alone


def test_another_prefix_or_none() -> None:
    for xml in (
        b'<publish xmlns="urn:zthook:1"><address public="203.0.113.10"/></publish>',
        b'<z:publish xmlns:z="urn:zthook:1"><z:address public="203.0.113.10"/></z:publish>',
    ):
        assert read_publication(xml).requests[0].public == IPv4Address("203.0.113.10")


def test_a_domain() -> None:
    domain = read_domain(DOMAIN)
    assert domain.uuid == UUID("8f5d2c1e-0000-4000-8000-000000000001")
    assert domain.name == "web1"
    assert domain.interfaces == (
        Interface("52:54:00:aa:00:01", NetworkKind.OTHER, "default", "virbr0"),
        Interface("52:54:00:aa:00:02", NetworkKind.BRIDGE, None, "br0"),
        Interface("52:54:00:aa:00:03", NetworkKind.MACVTAP),
        Interface("52:54:00:aa:00:04", NetworkKind.OTHER),
    )
    assert domain.publication is not None
    assert [request.line for request in domain.publication.requests] == [7]
    assert domain.annotated
    assert domain.required


def test_a_domain_without_annotation() -> None:
    domain = read_domain(DOMAIN.replace(b"urn:zthook:1", b"urn:other"))
    assert domain.publication is None
    assert domain.problems == ()
    assert not domain.annotated
    assert not domain.required


def test_a_domain_with_a_wrong_annotation() -> None:
    domain = read_domain(DOMAIN.replace(b"203.0.113.10", b"203.0.113.300"))
    assert domain.publication is None
    assert [problem.line for problem in domain.problems] == [7]
    assert domain.annotated
    assert domain.required, "it says so, wrong or not"
    lax = read_domain(DOMAIN.replace(b"203.0.113.10", b"x").replace(b'"yes"', b'"no"'))
    assert not lax.required


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"domain", b"network", "the document is a <network>, not a <domain>"),
        (b"name>", b"title>", "the <domain> has no <name>"),
        (b"uuid>", b"id>", "the <domain> has no <uuid>"),
        (b"8f5d2c1e", b"nonsense", "the domain's <uuid> is not a UUID"),
        (b"</domain>", b"", "not well-formed XML"),
    ],
)
def test_no_domain(old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_domain(DOMAIN.replace(old, new))
    assert words in caught.value.message


DEFAULT = b"""\
<network connections='1'>
  <name>default</name>
  <uuid>aa5d2c1e-0000-4000-8000-000000000001</uuid>
  <forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:11:22:33'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
      <host mac='52:54:00:AA:00:01' name='web1' ip='192.168.122.50'/>
      <host name='named-only' ip='192.168.122.51'/>
    </dhcp>
  </ip>
  <ip family='ipv6' address='fd00:122::1' prefix='64'/>
</network>
"""


def test_a_network() -> None:
    network = read_network(DEFAULT)
    assert network.name == "default"
    assert network.kind is NetworkKind.NAT
    assert network.bridge == "virbr0"
    assert network.gateways == (IPv4Address("192.168.122.1"), IPv6Address("fd00:122::1"))
    assert network.prefixes == (IPv4Network("192.168.122.0/24"), IPv6Network("fd00:122::/64"))
    assert network.static == (("52:54:00:aa:00:01", IPv4Address("192.168.122.50")),)


BRIDGE = "<bridge name='br0'/>"
DEVICE = "<forward mode='{}'><interface dev='eth0'/></forward>"


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        (BRIDGE, NetworkKind.ISOLATED),
        (f"<forward/>{BRIDGE}", NetworkKind.NAT),
        (f"<forward mode='nat'/>{BRIDGE}", NetworkKind.NAT),
        (f"<forward mode='route'/>{BRIDGE}", NetworkKind.ROUTE),
        (f"<forward mode='open'/>{BRIDGE}", NetworkKind.OPEN),
        (f"<forward mode='bridge'/>{BRIDGE}", NetworkKind.BRIDGE),
        (DEVICE.format("bridge"), NetworkKind.MACVTAP),
        (DEVICE.format("private"), NetworkKind.MACVTAP),
        (DEVICE.format("vepa"), NetworkKind.MACVTAP),
        (DEVICE.format("passthrough"), NetworkKind.MACVTAP),
        (DEVICE.format("hostdev"), NetworkKind.OTHER),
    ],
)
def test_forward_modes(inner: str, kind: NetworkKind) -> None:
    assert read_network(f"<network><name>n</name>{inner}</network>".encode()).kind is kind


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("172.16.2.3", "172.16.0.0/16"),
        ("192.168.5.3", "192.168.5.0/24"),
        ("fd00::1", "fd00::/64"),
    ],
)
def test_the_prefix_libvirt_takes_where_none_is_given(address: str, prefix: str) -> None:
    xml = f"<network><name>n</name><ip address='{address}'/></network>"
    assert [str(one) for one in read_network(xml.encode()).prefixes] == [prefix]


@pytest.mark.parametrize(
    "xml", [b"<domain/>", b"<network/>", DEFAULT.replace(b".122.1'", b".300'")]
)
def test_no_network(xml: bytes) -> None:
    with pytest.raises(AnnotationError):
        read_network(xml)


@given(PUBLICATIONS, st.booleans())
def test_what_is_written_reads_back(publication: Publication, bare: bool) -> None:
    text = write_publication(publication, namespace=not bare)
    if bare:
        text = text.replace("<publish>", '<publish xmlns="urn:zthook:1">')
    read = read_publication(text.encode())
    assert Publication(tuple(replace(one, line=0) for one in read.requests)) == publication


def test_what_is_written_is_short() -> None:
    publication = Publication((AddressRequest(IPv4Address("203.0.113.10")),))
    assert write_publication(publication) == (
        '<zthook:publish xmlns:zthook="urn:zthook:1">\n'
        '  <zthook:address public="203.0.113.10"/>\n'
        "</zthook:publish>\n"
    )


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A right document with a few bytes cut out, put in, or doubled."""
    xml = draw(st.sampled_from([FULL, DOMAIN, DEFAULT]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(xml)))
        length = draw(st.integers(0, 20))
        pieces = [b"<", b">", b'"', b"&", b"&#0;", b"&x;", b"<!DOCTYPE a>", b"]]>", b"\xff", b"\0"]
        insert = draw(st.binary(max_size=4) | st.sampled_from([*pieces, xml[at : at + length]]))
        xml = xml[:at] + insert + xml[at + length :]
    return xml


@pytest.mark.parametrize("read", [read_domain, read_network, read_publication])
@given(xml=damaged() | st.binary() | st.text("<>/=\"' abzthook:!?[]&;").map(str.encode))
@example(xml=b"\xef\xbb\xbf<a/>")
@example(xml=b"\xff\xfe<\x00a\x00/\x00>\x00")
@example(xml=b"<?xml version='1.0' encoding='utf-7'?><a/>")
@example(xml=b"<?xml version='1.0' encoding='big5'?><a/>")
@example(xml=b"<a xmlns:b='' />")
@example(xml=b"<a xmlns:zthook='urn:zthook:1' zthook:b=''><?a?><!-- --></a>")
def test_nothing_but_an_annotation_error_comes_out(
    read: Callable[[bytes], object], xml: bytes
) -> None:
    with suppress(AnnotationError):
        read(xml)
    publication, problems = check(xml)
    assert (publication is None) == bool(problems)
    total = xml.count(b"\n") + xml.count(b"\r") + 1
    assert all(1 <= problem.line <= total for problem in problems)


def test_libvirt_keeps_what_we_write() -> None:
    """libvirt's own test driver, in this process: no daemon, no guest."""
    libvirt = pytest.importorskip("libvirt")
    connection = libvirt.open("test:///default")
    try:
        guest = connection.lookupByName("test")
        publication = read_publication(FULL)
        element = write_publication(publication, namespace=False)
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        guest.setMetadata(kind, element, PREFIX, NAMESPACE, 0)
        domain = read_domain(guest.XMLDesc().encode())
        network = read_network(connection.networkLookupByName("default").XMLDesc().encode())
    finally:
        connection.close()
    assert domain.publication is not None
    assert [replace(one, line=0) for one in domain.publication.requests] == [
        replace(one, line=0) for one in publication.requests
    ]
    assert domain.name == "test"
    assert network.kind is NetworkKind.NAT

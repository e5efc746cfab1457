"""Annotations to test with: right ones as models, wrong ones as XML of any shape."""

from ipaddress import ip_network
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from zthook.model.publication import (
    AddressRequest,
    Client,
    Egress,
    Mode,
    PortRange,
    Protocol,
    Publication,
)

NS = 'xmlns:zthook="urn:zthook:1"'
ADDRESSES = {
    4: st.integers(0x0B000000, 0x644FFFFF).map(lambda number: ip_network(number)[0]),
    6: st.integers(0x2001 << 112, (0x2002 << 112) - 1).map(lambda number: ip_network(number)[0]),
}


@st.composite
def port_ranges(draw: st.DrawFn) -> tuple[PortRange, ...]:
    """Ranges that do not overlap within a protocol."""
    edges = sorted(draw(st.lists(st.integers(1, 65535), max_size=6, unique=True)))
    found = []
    for first, last in zip(edges[::2], edges[1::2], strict=False):
        protocol = draw(st.sampled_from(Protocol))
        last = draw(st.sampled_from([first, last]))
        target = draw(st.just(first) | st.integers(1, 65535 - (last - first)))
        found.append(PortRange(protocol, first, last, target))
    return tuple(found)


@st.composite
def requests(draw: st.DrawFn) -> AddressRequest:
    """One right request."""
    family = draw(st.sampled_from([4, 6]))
    address = ADDRESSES[family]
    fixed, mode = draw(st.booleans()), draw(st.sampled_from(Mode))
    clients = [None, *Client] if mode is Mode.NAT else [None, Client.KEEP]
    prefixes = st.tuples(address, st.integers(0, 32 if family == 4 else 128)).map(
        lambda parts: ip_network(parts, strict=False)
    )
    return AddressRequest(
        public=draw(address) if fixed else None,
        pool=None if fixed else draw(st.none() | st.sampled_from(["hk", "a.b-c_1"])),
        private=draw(st.none() | address),
        mode=mode,
        client=draw(st.sampled_from(clients)),
        interface=draw(st.none() | st.sampled_from(["52:54:00:aa:00:01"])),
        egress=draw(st.sampled_from(Egress)),
        required=draw(st.booleans()),
        ports=draw(port_ranges()),
        allow=tuple(draw(st.lists(prefixes, max_size=2))) if fixed else (),
    )


def _apart(found: list[AddressRequest]) -> bool:
    fixed = [request.public for request in found if request.public]
    return len(fixed) == len(set(fixed))


PUBLICATIONS = (
    st.lists(requests(), min_size=1, max_size=3)
    .filter(_apart)
    .map(lambda found: Publication(tuple(found)))
)

WORDS = [
    *("auto", "203.0.113.10", "192.168.122.50", "2001:db8::1", "::", "::1", "1::2:3:4:5:6:7"),
    *("224.0.0.1", "0.0.0.0", "fe80::1%eth0", "::ffff:1.2.3.4", "1.2.3.256", "01.2.3.4", "host"),
    *("198.51.100.0/24", "198.51.100.1/24", "10.0.0.0/33", "2001:db8::/32", "::/0", "0.0.0.0/00"),
    *("1.2.3.4/255.0.0.0", "52:54:00:aa:00:01", "52:54:00:AA:00:01", "52-54-00-aa-00-01"),
    *("nat", "routed", "keep", "hide", "home", "public", "yes", "no", "NAT", " nat", "nat\n"),
    *("tcp", "udp", "TCP", "80", "0", "080", "65535", "65536", "27000-27100", "90-80", "1-", "-"),
    *("hk", "a.b_c-d", "-hk", "h k", "", " ", "x" * 63, "x" * 64, "é", "٣"),
]
VALUES = st.sampled_from(WORDS) | st.text(st.characters(codec="ascii", categories=["N", "P", "L"]))
ADDRESS_LIKE = st.one_of(
    st.from_regex(r"[0-9a-fA-F:]{2,20}(/[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?", fullmatch=True),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.integers(0, 70000).map(str),
    st.tuples(st.integers(0, 70000), st.integers(0, 70000)).map(lambda two: f"{two[0]}-{two[1]}"),
)
RIGHT = {
    "public": ["203.0.113.10", "2001:db8::10", "auto"],
    "pool": ["hk"],
    "private": ["192.168.122.50", "fd00::5"],
    "mode": ["nat", "routed"],
    "client": ["keep", "hide"],
    "interface": ["52:54:00:aa:00:01"],
    "egress": ["home", "public"],
    "required": ["yes", "no"],
    "protocol": ["tcp", "udp"],
    "listen": ["80", "27000-27100"],
    "target": ["8080"],
    "source": ["198.51.100.0/24", "2001:db8::/32"],
}
OWN = {
    "publish": [],
    "address": ["public", "pool", "private", "mode", "client", "interface", "egress", "required"],
    "port": ["protocol", "listen", "target"],
    "allow": ["source"],
}
NEEDED = {"address": ["public"], "port": ["protocol", "listen"], "allow": ["source"]}


def seldom(one_in: int) -> st.SearchStrategy[bool]:
    """True about once in so many draws."""
    return st.integers(1, one_in).map(lambda number: number == one_in // 2)


@st.composite
def _attributes(draw: st.DrawFn, name: str) -> str:
    own = OWN[name]
    wanted = set(NEEDED.get(name, [])) | (draw(st.sets(st.sampled_from(own))) if own else set())
    if draw(seldom(15)) and wanted:
        wanted.discard(draw(st.sampled_from(sorted(wanted))))
    found = {key: draw(st.sampled_from(RIGHT[key])) for key in sorted(wanted)}
    if "pool" in found and not draw(seldom(8)):
        found["public"] = "auto"
    if draw(seldom(10)) and found:
        found[draw(st.sampled_from(sorted(found)))] = draw(VALUES | ADDRESS_LIKE)
    if draw(seldom(40)):
        odd = ["publik", "zthook:public", "other:x", "xml:space", "xml:lang"]
        found[draw(st.sampled_from(odd))] = "default"
    return "".join(f" {key}={quoteattr(value)}" for key, value in found.items())


@st.composite
def elements(draw: st.DrawFn, name: str = "publish", depth: int = 0) -> str:
    """An element of ours, right more often than not, of any wrong shape else."""
    children = {"publish": ["address"], "address": ["port", "allow"]}.get(name, [])
    kinds = draw(st.lists(st.sampled_from(children or ["allow"]), max_size=3)) if children else []
    if name == "publish" and not kinds and not draw(seldom(8)):
        kinds = ["address"]
    inner = [draw(elements(kind, depth + 1)) for kind in kinds]
    if draw(seldom(40)):
        strange = draw(st.sampled_from(["port", "address", "publish", "allow"]))
        inner.append(draw(elements(strange, depth + 1)) if depth < 4 else "<other:x/>")
    if draw(seldom(40)):
        inner.append(draw(st.sampled_from(["text", "&#160;", "<![CDATA[x]]>", "<port/>", "&amp;"])))
    inner += draw(st.lists(st.sampled_from([" ", "\n", "<!-- c -->", "<?p i?>"]), max_size=2))
    declared = f' {NS} xmlns:other="urn:other"' if depth == 0 else ""
    attributes = draw(_attributes(name))
    return f"<zthook:{name}{declared}{attributes}>{''.join(inner)}</zthook:{name}>"

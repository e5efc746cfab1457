"""Each fault of an annotation: its line, what is wrong, what would be right."""

import pytest

from zthook.annotation import check, read_publication
from zthook.errors import AnnotationError

HEAD = '<zthook:publish xmlns:zthook="urn:zthook:1">\n'


def publish(*lines: str) -> str:
    return HEAD + "\n".join(lines) + "\n</zthook:publish>"


def problems(xml: str | bytes) -> list[str]:
    publication, found = check(xml.encode() if isinstance(xml, str) else xml)
    assert (publication is None) == bool(found)
    return [str(problem) for problem in found]


def one(element: str) -> list[str]:
    """The problems of an annotation of this single address element, which begins in line 2."""
    return problems(publish(element))


GOOD = '<zthook:address public="203.0.113.10"/>'


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ('public="host.example"', 'public="host.example" is not an address; write an IPv4 address'),
        ('public="203.0.113.10/32"', "is not an address; write 203.0.113.10, without anything"),
        ('public=" 203.0.113.10"', "is not an address; write 203.0.113.10, without anything"),
        ('public="Auto"', 'public="Auto" is not an address; write auto'),
        ('public="127.0.0.1"', 'public="127.0.0.1" is a loopback address; write'),
        ('public="224.0.0.251"', "is a multicast address"),
        ('public="0.0.0.0"', "is the unspecified address"),
        ('public="::"', "is the unspecified address"),
        ('public="0.1.2.3"', "is a this-network address"),
        ('public="255.255.255.255"', "is a reserved address"),
        ('public="fe80::1"', "is a link-local address"),
        ('public="fe80::1%eth0"', "has a zone; write fe80::1"),
        ('public="::ffff:203.0.113.10"', "mixes IPv6 and IPv4; write 203.0.113.10"),
        ('public="::ffff:cb00:710a"', "is IPv4 in IPv6's clothes; write 203.0.113.10"),
        ("", '<address> has no public; add public="203.0.113.10" or public="auto"'),
        ('public="203.0.113.10" pool="hk"', "pool stands beside a fixed public address; leave"),
        ('public="auto" pool="h k"', 'pool="h k" can not be a pool\'s name'),
        ('public="auto" private="127.0.0.1"', 'private="127.0.0.1" is a loopback address'),
        (
            'public="203.0.113.10" private="fd00::1"',
            'public="203.0.113.10" is IPv4, private="fd00::1" is not; write an IPv4',
        ),
        ('public="auto" interface="52-54-00-AA-00-01"', "write 52:54:00:aa:00:01"),
        ('public="auto" interface="52:54:00:aa:00"', "write six pairs of digits"),
        ('public="auto" mode="route"', 'mode="route" is not known; write "routed"'),
        ('public="auto" mode="x"', 'is not known; write "nat" or "routed"'),
        ('public="auto" client="hidden"', 'client="hidden" is not known; write "hide"'),
        ('public="auto" egress="out"', 'egress="out" is not known; write "home" or "public"'),
        ('public="auto" required="true"', 'required="true" is neither yes nor no; write "yes"'),
        ('public="auto" required="maybe"', 'write "yes" or "no"'),
        (
            'public="auto" privat="10.0.0.1"',
            '<address> has no attribute "privat"; did you mean pri',
        ),
        ('public="auto" qqq="1"', 'has no attribute "qqq"; known there: public, pool'),
        ('public="auto" zthook:mode="nat"', 'mode of <address> has a prefix; write mode="…" wit'),
    ],
)
def test_an_attribute(attributes: str, problem: str) -> None:
    found = one(f"<zthook:address {attributes}/>")
    assert len(found) == 1
    assert found[0].startswith("line 2: ")
    assert problem in found[0]


@pytest.mark.parametrize(
    ("inner", "problem"),
    [
        ("web server", '<address> has the text "web server"; put it in a comment'),
        ("<zthook:ports/>", "<ports> does not belong in <address>; did you mean <port>?"),
        ("<zthook:qqq/>", "<qqq> does not belong in <address>; known there: <port>, <allow>"),
        ("<port/>", "<port> has no namespace; write <zthook:port>, in urn:zthook:1"),
        ('<port xmlns="urn:x"/>', '<port> is in the namespace "urn:x"; write <zthook:port>'),
        (
            '<zthook:port protocol="sctp" listen="80"/>',
            'protocol="sctp" is not known; write "tcp" or "udp"',
        ),
        ('<zthook:port listen="80"/>', '<port> has no protocol; add protocol="tcp" or "udp"'),
        ('<zthook:port protocol="tcp"/>', '<port> has no listen; add listen="80"'),
        (
            '<zthook:port protocol="tcp" listen="0"/>',
            'listen="0" is neither a port nor a range; write a port such as 80',
        ),
        (
            '<zthook:port protocol="tcp" listen="90-80"/>',
            'listen="90-80" is reversed; write 80-90',
        ),
        (
            '<zthook:port protocol="tcp" listen="80-90" target="8080-8090"/>',
            'target="8080-8090" is not one port; write the port that the first one of listen goes'
            " to, as in 8080",
        ),
        (
            '<zthook:port protocol="tcp" listen="80" target="99999"/>',
            'target="99999" is not a port; write a number from 1 to 65535',
        ),
        (
            '<zthook:port protocol="tcp" listen="80-90" target="65530"/>',
            "run past 65535; write 65525 or less, so that 11 ports fit",
        ),
        (
            '<zthook:port protocol="tcp" listen="80">x</zthook:port>',
            '<port> has the text "x"',
        ),
        (
            '<zthook:port protocol="tcp" listen="80"><zthook:allow/></zthook:port>',
            "<allow> does not belong in <port>; remove it: nothing belongs there",
        ),
        ("<zthook:allow/>", '<allow> has no source; add source="198.51.100.0/24"'),
        (
            '<zthook:allow source="198.51.100.7/24"/>',
            'source="198.51.100.7/24" has host bits set; write 198.51.100.0/24',
        ),
        (
            '<zthook:allow source="198.51.100.0/255.255.255.0"/>',
            "has no such prefix length; write 198.51.100.0/24",
        ),
        ('<zthook:allow source="10.0.0.0/33"/>', "write 10.0.0.0/N with N from 0 to 32"),
        ('<zthook:allow source="everybody"/>', "is not a prefix; write a prefix such as 198.51"),
        (
            '<zthook:allow source="2001:db8::/32"/>',
            'source="2001:db8::/32" never reaches 203.0.113.10: it is IPv6; write an IPv4 prefix',
        ),
    ],
)
def test_what_an_address_holds(inner: str, problem: str) -> None:
    found = one(f'<zthook:address public="203.0.113.10">{inner}</zthook:address>')
    assert len(found) == 1
    assert found[0].startswith("line 2: ")
    assert problem in found[0]


def test_a_routed_address_hides_no_client() -> None:
    assert one('<zthook:address public="203.0.113.10" mode="routed" client="hide"/>') == [
        'line 2: client="hide" is of mode="nat": with "routed" the guest sees the client; '
        'leave client out, or write mode="nat"'
    ]


def test_ports_that_overlap() -> None:
    found = problems(
        publish(
            '<zthook:address public="auto">',
            '<zthook:port protocol="tcp" listen="100-200"/>',
            '<zthook:port protocol="udp" listen="150"/>',
            '<zthook:port protocol="tcp" listen="201"/>',
            '<zthook:port protocol="tcp" listen="150"/>',
            '<zthook:port protocol="tcp" listen="200-300"/>',
            "</zthook:address>",
        )
    )
    assert found == [
        "line 5: tcp ports 201 and 200-300 overlap; take 200-300 out of one of the two",
        "line 6: tcp ports 150 and 100-200 overlap; take 100-200 out of one of the two",
        "line 7: tcp ports 200-300 and 100-200 overlap; take 100-200 out of one of the two",
    ]


def test_one_address_twice() -> None:
    found = problems(publish(GOOD, GOOD.replace("/>", ' mode="routed"/>')))
    assert found == [
        'line 3: public="203.0.113.10" stands in line 2 already; '
        "keep one of the two, with the ports of both"
    ]


def test_auto_twice_is_fine() -> None:
    assert not problems(publish(*['<zthook:address public="auto"/>'] * 2))


def test_all_problems_are_found_at_once_in_the_order_of_lines() -> None:
    found = problems(
        publish(
            '<zthook:address public="203.0.113.10"',
            '   mode="x" client="x">',
            '<zthook:allow source="x"/>',
            "</zthook:address>",
            '<zthook:address public="x"/>',
            '<zthook:address public="203.0.113.10"/>',
        )
    )
    assert [problem.split(" is ")[0].split(" stands ")[0] for problem in found] == [
        'line 2: mode="x"',
        'line 2: client="x"',
        'line 4: source="x"',
        'line 6: public="x"',
        'line 7: public="203.0.113.10"',
    ]


METADATA = "<domain>\n<metadata>\n%s\n</metadata>\n</domain>"


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        (publish(), "line 1: <publish> has no <address>; add <zthook:address"),
        (
            publish(GOOD).replace("zthook:1", "zthook:2"),
            'line 1: <publish> is in the namespace "urn:zthook:2"; '
            'write <zthook:publish xmlns:zthook="urn:zthook:1">',
        ),
        ('<publish><address public="auto"/></publish>', "line 1: <publish> has no namespace; "),
        (
            METADATA % ("<publish/>" + publish(GOOD)),
            "line 3: <publish> has no namespace; write <zthook:publish xmlns",
        ),
        (METADATA % publish(GOOD).replace("zthook:1", "zt-hook:1"), 'namespace "urn:zt-hook:1"'),
        (METADATA % (publish(GOOD) + publish(GOOD)), "line 5: a second <publish>, beside that of"),
        (METADATA % publish(GOOD).replace("publish", "publsh"), "<publsh> can not stand here; wri"),
        (f"<domain>{publish(GOOD)}</domain>", "line 1: <publish> stands outside of <metadata>"),
        ("<domain><metadata/></domain>", "line 1: there is no annotation; add <zthook:publish>"),
        ("<metadata/>", "there is no annotation"),
        ("<network/>", "line 1: the document is a <network>; give <zthook:publish>, or"),
        ("<zthook:publish>", "line 1: not well-formed XML: "),
        ("<a>\n<b></a>", "line 2: not well-formed XML: mismatched tag; mend the XML"),
        ("", "line 1: not well-formed XML: no element found"),
        ("<zthook:publish/>", "not well-formed XML: "),
        ("<?xml version='1.0' encoding='no-such'?><a/>", "line 1: not well-formed XML: "),
    ],
)
def test_where_the_annotation_is(xml: str, problem: str) -> None:
    found = problems(xml)
    assert len(found) == 1
    assert problem in found[0]


def test_an_annotation_in_the_metadata_of_others() -> None:
    ours = publish(GOOD)
    others = '<o:x xmlns:o="urn:o"><publish xmlns="urn:o"/></o:x><y xmlns="urn:libosinfo"/>'
    assert not problems(METADATA % (others + ours))
    assert not problems(f"<metadata>{ours}{others}</metadata>")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "document",
    [
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l9;</x>',
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x y="&l9;"/>',
        f'<!DOCTYPE x [<!ENTITY q "{"a" * 100_000}">]><x>{"&q;" * 5_000}</x>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><x/>',
    ],
    ids=["laughs", "laughs in an attribute", "quadratic", "file", "external DTD", "parameter"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_count(document: str, encoding: str) -> None:
    assert problems(document.encode(encoding)) == [
        "line 1: a document type declaration (<!DOCTYPE …>); "
        "remove it: neither libvirt nor zthook needs one"
    ]


def test_ten_megabytes() -> None:
    xml = publish(GOOD * 250_000)
    size = len(xml)
    assert size > 10_000_000 - 500_000
    assert problems(xml) == [
        f"line 1: {size} bytes of XML, where 1048576 is the most; "
        "remove what is not needed from the document"
    ]


@pytest.mark.parametrize(
    "xml",
    [
        publish("<zthook:address" + f' {"x" * 900_000}="1"' + ' public="auto"/>'),
        publish(f'<zthook:address public="{"1" * 900_000}"/>'),
        publish(
            '<zthook:address public="auto">'
            + '<zthook:port protocol="tcp" listen="1"/>' * 25_000
            + "</zthook:address>"
        ),
        "<a>" * 300_000,
        "<a>" * 140_000 + "</a>" * 140_000,
    ],
    ids=["long name", "long value", "many ports", "unclosed", "deep"],
)
def test_a_megabyte_of_nonsense_is_answered(xml: str) -> None:
    found = problems(xml)
    assert found
    assert max(map(len, found)) < 500


def test_the_error_lists_every_problem() -> None:
    with pytest.raises(AnnotationError) as caught:
        read_publication(publish('<zthook:address public="x" mode="x"/>').encode())
    assert [line[:7] for line in caught.value.message.splitlines()] == ["line 2:", "line 2:"]
    assert "zthook validate" in caught.value.hint


def test_control_characters_do_not_reach_the_terminal() -> None:
    (found,) = one('<zthook:address public="&#x9b;31m&#x202e;"/>')
    assert found.isprintable()

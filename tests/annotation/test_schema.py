"""publish.rng and our own checks say the same of every document."""

from ipaddress import IPv6Address, ip_address

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.annotation.strategies import ADDRESS_LIKE, NS, PUBLICATIONS, RIGHT, VALUES, elements
from zthook.annotation import check, schema, write_publication
from zthook.annotation.document import parse
from zthook.annotation.grammar import read_publish
from zthook.annotation.reading import Findings
from zthook.model.publication import Publication


def judged(xml: str) -> tuple[bool, Findings]:
    """What the schema says, and what our own checks find."""
    document = parse(xml.encode())
    findings = Findings()
    read_publish(document, document.root, findings)
    return schema.accepts(document.root), findings


@settings(max_examples=200)
@given(elements())
def test_the_schema_takes_what_we_find_nothing_wrong_with(xml: str) -> None:
    accepted, findings = judged(xml)
    assert accepted == (not findings.form), findings.form


def in_attribute(name: str, value: str) -> str:
    """An annotation with this value in one place, right all around it."""
    text = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    places = {
        "listen": f'<zthook:port protocol="tcp" listen="{text}"/>',
        "target": f'<zthook:port protocol="tcp" listen="1" target="{text}"/>',
        "protocol": f'<zthook:port protocol="{text}" listen="1"/>',
        "source": f'<zthook:allow source="{text}"/>',
    }
    if name in places:
        address = f'<zthook:address public="auto">{places[name]}</zthook:address>'
        return f"<zthook:publish {NS}>{address}</zthook:publish>"
    public = "" if name == "public" else 'public="auto"'
    return f'<zthook:publish {NS}><zthook:address {public} {name}="{text}"/></zthook:publish>'


ATTRIBUTES = st.sampled_from(sorted(RIGHT))


@settings(max_examples=150)
@given(ATTRIBUTES, VALUES | ADDRESS_LIKE)
@example("private", "1:2:3:4:5:6:7:8:9")
@example("private", "1:2:3:4:5:6:7::")
@example("private", "::2:3:4:5:6:7:8")
@example("private", "1::2:3:4:5:6:7:8")
@example("private", "1:::2")
@example("source", "2001:db8::/128")
@example("source", "2001:db8::/129")
@example("source", "1.2.3.4/")
@example("listen", "1-65536")
@example("mode", "nat ")
def test_each_value_alone(name: str, value: str) -> None:
    accepted, findings = judged(in_attribute(name, value))
    assert accepted == (not findings.form), findings.form


@given(st.integers(0, 2**128 - 1), st.sampled_from(["compressed", "exploded"]))
def test_the_schema_takes_every_ipv6_address(number: int, form: str) -> None:
    text = getattr(IPv6Address(number), form)
    accepted, _ = judged(in_attribute("private", text))
    assert accepted


@given(st.from_regex(r"[0-9a-f]{0,2}(:{1,2}[0-9a-f]{0,2}){1,9}", fullmatch=True))
def test_the_schema_takes_no_other_text_for_ipv6(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        right = False
    else:
        right = True
    accepted, _ = judged(in_attribute("private", text))
    assert accepted == right


@given(PUBLICATIONS)
def test_the_schema_takes_what_we_write(publication: Publication) -> None:
    accepted, findings = judged(write_publication(publication))
    assert accepted
    assert not findings.problems


def test_a_document_that_only_the_schema_refuses_is_refused(monkeypatch: object) -> None:
    monkeypatch.setattr(schema, "accepts", lambda _publish: False)  # type: ignore[attr-defined]
    publication, problems = check(in_attribute("mode", "nat").encode())
    assert publication is None
    assert "the schema does not take this <publish>" in str(problems[0])

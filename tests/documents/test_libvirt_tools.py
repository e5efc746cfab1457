"""What the page about other tools has people write gives a guest its address."""

import pytest
from lxml import etree

from tests.documents import DOCS
from tests.documents.markdown import read
from zthook.annotation import check

DOMAINS = {
    "without metadata": "<domain><name>web1</name><memory>1</memory></domain>",
    "with somebody else's": "<domain><name>web1</name><metadata><a xmlns='urn:a'/></metadata>"
    "<memory>1</memory></domain>",
}


@pytest.mark.parametrize("xml", DOMAINS.values(), ids=DOMAINS)
def test_the_stylesheet_annotates_a_domain_and_keeps_the_rest(xml: str) -> None:
    (block,) = [one for one in read(DOCS / "libvirt-tools.md").blocks if one.language == "xslt"]
    made = etree.XSLT(etree.fromstring(block.text))(etree.fromstring(xml))
    publication, problems = check(etree.tostring(made))
    assert problems == ()
    assert publication is not None
    assert [str(one.public) for one in publication.requests] == ["203.0.113.10"]
    (metadata,) = made.findall("metadata")
    assert len(metadata) == xml.count("urn:a") + 1
    assert made.findtext("name") == "web1"
    assert made.findtext("memory") == "1"

"""The shipped RELAX NG schema."""

from functools import cache
from pathlib import Path

from lxml import etree
from lxml.etree import _Element as Element

PATH = Path(__file__).with_name("publish.rng")


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(PATH))


def accepts(publish: Element) -> bool:
    """Whether publish.rng takes this ``<publish>`` element."""
    return bool(_schema().validate(publish))

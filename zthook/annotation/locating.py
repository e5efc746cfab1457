"""Finds the annotation in a document: alone, in ``<metadata>``, or in a whole domain."""

from dataclasses import dataclass, field
from difflib import SequenceMatcher

from lxml import etree
from lxml.etree import _Element as Element

from zthook.annotation.document import Document
from zthook.annotation.reading import NAMESPACE, PREFIX, PUBLISH
from zthook.annotation.values import shown
from zthook.model.publication import Problem


@dataclass(slots=True)
class Located:
    """``publish`` is our element; ``annotation`` all that is, or was meant to be, ours."""

    publish: Element | None = None
    annotation: list[Element] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def locate(document: Document) -> Located:
    """Where the annotation is, and what is wrong with where it is.

    None at all is no problem here; a root element that can hold none is one.
    """
    root = document.root
    name = etree.QName(root).localname
    located = Located()
    if root.tag == "domain":
        for metadata in root.iterchildren("metadata"):
            _look_among(list(metadata), document, located)
        _look_outside(document, located)
    elif root.tag == "metadata":
        _look_among(list(root), document, located)
    elif looks_like_ours(root):
        _look_among([root], document, located)
    else:
        what = f"the document is a <{shown(name)}>"
        right = f"give <{PREFIX}:publish>, or the <metadata> or <domain> that holds it"
        located.problems.append(Problem(document.lines[root], what, right))
    return located


def looks_like_ours(element: Element) -> bool:
    """Whether this is, or was meant to be, an element of our namespace."""
    name = etree.QName(element)
    namespace = name.namespace or ""
    near = SequenceMatcher(None, namespace.lower()[:60], NAMESPACE).ratio() > 0.8
    return near or (name.localname == "publish" and not namespace)


def _look_among(elements: list[Element], document: Document, located: Located) -> None:
    for element in filter(looks_like_ours, elements):
        located.annotation.append(element)
        problem = _misplaced(element, document, located.publish)
        if problem:
            located.problems.append(problem)
        else:
            located.publish = element


def _misplaced(element: Element, document: Document, earlier: Element | None) -> Problem | None:
    """Why this is not the ``<publish>`` we look for, if it is not."""
    line, name = document.lines[element], etree.QName(element)
    if name.namespace != NAMESPACE:
        own = name.namespace
        where = f'is in the namespace "{shown(own)}"' if own else "has no namespace"
        what = f"<{shown(name.localname)}> {where}"
        return Problem(line, what, f'write <{PREFIX}:publish xmlns:{PREFIX}="{NAMESPACE}">')
    if element.tag != PUBLISH:
        what = f"<{shown(name.localname)}> can not stand here"
        return Problem(line, what, f"write <{PREFIX}:publish>")
    if earlier is not None:
        what = f"a second <publish>, beside that of line {document.lines[earlier]}"
        return Problem(line, what, "put all addresses into one: libvirt keeps only one")
    return None


def _look_outside(document: Document, located: Located) -> None:
    """Note elements of ours in a domain that stand outside of ``<metadata>``."""
    for element in document.root.iter(PUBLISH):
        if not any(above.tag == "metadata" for above in element.iterancestors()):
            located.annotation.append(element)
            what = "<publish> stands outside of <metadata>, where libvirt drops it"
            right = "move it into the domain's <metadata>"
            located.problems.append(Problem(document.lines[element], what, right))

"""Reads libvirt's domain XML."""

from uuid import UUID

from lxml.etree import _Element as Element

from zthook.annotation.checking import annotation_error, check_document
from zthook.annotation.document import Document, NotReadable, parse
from zthook.errors import AnnotationError
from zthook.model.guests import Domain, Interface, NetworkKind
from zthook.model.publication import Problem

_KINDS = {"bridge": NetworkKind.BRIDGE, "direct": NetworkKind.MACVTAP}


def read_domain(xml: bytes) -> Domain:
    """The guest that a whole libvirt domain XML describes, annotation and its problems included.

    Raises AnnotationError where it is no domain XML at all: not readable, another root
    element, no name or no UUID.
    """
    try:
        document = parse(xml)
    except NotReadable as error:
        raise annotation_error((error.problem,)) from error
    root = document.root
    if root.tag != "domain":
        raise not_libvirts(document, "domain")
    checked = check_document(document)
    return Domain(
        uuid=_uuid(document),
        name=_text(document, "name"),
        interfaces=tuple(_interfaces(root)),
        publication=checked.publication,
        problems=checked.problems,
        wrong_but_required=bool(checked.problems) and checked.says_required,
    )


def not_libvirts(document: Document, kind: str, why: str = "") -> AnnotationError:
    """The error for a document that is not libvirt's XML of that kind."""
    what = why or f"the document is a <{document.root.tag}>, not a <{kind}>"
    line = document.lines[document.root]
    return annotation_error((Problem(line, what, f"give libvirt's {kind} XML"),))


def _text(document: Document, name: str) -> str:
    text = document.root.findtext(name)
    if not text:
        raise not_libvirts(document, "domain", f"the <domain> has no <{name}>")
    return text


def _uuid(document: Document) -> UUID:
    text = _text(document, "uuid")
    try:
        return UUID(text.strip())
    except ValueError:
        raise not_libvirts(document, "domain", "the domain's <uuid> is not a UUID") from None


def attribute_of(parent: Element, child: str, name: str) -> str | None:
    """An attribute of the first such child, None where either is missing."""
    element = parent.find(child)
    return None if element is None else element.get(name)


def _interfaces(domain: Element) -> list[Interface]:
    found = []
    for element in domain.iterfind("devices/interface"):
        # Only a file written by hand lacks the MAC: libvirt fills it in.
        if mac := attribute_of(element, "mac", "address"):
            kind = _KINDS.get(element.get("type", ""), NetworkKind.OTHER)
            network = attribute_of(element, "source", "network")
            bridge = attribute_of(element, "source", "bridge")
            found.append(Interface(mac.lower(), kind, network, bridge))
    return found

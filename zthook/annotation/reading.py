"""One element of the annotation: its attributes and children, and what does not belong there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lxml import etree
from lxml.etree import _Element as Element

from zthook.annotation.document import Document
from zthook.annotation.values import Wrong, nearest, shown
from zthook.model.publication import Problem

NAMESPACE = "urn:zthook:1"
PREFIX = "zthook"
PUBLISH = f"{{{NAMESPACE}}}publish"

T = TypeVar("T")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "publish": (),
    "address": (
        *("public", "pool", "private", "interface"),
        *("mode", "client", "egress", "required"),
    ),
    "port": ("protocol", "listen", "target"),
    "allow": ("source",),
}
CHILDREN: dict[str, tuple[str, ...]] = {
    "publish": ("address",),
    "address": ("port", "allow"),
    "port": (),
    "allow": (),
}


@dataclass(slots=True)
class Findings:
    """What is wrong: ``form`` is what publish.rng refuses too, ``meaning`` what it can not say."""

    form: list[Problem] = field(default_factory=list)
    meaning: list[Problem] = field(default_factory=list)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them, in the order of lines."""
        return tuple(sorted([*self.form, *self.meaning], key=lambda problem: problem.line))


class Reading:
    """One element of ours on its way into the model."""

    def __init__(self, element: Element, document: Document, findings: Findings) -> None:
        self.element = element
        self.name = etree.QName(element).localname
        self.line = document.lines[element]
        self._document = document
        self._findings = findings

    def form(self, what: str, right: str) -> None:
        """Note what publish.rng refuses too."""
        self._findings.form.append(Problem(self.line, what, right))

    def meaning(self, what: str, right: str) -> None:
        """Note what publish.rng can not say."""
        self._findings.meaning.append(Problem(self.line, what, right))

    def doubt(self, attribute: str, wrong: Wrong | None) -> None:
        """Note what the meaning of an attribute's value gets wrong, if anything."""
        if wrong:
            text = self.element.get(attribute, "")
            self.meaning(f'{attribute}="{shown(text)}" {wrong.what}', wrong.right)

    def take(self, attribute: str, read: Callable[[str], T], default: T) -> T:
        """The attribute as ``read`` makes it; the default where it is missing or wrong."""
        text = self.element.get(attribute)
        if text is None:
            return default
        try:
            return read(text)
        except Wrong as wrong:
            self.form(f'{attribute}="{shown(text)}" {wrong.what}', wrong.right)
            return default

    def require(self, attribute: str, read: Callable[[str], T], right: str) -> T | None:
        """As ``take``, and a missing attribute is wrong."""
        if attribute not in self.element.attrib:
            self.form(f"<{self.name}> has no {attribute}", right)
        return self.take(attribute, read, None)

    def children(self, name: str) -> list["Reading"]:
        """Those children of ours that are called ``name``."""
        return [
            Reading(child, self._document, self._findings)
            for child in self.element.iterchildren(f"{{{NAMESPACE}}}{name}")
        ]

    def check_shape(self) -> None:
        """Note attributes, elements and text that do not belong here."""
        for attribute in self.element.attrib:
            if attribute not in ATTRIBUTES[self.name]:
                self._unknown_attribute(str(attribute))
        for child in self.element:
            if child.tag not in {f"{{{NAMESPACE}}}{name}" for name in CHILDREN[self.name]}:
                Reading(child, self._document, self._findings).unknown(self.name)
        texts = [self.element.text, *(child.tail for child in self.element)]
        # The schema, as XML, knows these four as blank and no others.
        found = " ".join(text.strip(" \t\r\n") for text in texts if text).strip(" ")
        if found:
            self.form(f'<{self.name}> has the text "{shown(found)}"', "put it in a comment")

    def _unknown_attribute(self, attribute: str) -> None:
        local, known = etree.QName(attribute).localname, ATTRIBUTES[self.name]
        if local in known:
            self.form(f"{local} of <{self.name}> has a prefix", f'write {local}="…" without it')
            return
        self.form(f'<{self.name}> has no attribute "{shown(local)}"', _meant(local, known))

    def unknown(self, parent: str) -> None:
        """Note that this element does not belong in ``parent``."""
        known = CHILDREN[parent]
        if self.name in known:
            own = etree.QName(self.element).namespace
            where = f'is in the namespace "{shown(own)}"' if own else "has no namespace"
            self.form(f"<{self.name}> {where}", f"write <{PREFIX}:{self.name}>, in {NAMESPACE}")
            return
        right = _meant(self.name, known, "<{}>")
        self.form(f"<{shown(self.name)}> does not belong in <{parent}>", right)


def _meant(name: str, known: tuple[str, ...], shape: str = "{}") -> str:
    near = nearest(name, known)
    if near:
        return f"did you mean {shape.format(near)}?"
    words = ", ".join(shape.format(word) for word in known)
    return f"known there: {words}" if known else "remove it: nothing belongs there"

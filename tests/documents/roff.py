"""Markdown as roff with man(7)'s macros: as much of both as our documents and pages use."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from zthook import __version__

Node = Any
"""A SyntaxTreeNode, whose own type names neither level nor meta."""

PAGES = {
    "commands.md": "zthook(1)",
    "configuration.md": "zthook.toml(5)",
    "annotation.md": "zthook-annotation(7)",
}
"""Documents that are manual pages as well."""

_ESCAPES = str.maketrans(
    {
        "\\": r"\e",
        "-": r"\-",
        "'": r"\(aq",
        "`": r"\(ga",
        "^": r"\(ha",
        "~": r"\(ti",
        "…": "...",
    }
)


def escaped(text: str) -> str:
    """Text that stands for itself, wherever it stands."""
    plain = text.translate(_ESCAPES)
    plain = re.sub(r"[^\x00-\x7f]", lambda one: f"\\[u{ord(one[0]):04X}]", plain)
    return re.sub(r"^\.", r"\\&.", plain, flags=re.MULTILINE)


def head(name: str, section: int, source: str) -> str:
    """The first lines of the page, which is made of ``source``."""
    return (
        f'.\\" Made of {source} by python -m tests.documents: change that.\n'
        f'.TH {name.upper()} {section} "" "zthook {__version__}" zthook\n'
    )


def body(markdown: str) -> str:
    """The text: headings of level 2 are sections, those of level 3 parts of one."""
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(markdown))
    return "\n".join(_blocks(tree.children)) + "\n"


def _blocks(nodes: Sequence[Node]) -> Iterator[str]:
    for before, node in zip([None, *nodes], nodes, strict=False):
        if node.type == "heading":
            yield _heading(node)
        elif node.type == "paragraph":
            yield f".PP\n{_inline(node)}"
        elif node.type in {"fence", "code_block"}:
            yield f".PP\n.RS 4\n.EX\n{escaped(node.content.rstrip())}\n.EE\n.RE"
        elif node.type == "bullet_list":
            yield from (f".IP \\(bu 2\n{_inline(item.children[0])}" for item in node.children)
        elif node.type == "table":
            yield from _table(node, titled=before is not None and before.type == "table")
        else:
            raise ValueError(f"a {node.type}, which no page has had yet")


def _heading(node: Node) -> str:
    title = _inline(node)
    if node.tag == "h3":
        return f".SS {title}"
    return f".SH {title if '.' in title else title.upper()}"


def _table(node: Node, *, titled: bool) -> Iterator[str]:
    """A list of what stands in the first column; of more than two the last one says most."""
    top, below = node.children
    titles = [_inline(cell) for cell in top.children[0].children]
    if titled:
        yield f".PP\n{titles[0]}:"
    for row in below.children:
        tag, *between, told = (_inline(cell) for cell in row.children)
        named = zip(titles[1:], between, strict=False)
        more = "".join(f"\n.br\n{title}: {cell}" for title, cell in named if cell)
        yield f".TP\n{tag}\n{told}{more}"


def _inline(node: Node) -> str:
    return "".join(map(_span, node.children))


def _span(node: Node) -> str:
    match node.type:
        case "text":
            return escaped(node.content)
        case "code_inline":
            return f"\\fB{escaped(node.content)}\\fR"
        case "strong":
            return f"\\fB{_inline(node)}\\fR"
        case "link":
            return _link(_inline(node), node.attrs["href"])
        case "softbreak":
            return "\n"
        case "hardbreak":
            return "\n.br\n"
        case "inline":
            return _inline(node)
    raise ValueError(f"a {node.type}, which no page has had yet")


def _link(text: str, target: str) -> str:
    """Where a reader of manual pages finds it: there, or in the source."""
    file = target.partition("#")[0]
    if not file:
        return text
    place = PAGES.get(file) or (target if "://" in target else f"docs/{file}")
    return escaped(place) if text == escaped(file) else f"{text} ({escaped(place)})"

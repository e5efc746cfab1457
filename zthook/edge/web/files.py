"""The page itself: a few files as they are written, read once."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class File:
    """One that is served to everybody: the login form is in it, and nothing of the edge."""

    content: bytes
    kind: str


_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_files() -> dict[str, File]:
    """Path → file; ``/`` is the page."""
    found = {}
    for place in (files(__package__) / "static").iterdir():
        kind = _KINDS[PurePath(place.name).suffix]
        path = "/" if place.name == "index.html" else f"/{place.name}"
        found[path] = File(place.read_bytes(), kind)
    return found

"""docs/configuration.md names every key, default, variable and file that there is."""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.documents import DOCS, ROOT
from tests.documents.markdown import code, documents, read
from zthook.config.loading import parse_edge, parse_host
from zthook.config.places import Places
from zthook.config.settings import EdgeSettings, HostSettings
from zthook.errors import ConfigError

PAGE = read(DOCS / "configuration.md")
PARSE: dict[str, Callable[[str, Path], EdgeSettings | HostSettings]] = {
    "edge.toml": parse_edge,
    "host.toml": parse_host,
}
OVERLAYS = (
    {"driver": "zerotier", "network": "b87d70f46bc5c578"},
    {"driver": "interface", "interface": "br0"},
)
POOL = {"name": "hk", "addresses": ["203.0.113.10"], "uplink": "eth0"}
WRONG: tuple[object, ...] = ({}, "", "?", -1)
"""Between them every kind of value refuses one, and says what it must be."""

Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Key:
    """A row of the table of ``file``: a key, and what the page says of it."""

    file: str
    table: str
    name: str
    value: str
    default: str

    @property
    def place(self) -> str:
        return f"[{self.table}] {self.name}"

    def settings(self, value: object = None, *, overlay: int) -> EdgeSettings | HostSettings:
        """What a small file means; with ``value``, with this key set to it."""
        tables = _small_file(self.file, overlay)
        if value is not None:
            tables.setdefault(self.table, {})[self.name] = value
        return _parse(self.file, tables)

    def complaints(self, value: object) -> str:
        """What is said of files in which this key has ``value``."""
        tables = [_small_file(self.file, overlay) for overlay in range(len(OVERLAYS))]
        for one in tables:
            one.setdefault(self.table, {})[self.name] = value
        return "\n".join(_fault(self.file, one) for one in tables)


def _small_file(file: str, overlay: int) -> Tables:
    tables = {"overlay": dict(OVERLAYS[overlay])}
    return tables | {"[pool]": dict(POOL)} if file == "edge.toml" else tables


def _parse(file: str, tables: Tables) -> EdgeSettings | HostSettings:
    return PARSE[file](_toml(tables), Path(file))


def _fault(file: str, tables: Tables) -> str:
    """What is wrong with a file, "" where nothing is."""
    try:
        _parse(file, tables)
    except ConfigError as error:
        return error.message
    return ""


def _toml(tables: Tables) -> str:
    lines = []
    for name, keys in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_literal(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return "{}"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _rows() -> Iterator[Key]:
    for file in PARSE:
        for place, value, default, _ in PAGE.rows(file):
            found = re.fullmatch(r"\[(\[?\w+\]?)\] (\w+)", code(place))
            assert found, place
            yield Key(file, found[1], found[2], code(value), code(default) or default)


KEYS = list(_rows())
IDS = [f"{key.file}: {key.place}" for key in KEYS]


def _known(file: str, table: str) -> set[str]:
    """The keys of a table, as the parser lists them when it meets a stranger."""
    known: set[str] = set()
    for overlay in range(len(OVERLAYS)):
        tables = _small_file(file, overlay)
        tables.setdefault(table, {})["qqqqqq"] = 1
        found = re.search(r"is no key of this file: known: (.*)", _fault(file, tables))
        assert found, table
        known |= set(found[1].split(", "))
    return known


def _tables(file: str) -> set[str]:
    with pytest.raises(ConfigError) as caught:
        PARSE[file]("qqqqqq = 1\n" + _toml(_small_file(file, 0)), Path(file))
    found = re.search(r"known: (.*)", caught.value.message)
    assert found
    return {"[pool]" if name == "pool" else name for name in found[1].split(", ")}


@pytest.mark.parametrize("file", PARSE)
def test_every_key_has_a_row_and_every_row_is_a_key(file: str) -> None:
    listed = {(key.table, key.name) for key in KEYS if key.file == file}
    assert listed == {(table, name) for table in _tables(file) for name in _known(file, table)}


@pytest.mark.parametrize("key", KEYS, ids=IDS)
def test_what_a_value_may_be_is_said_as_the_parser_says_it(key: Key) -> None:
    said = "\n".join(key.complaints(value) for value in WRONG)
    kinds = set(re.findall(r"it must be (.*)", said))
    assert any(kind == key.value or key.value.startswith(f"{kind} of") for kind in kinds), kinds


@pytest.mark.parametrize("key", KEYS, ids=IDS)
def test_the_default_is_what_counts_where_the_key_is_left_out(key: Key) -> None:
    if key.default == "must be there":
        assert any(_is_missing(key, overlay) for overlay in range(len(OVERLAYS)))
    elif key.default == "none":
        assert not any(_is_missing(key, overlay) for overlay in range(len(OVERLAYS)))
    else:
        overlay = 0 if key.table == "overlay" else 1
        value = tomllib.loads(f"value = {key.default}")["value"]
        assert key.settings(value, overlay=overlay) == key.settings(overlay=overlay)


def _is_missing(key: Key, overlay: int) -> bool:
    tables = _small_file(key.file, overlay)
    tables.get(key.table, {}).pop(key.name, None)
    return f"{key.name} is missing" in _fault(key.file, tables)


@pytest.mark.parametrize("file", PARSE)
def test_the_example_of_a_file_shows_every_key_that_can_stand_beside_the_others(file: str) -> None:
    example = next(one.text for one in PAGE.blocks if one.heading == file)
    shown = tomllib.loads(example)
    pools = shown.pop("pool", [])
    places = {(table, name) for table, keys in shown.items() for name in keys}
    places |= {("[pool]", name) for pool in pools for name in pool}
    listed = {(key.table, key.name) for key in KEYS if key.file == file}
    other_driver = {("overlay", name) for name in ("network", "home", "interface")}
    assert listed - places - other_driver <= {("host", "via")}


def test_every_variable_has_a_row() -> None:
    listed = {code(row[0]) for row in PAGE.rows("Environment")}
    scripts = [ROOT / "install.sh", *(ROOT / "install").glob("*.sh"), ROOT / "hooks" / "qemu"]
    sources = [*(ROOT / "zthook").rglob("*.py"), *scripts]
    read_ones = {
        name
        for source in sources
        for name in re.findall(r"\b(?:ZTHOOK_[A-Z_]+|NO_COLOR)\b", source.read_text())
    }
    assert listed == read_ones


def test_the_folders_are_where_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {code(row[0]): code(row[1]) for row in PAGE.rows("Environment")}
    for name in ("CONFIG", "STATE", "RUNTIME"):
        monkeypatch.delenv(f"ZTHOOK_{name}_DIR", raising=False)
    places = Places.from_environment()
    assert places.config == Path(usual["ZTHOOK_CONFIG_DIR"])
    assert places.state == Path(usual["ZTHOOK_STATE_DIR"])
    assert places.runtime == Path(usual["ZTHOOK_RUNTIME_DIR"])


def _files_of_ours() -> set[str]:
    places = Places(Path("/etc/zthook"), Path("/var/lib/zthook"), Path("/run/zthook"))
    names = [name for name, found in vars(Places).items() if isinstance(found, property)]
    return {str(getattr(places, name)) for name in names}


def test_every_file_has_a_row() -> None:
    listed = {path for row in PAGE.rows("Files") for path in re.findall(r"`(/[^`]+)`", row[0])}
    assert _files_of_ours() <= listed


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_no_document_names_a_file_of_ours_that_is_not(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"/(?:etc|var/lib|run)/zthook/[\w./-]*\w", text))
    store = "/var/lib/zthook/edge.sqlite"
    beside = {f"{store}{end}" for end in ("-wal", "-shm", ".before-upgrade")}
    assert named <= _files_of_ours() | beside | {"/var/lib/zthook/keys/ca.pem"}

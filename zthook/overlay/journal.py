"""What we changed of zerotier-one's settings, and how each is put back: pure.

A setting is put back only while it is as we left it: what others wrote since is theirs.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec

Leaf = tuple[str, ...]
"""Keys below ``settings`` of local.conf, as in ``("peerSpecificBonds", "25d65e9f35")``."""
Settings = dict[str, Any]
_NOTHING = object()


class Change(msgspec.Struct, frozen=True):
    """``ours`` is what we set; ``before`` what was there, where anything was (``had``)."""

    leaf: Leaf
    ours: Any
    had: bool
    before: Any = None


class Journal(msgspec.Struct, frozen=True):
    """Of the daemon whose home is ``home``. ``original`` is its local.conf as it was before
    our first change; None: there was none.
    """

    home: str
    original: str | None
    changes: tuple[Change, ...] = ()

    def of(self, leaf: Leaf) -> Change | None:
        """What we changed there."""
        return next((one for one in self.changes if one.leaf == leaf), None)


def settings_of(conf: Mapping[str, Any]) -> Settings:
    """The settings in a local.conf; none where it has something else in that place."""
    found = conf.get("settings")
    return found if isinstance(found, dict) else {}


def value_at(settings: Settings, leaf: Leaf) -> Any:
    """What is set there; None where nothing is, which is the same to zerotier-one."""
    found = _value(settings, leaf)
    return None if found is _NOTHING else found


def change(
    settings: Settings, journal: Journal, wanted: Mapping[Leaf, Any]
) -> tuple[Settings, Journal]:
    """The settings with everything that is ``wanted``, and nothing else of ours."""
    after, kept = deepcopy(settings), []
    for one in journal.changes:
        if one.leaf not in wanted:
            _put_back(after, one)
    for leaf, value in wanted.items():
        now, known = _value(after, leaf), journal.of(leaf)
        if now == value and known is None:
            continue  # somebody else wants the same
        if known is not None and now in (value, known.ours):
            kept.append(msgspec.structs.replace(known, ours=value))
        else:
            before = None if now is _NOTHING else now
            kept.append(Change(leaf, value, before is not None, before))
        _set(after, leaf, value)
    return after, msgspec.structs.replace(journal, changes=tuple(kept))


def restored(settings: Settings, journal: Journal) -> Settings:
    """The settings without anything of ours."""
    return change(settings, journal, {})[0]


def posting(before: Settings, after: Settings) -> Settings:
    """What to POST to /config/settings so that ``before`` becomes ``after``.

    The daemon replaces each key as a whole, and can not be told to forget one: null counts
    as nothing there.
    """
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    return {key: after.get(key) for key in keys}


def _value(settings: Settings, leaf: Leaf) -> Any:
    found: Any = settings
    for key in leaf:
        if not isinstance(found, dict) or key not in found:
            return _NOTHING
        found = found[key]
    return _NOTHING if found is None else found


def _set(settings: Settings, leaf: Leaf, value: Any) -> None:
    table = settings
    for key in leaf[:-1]:
        if not isinstance(table.get(key), dict):
            table[key] = {}
        table = table[key]
    table[leaf[-1]] = deepcopy(value)


def _put_back(settings: Settings, one: Change) -> None:
    """A table that is empty without ours was not there before."""
    if _value(settings, one.leaf) != one.ours:
        return
    if one.had:
        _set(settings, one.leaf, one.before)
        return
    *tables, key = one.leaf
    inner: Any = settings
    for name in tables:
        inner = inner[name]
    del inner[key]
    if tables and not inner:
        _put_back(settings, Change(tuple(tables), {}, had=False))

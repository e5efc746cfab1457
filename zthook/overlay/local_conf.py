"""zerotier-one's local.conf, and the journal of what we changed there.

The daemon dies of a local.conf that is no JSON, and reads it whenever it likes: it is never
there in part.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from zthook.errors import OverlayDown, StoreError
from zthook.overlay.journal import Journal, restored, settings_of

NAME = "local.conf"
UNREADABLE = (OSError, ValueError, RecursionError)
EMPTY: tuple[Any, ...] = (None, {})


def conf_text(home: Path) -> str | None:
    """The file as it is; None where there is none. Raises OverlayDown."""
    path = home / NAME
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OverlayDown(f"{path} can not be read: {error}", hint="run as root") from error


def put_back(home: Path, journal: Journal) -> None:
    """Make local.conf what it would be without us: to the byte where nobody else changed it.

    Raises OverlayDown where it can not be read or written.
    """
    text = conf_text(home)
    if text is None:
        return
    conf, original = conf_in(home, text), journal.original
    before = conf_in(home, original)
    kept = {
        key: value
        for key, value in restored(settings_of(conf), journal).items()
        if value not in EMPTY or key in settings_of(before)
    }
    after = conf | {"settings": kept}
    if same_meaning(after, before):
        if original is None:
            (home / NAME).unlink()
            return
        made = original
    elif settings_of(after) == settings_of(conf):
        return
    else:
        made = json.dumps(after, indent=4, ensure_ascii=False)
    if made != text:
        _replace(home / NAME, made)


def load_journal(path: Path) -> Journal | None:
    """The journal; None where nothing was changed. Raises StoreError where it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, *UNREADABLE) as error:
        raise StoreError(
            f"{path}, which says what we changed in zerotier-one's {NAME}, is damaged: {error}",
            hint=f'take "zthook" out of {NAME} by hand, then remove {path}',
        ) from error


def save_journal(path: Path, journal: Journal) -> None:
    """Write it, all or nothing: before what it tells of is done. Raises StoreError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft(path, msgspec.json.format(msgspec.json.encode(journal)), 0o600)
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} can not be written: {error.strerror}",
            hint="zerotier-one is left as it is: nobody would know how to put it back",
        ) from error


def conf_in(home: Path, text: str | None) -> dict[str, Any]:
    """What ``text`` says as the local.conf of ``home``. Raises OverlayDown where it is none."""
    path = home / NAME
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OverlayDown(
            f"{path} is no JSON: {error}", hint="zerotier-one does not start with it: mend it"
        ) from error
    if not isinstance(found, dict):
        raise OverlayDown(f"{path} holds no JSON object", hint="zerotier-one does not start so")
    return found


def same_meaning(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two of them differ in nothing that says something."""
    return _meaning(one) == _meaning(other)


def _meaning(conf: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: the daemon can not be told to forget a key, see ``posting``."""
    settings = {key: value for key, value in settings_of(conf).items() if value not in EMPTY}
    rest = {key: value for key, value in conf.items() if key != "settings"}
    return rest | ({"settings": settings} if settings else {})


def _replace(path: Path, text: str) -> None:
    try:
        was = path.stat()
        draft = _draft(path, text.encode(), was.st_mode & 0o7777)
        os.chown(draft, was.st_uid, was.st_gid)
        draft.replace(path)
    except OSError as error:
        raise OverlayDown(
            f"{path} can not be written: {error.strerror}", hint="run as root"
        ) from error


def _draft(path: Path, content: bytes, mode: int) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)

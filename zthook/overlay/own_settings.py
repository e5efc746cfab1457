"""Changes zerotier-one's settings while it runs, and puts them back."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zthook.errors import OverlayDown
from zthook.overlay.journal import Journal, Leaf, Settings, change, posting, settings_of
from zthook.overlay.local_conf import (
    conf_in,
    conf_text,
    load_journal,
    put_back,
    same_meaning,
    save_journal,
)
from zthook.overlay.zerotier_api import ZeroTierApi


class OwnSettings:
    """Of the daemon whose home is ``home``; the journal of what was changed is at ``path``.

    ``settings`` are as ``read`` found them. Everything blocks, and raises OverlayDown where
    the daemon does not answer, StoreError where the journal fails.
    """

    def __init__(self, home: Path, path: Path) -> None:
        self.api = ZeroTierApi(home)
        self.home = home
        self.settings: Settings = {}
        self.journal = Journal(str(home), None)
        self._path = path

    def read(self) -> None:
        """Know them as they are now.

        Raises OverlayDown too while the daemon has not read what is in the file: what we have
        it write would undo that.
        """
        text, conf = conf_text(self.home), self.api.local_conf()
        if not same_meaning(conf, conf_in(self.home, text)):
            raise OverlayDown(
                f"zerotier-one has not read {self.home / 'local.conf'} as it is now",
                hint="it looks every ten seconds; if that lasts: systemctl restart zerotier-one",
            )
        self.settings = settings_of(conf)
        known = load_journal(self._path)
        if known is None or known.home != str(self.home) or not known.changes:
            known = _begun(self.home, text, known)
        self.journal = known

    def want(self, wanted: Mapping[Leaf, Any], *, again: bool = False) -> bool:
        """Have these settings and no other of ours; whether anything was written.

        The journal comes first: whatever ends us, everything can be put back. With ``again``
        what is there already is written once more, for the daemon to look at it.
        """
        after, journal = change(self.settings, self.journal, wanted)
        if journal != self.journal:
            save_journal(self._path, journal)
        changed = posting(self.settings, after)
        if again and not changed:
            changed = {key: after[key] for key in {leaf[0] for leaf in wanted} if key in after}
        if changed:
            self.api.write_settings(changed)
        self.settings, self.journal = after, journal
        return bool(changed)

    def changed(self) -> bool:
        """Whether there is anything of ours to be put back."""
        return self._path.exists()

    def put_back(self) -> None:
        """Leave nothing of ours in the settings; the daemon writes them."""
        if self.changed():
            self.read()
            self.want({})


def restore(path: Path) -> Path | None:
    """Make local.conf what it was before, and forget the journal at ``path``; the home of the
    daemon whose it was, None where nothing had been changed. Whether it runs or not.

    Raises OverlayDown where the file can not be written, StoreError.
    """
    journal = load_journal(path)
    if journal is None:
        return None
    home = Path(journal.home)
    with contextlib.suppress(OverlayDown):  # it does not run, or will read the file
        OwnSettings(home, path).put_back()
    put_back(home, load_journal(path) or journal)
    path.unlink()
    return home


def _begun(home: Path, text: str | None, known: Journal | None) -> Journal:
    """A journal without a change: what it has to know is the file without anything of ours.

    Where that means the same still, it is as its owner wrote it, not as the daemon did.
    """
    ours = known is not None and known.home == str(home)
    if (
        known is not None
        and ours
        and same_meaning(conf_in(home, text), conf_in(home, known.original))
    ):
        return known
    return Journal(str(home), text)

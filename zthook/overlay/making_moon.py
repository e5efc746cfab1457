"""Makes this machine's ZeroTier node a moon: a root of its owner's own, at a fixed address.

zerotier-idtool signs it; zerotier-one reads moons.d when it starts, and not before.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zthook.errors import OverlayDown, Refused
from zthook.overlay.node_api import NodeApi

IDTOOL_SECONDS = 60.0
"""It makes a key by trying; that takes a second at most where nobody else wants the processor."""


class MoonMaker:
    """For the daemon at ``home``. ``key`` is where the moon's signing key is kept (0600): who
    changes the addresses later needs it, as nodes take a newer moon by that signature alone.
    """

    def __init__(self, home: Path, key: Path) -> None:
        self._home = home
        self._key = key
        self._api = NodeApi(home)

    def endpoints(self, given: Sequence[tuple[str, int | None]]) -> list[str]:
        """As ZeroTier writes them, by default with this node's own UDP port. OverlayDown."""
        usual = self._api.status().port
        return [f"{address}/{port or usual}" for address, port in given]

    def counts(self, endpoints: list[str]) -> bool:
        """Whether the daemon goes by this moon already. Raises OverlayDown."""
        node = self._api.node_id()
        moons = [moon for moon in self._api.moons() if moon.node == node]
        return any(
            set(root.stable_endpoints) == set(endpoints) for one in moons for root in one.roots
        )

    def make(self, endpoints: list[str]) -> Path:
        """Write the moon where the daemon reads it when it starts next; returns where.

        Raises Refused where zerotier-idtool is missing or fails, OverlayDown.
        """
        node = self._api.node_id()
        tool = _idtool()
        moon = self._known(node) or json.loads(
            _run([*tool, "initmoon", str(self._home / "identity.public")])
        )
        moon["roots"][0]["stableEndpoints"] = endpoints
        place = self._home / "moons.d" / f"{node:0>16}.moon"
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "moon.json"
            _write_secret(draft, moon)
            _run([*tool, "genmoon", draft.name], folder)
            self._put(Path(folder) / place.name, place)
        self._key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_secret(self._key, moon)
        return place

    def _known(self, node: str) -> dict[str, Any] | None:
        """What was signed before, where that was for this node."""
        try:
            moon: dict[str, Any] = json.loads(self._key.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Refused(
                f"{self._key} is damaged: {error}",
                hint="restore it from a backup; without it hosts have to orbit a new moon, so"
                " remove it only for that",
            ) from error
        return moon if moon.get("id") == node else None

    def _put(self, made: Path, place: Path) -> None:
        owner = self._home.stat()
        try:
            place.parent.mkdir(exist_ok=True)
            os.chown(place.parent, owner.st_uid, owner.st_gid)
            shutil.copyfile(made, place)
            os.chown(place, owner.st_uid, owner.st_gid)
        except FileNotFoundError as error:
            raise Refused(f"zerotier-idtool made no {made.name}") from error


def restart_daemon() -> None:
    """Restart zerotier-one by systemd. Raises OverlayDown where that can not be."""
    try:
        _run(["systemctl", "restart", "zerotier-one"])
    except Refused as error:
        raise OverlayDown(
            f"zerotier-one was not restarted: {error.message}",
            hint="restart it by your own means: the moon counts from then on",
        ) from error


def _idtool() -> list[str]:
    own, whole = shutil.which("zerotier-idtool"), shutil.which("zerotier-one")
    if own:
        return [own]
    if whole:
        return [whole, "-i"]
    raise Refused(
        "there is no zerotier-idtool in PATH, which makes moons",
        hint="ZeroTier's own packages have it, beside zerotier-one; or leave --moon out",
    )


def _run(command: list[str], folder: str | None = None) -> str:
    name = " ".join(command[:2])
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=IDTOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{name} does not run: {error}") from error
    if done.returncode:
        raise Refused(f"{name} failed: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout


def _write_secret(path: Path, moon: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(0o600, exist_ok=False)
    draft.write_text(json.dumps(moon, indent=1))
    draft.replace(path)

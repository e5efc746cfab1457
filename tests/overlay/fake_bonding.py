"""The part of the stand-in for zerotier-one that reads and writes local.conf, and makes bonds."""

import json
from pathlib import Path
from typing import Any

STANDARD = ("broadcast", "active-backup", "balance-rr", "balance-xor", "balance-aware")


class FakeBonding:
    """Begun anew it has read the file at ``path``. ``paths`` are those of peers that are not
    reached as was recorded.

    Bonds are read once: the first policy that is in use freezes them all, until a restart.
    """

    def __init__(self, path: Path, paths: dict[str, list[dict[str, Any]]] | None = None) -> None:
        self.conf: dict[str, Any] = {}
        self.paths = paths if paths is not None else {}
        self._path = path
        self._policies: dict[str, str] = {}
        self._bonds: dict[str, str] = {}
        self.read()
        self.second_port = self._settings.get("allowSecondaryPort") is not False
        self.third_port = 0
        """As of a build without UPnP."""

    @property
    def _settings(self) -> dict[str, Any]:
        return self.conf.get("settings") or {}

    def read(self) -> None:
        """What it does every ten seconds where the file was changed in the last ten."""
        if self._path.exists():
            self.conf = json.loads(self._path.read_text())
        if self._policies:
            return
        self._bonds |= self._settings.get("peerSpecificBonds") or {}
        policies = self._settings.get("policies") or {}
        self._policies = {
            name: one["basePolicy"]
            for name, one in policies.items()
            if one["basePolicy"] in STANDARD
        }

    def post(self, settings: dict[str, Any]) -> None:
        """POST /config/settings: each key as a whole, and the file is written anew."""
        self.conf.setdefault("settings", {}).update(settings)
        self._path.write_text(json.dumps(self.conf, indent=4, sort_keys=True))

    def status(self, body: bytes) -> bytes:
        """GET /status as recorded, with the ports that are open."""
        found = json.loads(body)
        settings = found["config"]["settings"]
        settings["tertiaryPort"] = self.third_port
        if not self.second_port:
            settings["secondaryPort"] = 0
        return json.dumps(found).encode()

    def peers(self, body: bytes) -> bytes:
        """GET /peer as recorded, with the bonds that are in force."""
        found = json.loads(body)
        for peer in found:
            peer["paths"] = self.paths.get(peer["address"], peer["paths"])
            base = self._policies.get(self._bonds.get(peer["address"], ""))
            if base is not None and peer["paths"]:
                peer |= {"isBonded": True, "bondingPolicyStr": base}
        return json.dumps(found).encode()

"""Edge and agent as users run them, at real zerotier-ones: set up for redials, and put back."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.commands import run, wait_until
from tests.lab.daemons import JOIN, zthook_command
from tests.lab.process import Process
from tests.overlay.real_zerotier import BINARY, Node, World, world

pytestmark = [
    pytest.mark.zerotier,
    pytest.mark.netns,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]
SECONDS = 180.0
"""Nothing counts before it was seen for a minute, and bonds take ten seconds more."""


class Machine:
    """zthook beside a node: its folders, its command, its daemon."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self._environment = dict(os.environ)
        for name in ("config", "state", "runtime"):
            (folder / name).mkdir(parents=True)
            self._environment[f"ZTHOOK_{name.upper()}_DIR"] = str(folder / name)

    def __call__(self, *words: str, check: bool = True) -> str:
        """What that command prints."""
        command = self.node.namespace.entering([zthook_command(), *words])
        return run(command, env=self._environment, check=check).stdout

    @contextmanager
    def daemon(self, *words: str) -> Iterator[None]:
        command = self.node.namespace.entering([zthook_command(), *words])
        log = self.folder / "log"
        process = Process(words[-1], command, log, env=self._environment)
        try:
            yield
        finally:
            process.stop()

    def configure(self, name: str, text: str) -> None:
        (self.folder / "config" / name).write_text(text)

    def says(self, words: str, *command: str) -> Callable[[], bool]:
        """Whether the line `redial` of that status has these words."""

        def said() -> bool:
            shown = self(*command, check=False)
            found = re.search(r"^redial +(.*)$", shown, re.MULTILINE)
            return found is not None and words in found[1]

        return said

    @property
    def conf(self) -> str:
        return (self.node.home / "local.conf").read_text()


def overlay(world: World, node: Node) -> str:
    return f'[overlay]\ndriver = "zerotier"\nnetwork = "{world.network}"\nhome = "{node.home}"\n'


def test_from_joining_to_uninstalling(tmp_path: Path) -> None:
    with world(tmp_path) as found:
        edge, host = Machine(found.edge, tmp_path / "ze"), Machine(found.host, tmp_path / "zh")
        before = edge.conf, host.conf
        pool = ("--pool", "hk=203.0.113.10-203.0.113.14", "--uplink", "eth0")
        edge("edge", "init", "--zerotier", found.network, *pool)
        edge.configure("edge.toml", overlay(found, found.edge))
        host.configure("host.toml", overlay(found, found.host))
        with edge.daemon("edge", "serve"):
            wait_until(edge.says("0 of 0 hosts", "edge", "status"), SECONDS, "the edge looks")
            [token] = JOIN.findall(edge("edge", "host", "add", "home1"))
            host("join", token)
            with host.daemon("agent"):
                restart = "waits for a restart"
                wait_until(host.says(restart, "status"), SECONDS, "the host's second port")
                found.host.restart()
                wait_until(host.says("one UDP port", "status"), SECONDS, "its one port")
                wait_until(edge.says(restart, "edge", "status"), SECONDS, "the edge's ports")
                assert found.edge.peer_policy(found.host) in {"", "active-backup"}
                found.edge.restart()
                healed = edge.says("heals at once with 1 of 1 hosts", "edge", "status")
                wait_until(healed, SECONDS, "the bond")
                found.line.redial()
                wait_until(found.meets, SECONDS, "they meet again")
                assert "put back" in host("leave")
                assert host.conf == before[1]
        assert "put back" in edge("restore")
        assert edge.conf == before[0]

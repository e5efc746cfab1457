"""The same client against a real zerotier-one, alone in a namespace: node and controller in one."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import httpx
import pytest

from tests.overlay.conftest import Namespace
from zthook.errors import OverlayDown, Refused
from zthook.overlay import ZeroTierOverlay
from zthook.overlay.zerotier_api import ZeroTierApi

BINARY = os.environ.get("ZEROTIER_ONE")
PREFIX = IPv4Network("192.168.193.0/24")
NETWORK = {
    "private": True,
    "v4AssignMode": {"zt": True},
    "routes": [{"target": str(PREFIX)}],
    "ipAssignmentPools": [{"ipRangeStart": str(PREFIX[1]), "ipRangeEnd": str(PREFIX[254])}],
}
QUIET = {"portMappingEnabled": False, "softwareUpdate": "disable", "allowTcpFallbackRelay": False}

pytestmark = [
    pytest.mark.zerotier,
    pytest.mark.netns,
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]


class Daemon:
    """A zerotier-one with a home of its own."""

    def __init__(self, namespace: Namespace, home: Path) -> None:
        self.namespace = namespace
        self.home = home
        (home / "local.conf").write_text(json.dumps({"settings": QUIET}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["ip", "netns", "exec", self.namespace.name, str(BINARY), str(self.home)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def post(self, path: str, body: object) -> None:
        token = (self.home / "authtoken.secret").read_text()
        port = (self.home / "zerotier-one.port").read_text()

        def send() -> None:
            url = f"http://127.0.0.1:{port}{path}"
            httpx.post(url, json=body, headers={"X-ZT1-Auth": token}).raise_for_status()

        self.namespace.run(send)


@pytest.fixture
def daemon(namespace: Namespace, tmp_path: Path) -> Iterator[Daemon]:
    namespace.ip("link set lo up")
    daemon = Daemon(namespace, tmp_path)
    try:
        yield daemon
    finally:
        daemon.stop()


def wait_for(what: str, holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Watched:
    """An overlay, looked at from inside the namespace."""

    def __init__(self, daemon: Daemon, network: str) -> None:
        self.run = daemon.namespace.run
        self.overlay = ZeroTierOverlay(network, daemon.home)

    def up(self) -> bool:
        with suppress(OverlayDown):
            own = self.run(self.overlay.observe).addresses
            return any(isinstance(one, IPv4Address) and one in PREFIX for one in own)
        return False

    def says(self, words: str) -> bool:
        """Whether it is down, and message or hint holds these words."""
        try:
            self.run(self.overlay.observe)
        except OverlayDown as error:
            return words in f"{error.message} | {error.hint}"
        return False


def answers(daemon: Daemon) -> bool:
    with suppress(OverlayDown):
        return bool(daemon.namespace.run(ZeroTierApi(daemon.home).node_id))
    return False


def test_from_no_daemon_to_an_address_and_back(daemon: Daemon) -> None:
    run = daemon.namespace.run
    with pytest.raises(OverlayDown, match="has not run with this home"):
        run(ZeroTierApi(daemon.home).node_id)
    daemon.start()
    wait_for("the daemon answers", lambda: answers(daemon))
    node = run(ZeroTierApi(daemon.home).node_id)
    network = f"{node}00cafe"
    watched = Watched(daemon, network)
    overlay = watched.overlay

    with pytest.raises(Refused, match="is not the controller"):
        run(overlay.knocking)
    daemon.post(f"/controller/network/{network}", NETWORK)
    assert run(overlay.knocking) == []
    assert watched.says("has not joined network")

    run(overlay.join)
    wait_for("not authorised", lambda: watched.says(f"node {node} is not authorised"))
    assert [one.member for one in run(overlay.knocking)] == [node]
    run(lambda: overlay.authorise(node))
    run(lambda: overlay.authorise("00000000aa"))
    assert run(overlay.knocking) == []
    wait_for("the device has an address", watched.up)
    assert run(overlay.observe).mtu == 2800

    def after_setting_managed(holds: Callable[[], bool], *, wanted: bool) -> bool:
        # The daemon caches for a second which addresses its device has, and sets or removes
        # one only once: what it does not do within that second it never does. So ask again.
        for allowed in (not wanted, wanted):
            daemon.post(f"/network/{network}", {"allowManaged": allowed})
        return holds()

    def bare() -> bool:
        return watched.says(f"zerotier-cli set {network} allowManaged=1")

    wait_for("no address", lambda: after_setting_managed(bare, wanted=False))
    wait_for("an address again", lambda: after_setting_managed(watched.up, wanted=True))

    token = daemon.home / "authtoken.secret"
    right = token.read_text()
    token.write_text("wrong")
    assert watched.says("did not take the token")
    token.write_text(right)

    daemon.stop()
    assert watched.says("zerotier-one does not run")
    daemon.start()
    wait_for("it is all back", watched.up)


def test_networks_that_do_not_exist(daemon: Daemon) -> None:
    daemon.start()
    wait_for("the daemon answers", lambda: answers(daemon))
    node = daemon.namespace.run(ZeroTierApi(daemon.home).node_id)

    unknown = Watched(daemon, f"{node}00dead")
    daemon.namespace.run(unknown.overlay.join)
    wait_for("no such network", lambda: unknown.says(f"knows no network {node}00dead"))

    nowhere = Watched(daemon, "deadbeef0000cafe")
    daemon.namespace.run(nowhere.overlay.join)
    assert nowhere.says("node deadbeef00, has not answered yet")

"""What is set up for redials, at real zerotier-ones and a line that really redials."""

import json
from pathlib import Path

import pytest

from tests.overlay.real_zerotier import BINARY, world
from tests.overlay.redials import SetUp, pulse, speaking
from zthook.overlay.own_settings import restore

pytestmark = [
    pytest.mark.zerotier,
    pytest.mark.netns,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]


def test_from_a_stock_daemon_to_bonds_and_back(tmp_path: Path) -> None:
    with world(tmp_path) as found:
        before = (found.edge.home / "local.conf").read_text()
        set_up = SetUp(found, tmp_path)
        set_up.look_at_host()
        set_up.settle()
        set_up.wait_for("active-backup")
        # Bonds are in use: what changes now is in the file, and waits.
        set_up.restart_host()
        told = set_up.settle()
        assert (told.hosts, told.restart) == ({"home1": "active-backup"}, True)
        assert found.edge.peer_policy(found.host) == "active-backup"
        set_up.restart_edge()
        told = set_up.look()
        assert (told.hosts, told.restart, told.notes) == ({"home1": "broadcast"}, False, [])
        with (
            pulse(found.edge, found.host, found.network) as asking,
            speaking(found.host, found.edge.address(found.network)),
        ):
            print(f"a redial: {asking.gap(found.line):.2f} s")
        found.edge.inside(lambda: restore(set_up.journals[0]))
        assert (found.edge.home / "local.conf").read_text() == before
        found.edge.restart()
        assert json.loads(before) == found.edge.ask(lambda api: api.local_conf())

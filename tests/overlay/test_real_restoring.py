"""An edge that is its network's controller, moved to another machine, with real zerotier-ones."""

import json
import shutil
from pathlib import Path

import pytest

from tests.lab.commands import wait_until
from tests.overlay.real_lab import BINARY, real_lab
from tests.overlay.test_real_controller import RANGE, hosts

pytestmark = [
    pytest.mark.zerotier,
    pytest.mark.netns,
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]


def test_another_machine_goes_on_as_the_edge_and_the_controller(tmp_path: Path) -> None:
    """As docs/operating.md says to restore one; how soon hosts find it there is not seen here."""
    with real_lab(tmp_path) as lab:
        old, new, home = lab.edge, lab.stranger, lab.home
        where = ("--controller", "--range", str(RANGE), "--zerotier-home", str(old.home))
        old.zthook("edge", "init", *where)
        serving = old.running("edge", "serve")
        serving.wait_logged("listening on", 60)
        added = old.zthook("edge", "host", "add", "home1", "--member", home.id, "--json")
        home.zthook("join", json.loads(added)["token"], "--zerotier-home", str(home.home))
        home.running("agent").wait_logged("answers", 60)
        wait_until(lambda: hosts(old)[0]["lease"] == "live", 60, "home1 is there")
        serving.stop()
        old.stop()

        new.stop()
        for name in ("identity.public", "identity.secret"):
            shutil.copy(old.home / name, new.home)
        for name in ("zerotier-one/controller.d", "etc", "lib"):
            shutil.copytree(old.tmp / name, new.tmp / name, dirs_exist_ok=True)
        settings = new.tmp / "etc/edge.toml"
        settings.write_text(settings.read_text().replace(str(old.home), str(new.home)))
        new.start()
        told = new.zthook("edge", "init", "--controller")
        assert "kept   ZeroTier network" in told
        assert f"this edge is {RANGE[1]} there" in told
        new.running("edge", "serve").wait_logged("listening on", 60)

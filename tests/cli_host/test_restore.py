"""``zthook restore``, and ``leave``: zerotier-one is as it was before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_host.test_status import CREDENTIAL
from tests.overlay.fake_zerotier import running
from zthook.cli import join as joining
from zthook.config.places import Places
from zthook.config.settings import HostSettings, OverlaySettings
from zthook.config.writing import write_host
from zthook.overlay.fast_redial import HostRedial

Zthook = Callable[..., tuple[int, str, str]]


def test_nothing_was_changed(zthook: Zthook, places: Places) -> None:
    assert zthook("restore") == (0, "nothing was changed there\n", "")


@pytest.mark.parametrize("of", ["edge_journal", "host_journal"])
def test_what_was_changed_is_put_back(
    zthook: Zthook, places: Places, tmp_path: Path, of: str
) -> None:
    with running(tmp_path / "zerotier-one") as zerotier:
        HostRedial(zerotier.home, getattr(places, of)).look()
        assert "allowSecondaryPort" in (zerotier.home / "local.conf").read_text()
        code, out, _ = zthook("restore")
    assert (code, out.partition(";")[0]) == (0, f"put back {zerotier.home / 'local.conf'}")
    assert not (zerotier.home / "local.conf").exists()
    assert zthook("restore")[1] == "nothing was changed there\n"


def test_what_can_not_be_put_back_is_told(zthook: Zthook, places: Places, tmp_path: Path) -> None:
    with running(tmp_path / "zerotier-one") as zerotier:
        HostRedial(zerotier.home, places.host_journal).look()
    (zerotier.home / "local.conf").write_text("{")
    code, _, err = zthook("restore")
    assert (code, "local.conf is no JSON" in err) == (1, True)
    assert places.host_journal.exists(), "nothing is forgotten"


def test_a_host_that_leaves_puts_it_back(
    zthook: Zthook, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.host.enrolment.leave", lambda *_, **__: CREDENTIAL)
    monkeypatch.setattr(joining, "_clear_kernel", lambda _: None)
    write_host(places.host_config, HostSettings(OverlaySettings("interface", interface="zt0")))
    with running(tmp_path / "zerotier-one") as zerotier:
        HostRedial(zerotier.home, places.host_journal).look()
        code, out, _ = zthook("leave")
    assert (code, "put back" in out) == (0, True)
    assert not (zerotier.home / "local.conf").exists()

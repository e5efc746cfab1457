"""`zthook edge init --moon`: what is signed, kept and said; the tool that signs is a stand-in."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli_edge.conftest import Places
from tests.overlay.fake_zerotier import FakeZeroTier, recorded, running
from zthook.cli import edge_moon
from zthook.errors import Refused
from zthook.overlay import making_moon

Zthook = Callable[..., tuple[int, str, str]]
NETWORK = "deadbeef0000cafe"
IDTOOL = """#!/bin/sh
[ -z "$IDTOOL_FAILS" ] || { echo "cannot read $2" >&2; exit 1; }
case $1 in
initmoon) echo '{"id": "5d4548d482", "signingKey_SECRET": "'$$'",
    "roots": [{"identity": "5d4548d482:0:aa", "stableEndpoints": []}]}' ;;
genmoon) cp "$2" 0000005d4548d482.moon ;;
esac
"""


@pytest.fixture
def zerotier(tmp_path: Path) -> Iterator[FakeZeroTier]:
    with running(tmp_path / "zerotier-one") as fake:
        yield fake


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, before those of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def init(zthook: Zthook, zerotier: FakeZeroTier, places: Places, tools: Path) -> Zthook:
    program(tools / "zerotier-idtool", IDTOOL)

    def run(*options: str) -> tuple[int, str, str]:
        where = ("--zerotier", NETWORK, "--zerotier-home", str(zerotier.home))
        return zthook("edge", "init", *where, *options)

    return run


def moon_of(zerotier: FakeZeroTier) -> dict[str, object]:
    place = zerotier.home / "moons.d/0000005d4548d482.moon"
    return dict(json.loads(place.read_text()))


def test_it_is_written_and_what_it_takes_to_count_is_said(
    init: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    code, out, err = init("--moon", "203.0.113.2")
    assert (code, err) == (0, "")
    assert "a moon at 203.0.113.2/9994" in out, "the port that this node has"
    assert "systemctl restart zerotier-one   (the edge's hosts are cut off for" in out
    assert moon_of(zerotier)["roots"] == [
        {"identity": "5d4548d482:0:aa", "stableEndpoints": ["203.0.113.2/9994"]}
    ]
    key = places.state / "keys/moon.json"
    assert key.stat().st_mode & 0o777 == 0o600


def test_another_address_is_signed_with_the_same_key(
    init: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    init("--moon", "203.0.113.2")
    before = moon_of(zerotier)["signingKey_SECRET"]
    assert init("--moon", "203.0.113.3/443", "--moon", "2001:db8::2")[0] == 0
    moon = moon_of(zerotier)
    assert moon["signingKey_SECRET"] == before
    assert "203.0.113.3/443" in str(moon)
    assert "2001:db8::2/9994" in str(moon)
    (places.state / "keys/moon.json").write_text("{")
    code, _, err = init("--moon", "203.0.113.2")
    assert code == 1
    assert "moon.json is damaged" in err


def test_one_that_counts_is_kept(init: Zthook, zerotier: FakeZeroTier) -> None:
    (moon,) = json.loads(recorded("moon-list")[1])
    zerotier.moons[moon["id"]] = moon
    code, out, _ = init("--moon", "192.0.2.20/9994", "--restart-zerotier")
    assert code == 0
    assert "kept   this node is a moon at 192.0.2.20/9994" in out
    assert not (zerotier.home / "moons.d").exists()


def test_the_daemon_is_restarted_where_that_is_asked_for(
    init: Zthook, zerotier: FakeZeroTier, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tools / "note"
    program(tools / "systemctl", f'#!/bin/sh\necho "$@" >{note}\n')
    monkeypatch.setattr(edge_moon, "BACK_SECONDS", 0.0)
    code, out, err = init("--moon", "203.0.113.2", "--restart-zerotier")
    assert code == 1, "this one never comes back as a moon"
    assert "is not back as a moon" in err
    assert note.read_text() == "restart zerotier-one\n"
    assert "restarts zerotier-one: the edge's hosts are cut off" in out
    program(tools / "systemctl", "#!/bin/sh\necho no systemd here >&2\nexit 1\n")
    code, _, err = init("--moon", "203.0.113.2", "--restart-zerotier")
    assert code == 1
    assert "zerotier-one was not restarted" in err
    assert "no systemd here" in err


def test_no_tool_or_one_that_fails(
    init: Zthook, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDTOOL_FAILS", "1")
    code, _, err = init("--moon", "203.0.113.2")
    assert code == 1
    assert "initmoon failed: cannot read" in err
    monkeypatch.setattr(making_moon.shutil, "which", lambda _name: None)
    code, _, err = init("--moon", "203.0.113.2")
    assert code == 1
    assert "there is no zerotier-idtool in PATH" in err


def test_where_only_the_daemon_is_found_it_is_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"zerotier-one": "/usr/sbin/zerotier-one"}
    monkeypatch.setattr(making_moon.shutil, "which", found.get)
    assert making_moon._idtool() == ["/usr/sbin/zerotier-one", "-i"]
    found.clear()
    with pytest.raises(Refused):
        making_moon._idtool()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--moon", "edge.example"), "'edge.example' is no address"),
        (("--moon", "203.0.113.2:9993"), "is no address"),
        (("--moon", "127.0.0.1"), "127.0.0.1 is not where hosts could reach this machine"),
        (("--moon", "203.0.113.2/99999"), "'99999' is no UDP port"),
        (("--moon", "203.0.113.2/"), "'' is no UDP port"),
        (("--restart-zerotier",), "--restart-zerotier goes with --moon"),
    ],
)
def test_mistyped(init: Zthook, zerotier: FakeZeroTier, options: tuple[str, ...], why: str) -> None:
    code, _, err = init(*options)
    assert code == 2
    assert why in err
    assert not (zerotier.home / "moons.d").exists()


def test_an_address_of_a_pool_is_no_moons(init: Zthook, zerotier: FakeZeroTier) -> None:
    code, _, err = init("--moon", "203.0.113.10", "--pool", "hk=203.0.113.10", "--uplink", "lo")
    assert code == 1
    assert "203.0.113.10 is in the pool hk" in err
    assert not (zerotier.home / "moons.d").exists()


def test_an_overlay_that_is_not_zerotier_has_no_moon(zthook: Zthook, places: Places) -> None:
    code, _, err = zthook("edge", "init", "--interface", "br0", "--moon", "203.0.113.2")
    assert code == 2
    assert "--moon is for an overlay that is ZeroTier" in err

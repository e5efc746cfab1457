"""What an edge and a host have zerotier-one set up for, and how all of it is put back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.overlay.fake_zerotier import FakeZeroTier
from zthook.errors import OverlayDown, StoreError
from zthook.overlay.fast_redial import LOAD_SECONDS, MOST_TRIES, EdgeRedial, HostRedial
from zthook.overlay.own_settings import restore
from zthook.overlay.redial import HOLD_SECONDS, Enrolled

NOW = 1795380436.0
"""When the peers were recorded."""
HOST1, HOST2 = "25d65e9f35", "4e41020f73"
HOME1 = Enrolled("home1", HOST1, live=True)
HOME2 = Enrolled("home2", HOST2, live=True)
OWNERS = """\
{ "settings": {"primaryPort": 9994,
    "policies": {"mine": {"basePolicy": "balance-rr"}}},
  "physical": {} }
"""


def a_path(address: str, **rest: Any) -> dict[str, Any]:
    given = {"active": True, "address": address, "expired": False, "preferred": True}
    return given | {"lastReceive": int(NOW * 1000), "localSocket": 1} | rest


ONE = [a_path("192.0.2.36/9995")]
TWO = [*ONE, a_path("192.0.2.36/25757")]
BY_TWO_PORTS_OF_OURS = [*ONE, a_path("192.0.2.36/9995", localSocket=2)]
TRANSLATED_ANEW_FOR_EACH = [*ONE, a_path("192.0.2.36/20001", localSocket=2)]
BY_BOTH_FAMILIES = [*ONE, a_path("2001:db8:11::10/9995", localSocket=2)]


class Edge:
    """An edge at a daemon, and a clock that is moved by hand."""

    def __init__(self, zerotier: FakeZeroTier, journal: Path) -> None:
        self.zerotier = zerotier
        self.journal = journal
        self.seconds = 0.0
        self.begin()

    def begin(self) -> None:
        """As a daemon does that was started anew."""
        self.redial = EdgeRedial(
            self.zerotier.home, self.journal, now=lambda: NOW, steady=lambda: self.seconds
        )

    def look(self, *hosts: Enrolled, seconds: float = 0.0) -> Any:
        """Look as often as the daemon would, for so long; zerotier-one reads as often."""
        found = self.redial.look(hosts)
        for _ in range(int(seconds / 10)):
            self.seconds += 10
            self.zerotier.bonding.read()
            found = self.redial.look(hosts)
        return found

    def settle(self, *hosts: Enrolled) -> Any:
        """Until what is seen counts, and zerotier-one has read what was written then."""
        return self.look(*hosts, seconds=HOLD_SECONDS + 20)

    @property
    def settings(self) -> dict[str, Any]:
        found = json.loads((self.zerotier.home / "local.conf").read_text())["settings"]
        return {key: value for key, value in found.items() if value is not None}


@pytest.fixture
def edge(zerotier: FakeZeroTier, tmp_path: Path) -> Edge:
    zerotier.bonding.paths |= {HOST1: ONE, HOST2: ONE}
    zerotier.bonding.second_port = False
    return Edge(zerotier, tmp_path / "state" / "journal")


@pytest.fixture
def conf(zerotier: FakeZeroTier) -> Callable[[str], Path]:
    """Write a local.conf that zerotier-one has read."""

    def write(text: str) -> Path:
        path = zerotier.home / "local.conf"
        path.write_text(text)
        zerotier.restart()
        return path

    return write


def test_a_host_that_is_reached_by_one_path_is_sent_to_by_all_that_live(edge: Edge) -> None:
    edge.look(HOME1, seconds=HOLD_SECONDS - 10)
    assert not (edge.zerotier.home / "local.conf").exists(), "nothing is known for sure yet"
    found = edge.settle(HOME1)
    assert edge.settings["peerSpecificBonds"] == {HOST1: "zthook"}
    assert edge.settings["policies"]["zthook"] == {
        "basePolicy": "broadcast",
        "failoverInterval": 500,
    }
    assert edge.settings["allowSecondaryPort"] is False
    assert edge.settings["portMappingEnabled"] is False
    assert (found.hosts, found.restart, found.notes) == ({"home1": "broadcast"}, False, [])


def test_frames_are_not_sent_twice_to_one_with_two_paths(edge: Edge) -> None:
    edge.zerotier.bonding.paths[HOST1] = TWO
    found = edge.settle(HOME1)
    assert found.hosts == {"home1": "active-backup"}
    assert "home1 is reached by several paths" in found.notes[0]


@pytest.mark.parametrize("paths", [ONE, BY_TWO_PORTS_OF_OURS, TRANSLATED_ANEW_FOR_EACH])
def test_with_two_ports_of_ours_it_is_as_good_as_can_be_until_the_restart(
    edge: Edge, paths: list[dict[str, Any]]
) -> None:
    edge.zerotier.bonding.second_port = True
    edge.zerotier.bonding.paths[HOST1] = paths
    found = edge.settle(HOME1)
    assert (found.hosts, found.restart) == ({"home1": "active-backup"}, True)
    assert edge.settings["peerSpecificBonds"] == {HOST1: "zthook"}, "from the restart on"
    edge.zerotier.bonding.paths[HOST1] = ONE
    edge.zerotier.restart()
    found = edge.look(HOME1)
    assert (found.hosts, found.restart) == ({"home1": "broadcast"}, False)


@pytest.mark.parametrize("paths", [TWO, BY_BOTH_FAMILIES])
def test_paths_that_stay_when_our_ports_are_closed_are_several(
    edge: Edge, paths: list[dict[str, Any]]
) -> None:
    edge.zerotier.bonding.second_port = True
    edge.zerotier.bonding.paths[HOST1] = paths
    edge.settle(HOME1)
    edge.settle(HOME1)
    assert edge.settings["peerSpecificBonds"] == {HOST1: "zthook-backup"}


def test_a_path_that_just_died_is_none(edge: Edge) -> None:
    dead = a_path("192.0.2.35/9995", lastReceive=int((NOW - 31) * 1000))
    edge.zerotier.bonding.paths[HOST1] = [*ONE, dead]
    assert edge.settle(HOME1).hosts == {"home1": "broadcast"}


def test_a_redial_is_no_second_path(edge: Edge) -> None:
    edge.zerotier.bonding.paths[HOST1] = TWO
    edge.look(HOME1, seconds=30)
    edge.zerotier.bonding.paths[HOST1] = ONE
    assert edge.settle(HOME1).hosts == {"home1": "broadcast"}
    edge.zerotier.bonding.paths[HOST1] = TWO
    edge.look(HOME1, seconds=HOLD_SECONDS - 10)
    assert edge.settings["peerSpecificBonds"] == {HOST1: "zthook"}


def test_frames_that_are_doubled_for_good_end_with_a_restart(edge: Edge) -> None:
    edge.settle(HOME1)
    edge.zerotier.restart()
    edge.zerotier.bonding.paths[HOST1] = TWO
    found = edge.settle(HOME1)
    assert found.restart
    assert found.hosts == {"home1": "broadcast"}, "a bond in use is not changed"
    edge.zerotier.restart()
    found = edge.look(HOME1)
    assert (found.hosts, found.restart) == ({"home1": "active-backup"}, False)


def test_who_is_relayed_has_no_bond(edge: Edge) -> None:
    edge.zerotier.bonding.paths[HOST1] = []
    found = edge.settle(HOME1, HOME2)
    assert edge.settings["peerSpecificBonds"] == {HOST2: "zthook"}
    assert found.notes == ["home1 is reached by a relay, which sees to redials itself"]


def test_of_a_host_that_is_off_nothing_is_changed(edge: Edge) -> None:
    edge.settle(HOME1, HOME2)
    edge.zerotier.restart()
    edge.zerotier.bonding.paths[HOST1] = []
    found = edge.settle(Enrolled("home1", HOST1, live=False), HOME2)
    assert (found.hosts, found.restart) == ({"home1": "", "home2": "broadcast"}, False)
    assert edge.settings["peerSpecificBonds"] == dict.fromkeys([HOST1, HOST2], "zthook")


def test_a_host_that_comes_later_waits_for_a_restart(edge: Edge) -> None:
    edge.settle(HOME1)
    edge.zerotier.restart()
    assert not edge.look(HOME1).restart
    found = edge.settle(HOME1, HOME2)
    assert (found.hosts, found.restart) == ({"home1": "broadcast", "home2": ""}, True)
    edge.zerotier.restart()
    found = edge.look(HOME1, HOME2)
    assert (found.hosts, found.restart) == (dict.fromkeys(["home1", "home2"], "broadcast"), False)


def test_a_change_that_the_daemon_missed_is_written_again(edge: Edge) -> None:
    edge.look(HOME1)
    posts: list[str] = []
    for _ in range(int(HOLD_SECONDS + LOAD_SECONDS * (MOST_TRIES + 2)) // 10):
        edge.seconds += 10
        found = edge.redial.look([HOME1])
        posts = [one for one in edge.zerotier.served if one.startswith("POST")]
    assert len(posts) == MOST_TRIES
    assert found.restart, "that would help"
    edge.zerotier.bonding.read()
    assert edge.look(HOME1).hosts == {"home1": "broadcast"}


def test_the_port_of_upnp_counts_too(edge: Edge) -> None:
    edge.settle(HOME1)
    edge.zerotier.restart()
    assert not edge.look(HOME1).restart
    edge.zerotier.bonding.third_port = 32646
    assert edge.look(HOME1).restart


def test_a_host_that_left_has_no_bond_any_more(edge: Edge) -> None:
    edge.settle(HOME1, HOME2)
    edge.settle(HOME2)
    assert edge.settings["peerSpecificBonds"] == {HOST2: "zthook"}
    edge.settle()
    assert edge.settings == {}


def test_a_daemon_that_starts_goes_on_with_what_was_found(edge: Edge) -> None:
    edge.zerotier.bonding.paths[HOST1] = TWO
    edge.settle(HOME1)
    served = len(edge.zerotier.served)
    edge.begin()
    edge.look(HOME1)
    assert not [one for one in edge.zerotier.served[served:] if one.startswith("POST")]


@pytest.mark.parametrize(
    ("owners", "note"),
    [
        ({"defaultBondingPolicy": "active-backup"}, "the bond with home1 is the owner's"),
        ({"peerSpecificBonds": {HOST1: "balance-xor"}}, "the bond with home1 is the owner's"),
    ],
)
def test_what_the_owner_chose_is_left_alone(
    edge: Edge, conf: Callable[[str], Path], owners: dict[str, Any], note: str
) -> None:
    path = conf(json.dumps({"settings": owners}))
    before = path.read_text()
    [said] = edge.settle(HOME1).notes
    assert note in said
    assert path.read_text() == before


@pytest.mark.parametrize(
    "owners",
    [
        {"allowSecondaryPort": True},
        {"portMappingEnabled": True},
        {"secondaryPort": 9999},
        {"tertiaryPort": 9998},
    ],
)
def test_a_second_port_that_the_owner_wants_stays(
    edge: Edge, conf: Callable[[str], Path], owners: dict[str, Any], tmp_path: Path
) -> None:
    path = conf(json.dumps({"settings": owners}))
    edge.zerotier.bonding.second_port = True
    found = HostRedial(path.parent, tmp_path / "host-journal").look()
    assert not found.restart
    assert "asks for more than one UDP port" in found.notes[0]
    assert json.loads(path.read_text()) == {"settings": owners}
    edge.zerotier.bonding.second_port = True
    found = edge.settle(HOME1)
    assert (found.hosts, found.restart) == ({"home1": "active-backup"}, False)
    edge.settle(HOME1)
    assert (
        edge.settings.items() >= (owners | {"peerSpecificBonds": {HOST1: "zthook-backup"}}).items()
    )


def test_a_hosts_second_port_goes_with_a_restart(zerotier: FakeZeroTier, tmp_path: Path) -> None:
    host = HostRedial(zerotier.home, tmp_path / "journal")
    assert host.look().restart
    zerotier.restart()
    assert not host.look().restart


def test_everything_else_in_the_file_stays(edge: Edge, conf: Callable[[str], Path]) -> None:
    path = conf(OWNERS)
    edge.settle(HOME1)
    now, before = json.loads(path.read_text()), json.loads(OWNERS)
    assert now["physical"] == {}
    assert (
        now["settings"].items()
        >= (before["settings"] | {"policies": now["settings"]["policies"]}).items()
    )
    assert now["settings"]["policies"]["mine"] == before["settings"]["policies"]["mine"]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("text", [OWNERS, None])
def test_it_is_put_back_to_the_byte(
    edge: Edge, conf: Callable[[str], Path], text: str | None, *, runs: bool
) -> None:
    path = conf(text) if text else edge.zerotier.home / "local.conf"
    if text:
        path.chmod(0o640)
    edge.settle(HOME1)
    if not runs:
        edge.zerotier.stop()
    assert restore(edge.journal) == edge.zerotier.home
    assert (path.read_text() if path.exists() else None) == text
    assert text is None or path.stat().st_mode & 0o777 == 0o640
    assert restore(edge.journal) is None


def test_what_others_wrote_since_stays(edge: Edge, conf: Callable[[str], Path]) -> None:
    path = conf(OWNERS)
    edge.settle(HOME1, HOME2)
    found = json.loads(path.read_text())
    found["settings"]["peerSpecificBonds"] |= {HOST2: "mine", "00000000aa": "mine"}
    found["settings"]["softwareUpdate"] = "disable"
    conf(json.dumps(found))
    restore(edge.journal)
    settings = json.loads(path.read_text())["settings"]
    assert settings.pop("peerSpecificBonds") == {HOST2: "mine", "00000000aa": "mine"}
    assert settings == json.loads(OWNERS)["settings"] | {"softwareUpdate": "disable"}


def test_switched_off_the_daemon_is_told_at_once(edge: Edge, conf: Callable[[str], Path]) -> None:
    conf(OWNERS)
    edge.settle(HOME1)
    edge.redial.put_back()
    assert edge.settings == json.loads(OWNERS)["settings"]
    edge.settle(HOME1)
    assert HOST1 in edge.settings["peerSpecificBonds"], "and on again"
    restore(edge.journal)
    assert (edge.zerotier.home / "local.conf").read_text() == OWNERS


def test_a_file_that_the_daemon_has_not_read_is_not_overwritten(
    edge: Edge, conf: Callable[[str], Path]
) -> None:
    path = conf(OWNERS)
    path.write_text('{"settings": {"primaryPort": 1}}')
    with pytest.raises(OverlayDown, match="has not read"):
        edge.look(HOME1)
    assert json.loads(path.read_text()) == {"settings": {"primaryPort": 1}}


def test_nothing_is_changed_that_could_not_be_put_back(edge: Edge) -> None:
    edge.journal.parent.symlink_to("/proc")
    with pytest.raises(StoreError, match="can not be written"):
        edge.settle(HOME1)
    assert not [one for one in edge.zerotier.served if one.startswith("POST")]


def test_a_damaged_journal_is_told(edge: Edge) -> None:
    edge.journal.parent.mkdir()
    edge.journal.write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        edge.look(HOME1)


def test_no_restart_is_asked_for_too_early(edge: Edge) -> None:
    edge.zerotier.bonding.second_port = True
    while not edge.look(HOME1, seconds=10).restart:
        assert edge.seconds < 2 * HOLD_SECONDS
    edge.zerotier.restart()
    assert edge.look(HOME1).hosts == {"home1": "broadcast"}

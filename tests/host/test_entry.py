"""What join did to ZeroTier is written down before it is done."""

from pathlib import Path

import pytest

from tests.overlay.fake_zerotier import NETWORK, running
from zthook.host.entry import Entry, enter, load_entry, undo
from zthook.overlay.node_api import NodeApi
from zthook.overlay.zerotier import ZeroTierOverlay

MOON = "b87d70f46b"


@pytest.mark.parametrize(
    ("part", "deed"), [(ZeroTierOverlay, "join"), (NodeApi, "orbit")], ids=["join", "orbit"]
)
def test_ended_in_the_middle_of_a_deed_leave_undoes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, deed: str
) -> None:
    does, home, record = getattr(part, deed), tmp_path / "zerotier-one", tmp_path / "entry.json"

    def ended(*arguments: object) -> None:
        does(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(part, deed, ended)
    with running(home):
        with pytest.raises(KeyboardInterrupt):
            enter(record, home, NETWORK, MOON)
        undo(record)
        assert NodeApi(home).network(NETWORK) is None
        assert NodeApi(home).moons() == []
    assert load_entry(record) is None


def test_what_was_written_down_and_not_done_is_undone_without_harm(tmp_path: Path) -> None:
    home, record = tmp_path / "zerotier-one", tmp_path / "entry.json"
    record.write_text(f'{{"home": "{home}", "network": "{NETWORK}", "moon": "{MOON}"}}', "utf-8")
    with running(home):
        assert undo(record) == Entry(str(home), NETWORK, MOON)
    assert load_entry(record) is None

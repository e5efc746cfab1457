"""What lasts from one agent to the next."""

import logging
from ipaddress import ip_address
from pathlib import Path

import pytest

from zthook.host.memory import Memory

KNOWN = {"52:54:00:aa:00:01": ip_address("192.168.122.50")}


def test_what_was_kept_is_recalled_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "addresses.json"
    assert Memory(path).recall() == {}
    Memory(path).keep(KNOWN)
    assert Memory(path).recall() == KNOWN
    Memory(path).keep({})  # as it knows nothing of another, there is nothing new
    one = Memory(path)
    one.recall()
    one.keep({})
    assert Memory(path).recall() == {}


def test_it_is_written_only_where_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "addresses.json"
    one = Memory(path)
    one.keep(KNOWN)
    path.unlink()
    one.keep(dict(KNOWN))
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"52:54:00:aa:00:01": "here"}', b"\xff"])
def test_a_damaged_file_is_no_obstacle(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "addresses.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Memory(path).recall() == {}
    assert "found anew" in caplog.text


def test_a_place_that_can_not_be_written_is_told_and_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Memory(tmp_path / "missing" / "addresses.json").keep(KNOWN)
    assert "can not be written" in caplog.text


def test_without_a_place_nothing_lasts() -> None:
    one = Memory(None)
    one.keep(KNOWN)
    assert one.recall() == {}

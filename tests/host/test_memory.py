"""What lasts from one agent to the next."""

import logging
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.host.making import answer, uuid
from zthook.config.places import Places
from zthook.host.answers import by_claim
from zthook.host.memory import Memory, Told
from zthook.model.addresses import AddressRange

KNOWN = {
    "52:54:00:aa:00:01": (ip_address("192.168.122.50"), ip_address("fd00:122::50")),
}
TOLD = Told.of(
    "e1",
    by_claim([answer(1, "203.0.113.10", arrives_as="10.0.0.10")]),
    {uuid(1): "web1"},
    [AddressRange.parse("203.0.113.10-203.0.113.14")],
    "0e:00:00:00:00:01",
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path, tmp_path)


def test_what_was_kept_is_recalled_by_the_next(places: Places) -> None:
    assert Memory(places).addresses.recall() == {}
    assert Memory(places).told.recall() == Told()
    first = Memory(places)
    first.addresses.keep(KNOWN)
    first.told.keep(TOLD)
    assert Memory(places).addresses.recall() == KNOWN
    assert Memory(places).told.recall() == TOLD
    Memory(places).addresses.keep({})  # as it knows nothing of another, there is nothing new
    one = Memory(places)
    one.addresses.recall()
    one.addresses.keep({})
    assert Memory(places).addresses.recall() == {}


def test_what_an_earlier_version_kept_is_read(places: Places) -> None:
    places.addresses.write_text('{"52:54:00:aa:00:01": "192.168.122.50"}')
    found = Memory(places).addresses.recall()
    assert found == {"52:54:00:aa:00:01": (ip_address("192.168.122.50"),)}


def test_it_is_written_only_where_something_changed(places: Places) -> None:
    one = Memory(places)
    one.addresses.keep(KNOWN)
    places.addresses.unlink()
    one.addresses.keep(dict(KNOWN))
    assert not places.addresses.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"52:54:00:aa:00:01": "here"}', b"\xff"])
def test_a_damaged_file_is_no_obstacle(
    places: Places, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    places.addresses.write_bytes(content)
    places.told.write_bytes(content.replace(b"52:54:00:aa:00:01", b"answers"))
    with caplog.at_level(logging.WARNING):
        assert Memory(places).addresses.recall() == {}
        assert Memory(places).told.recall() == Told()
    assert caplog.text.count("found anew") == 2


def test_a_place_that_can_not_be_written_is_told_and_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = Places(tmp_path, tmp_path, tmp_path / "missing")
    with caplog.at_level(logging.WARNING):
        Memory(missing).addresses.keep(KNOWN)
    assert "can not be written" in caplog.text


def test_without_a_place_nothing_lasts() -> None:
    one = Memory(None)
    one.addresses.keep(KNOWN)
    assert one.addresses.recall() == {}

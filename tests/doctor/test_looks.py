"""What is looked at without a kernel: the edge's certificate and clock, the hook's file."""

import datetime as dt
import os
import struct
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.edge_api.running import free_port
from tests.edge_api.standin import keys_in
from tests.wire.test_tls import answering
from zthook.config.places import Places
from zthook.doctor.edge import store
from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.host import hook
from zthook.doctor.host.asking import ask
from zthook.doctor.host.foreign import request
from zthook.edge.keys import EdgeKeys, make_keys
from zthook.errors import StoreError
from zthook.host.credential import Credential
from zthook.store.reading import ReadLedger
from zthook.store.sqlite import SqliteLedger


def credential(keys: EdgeKeys, port: int) -> Credential:
    return Credential(keys.edge_id, "127.0.0.1", port, "home1", keys.ca_pem, "secret")


def test_the_edge_tells_its_time(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    with answering(keys, keys.ca_pem.encode()) as port:
        asked = ask(credential(keys, port))
    assert asked.error == ""
    assert asked.ahead is not None
    assert abs(asked.ahead) < 30


def test_another_edge_is_a_stranger(tmp_path: Path) -> None:
    keys, other = keys_in(tmp_path / "one"), keys_in(tmp_path / "other")
    with answering(other, b"") as port:
        asked = ask(credential(keys, port))
    assert (asked.stranger, asked.untimely) == (True, False)


def test_a_certificate_of_the_future_is_the_clocks_fault(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", dt.datetime.now(dt.UTC) + dt.timedelta(days=9))
    with answering(keys, b"") as port:
        asked = ask(credential(keys, port))
    assert (asked.stranger, asked.untimely) == (False, True)
    assert "not yet valid" in asked.error


def test_nobody_there(tmp_path: Path) -> None:
    asked = ask(credential(keys_in(tmp_path), free_port()))
    assert (asked.error, asked.stranger) == ("Connection refused", False)


def test_the_hook_as_it_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "zthook"
    place.write_text((Path(__file__).parents[2] / "hooks" / "qemu").read_text())
    monkeypatch.setattr(hook, "PLACES", (place,))
    assert hook.look().runs is False
    place.chmod(0o755)
    seen = hook.look()
    assert (seen.place, seen.runs, seen.asks) == (place, True, "/run/zthook/hook.sock")


def test_somebody_elses_hook_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "qemu"
    place.write_text("#!/bin/sh\n")
    monkeypatch.setattr(hook, "PLACES", (tmp_path / "absent", place))
    assert hook.look().place is None


def processes(folder: Path, **started: int) -> Path:
    """A /proc with processes of these names, in the network namespace of who looks."""
    for number, (name, ticks) in enumerate(started.items(), 1):
        place = folder / str(number)
        (place / "ns").mkdir(parents=True)
        (place / "ns" / "net").touch()
        fields = " ".join(["S", *["0"] * 18, str(ticks), "0"])
        (place / "stat").write_text(f"{number} ({name}) {fields}\n")
    (folder / "thread-self").symlink_to("1")
    os.link(folder / "1/ns/net", folder / "same")
    for place in folder.glob("[0-9]*/ns/net"):
        place.unlink()
        os.link(folder / "same", place)
    return folder


def test_libvirtd_is_found_by_its_name_and_when_it_began(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    there = processes(tmp_path, cat=7, virtqemud=30 * ticks)
    assert hook.libvirtd_began(there) == 30.0


def test_a_libvirtd_of_another_network_namespace_is_another_hosts(tmp_path: Path) -> None:
    there = processes(tmp_path, cat=7, libvirtd=30)
    (there / "2/ns/net").unlink()
    (there / "2/ns/net").touch()
    assert hook.libvirtd_began(there) is None


def test_the_probe_of_a_guest_is_a_packet_whose_check_sums_are_right() -> None:
    packet = request(0x1234, IPv4Address("192.168.122.50"), IPv4Address("192.168.193.222"))
    for part in (packet[:20], packet[20:]):
        total = sum(word for (word,) in struct.iter_unpack("!H", part))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    assert packet[12:20] == bytes([192, 168, 122, 50, 192, 168, 193, 222])


def test_the_store_is_read_while_a_daemon_has_it_and_can_not_be_changed(tmp_path: Path) -> None:
    writer = SqliteLedger(tmp_path / "edge.sqlite")
    reader = ReadLedger(tmp_path / "edge.sqlite")
    with writer.transaction():
        writer.next("epoch")
    assert reader.hosts() == []
    with pytest.raises(StoreError), reader.transaction():
        reader.next("epoch")
    reader.close()
    writer.close()


def test_no_store_and_a_damaged_one(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path, tmp_path)
    with pytest.raises(StoreError, match="can not be used"):
        store.check(EdgeCase(places))
    assert not places.store.exists()
    places.store.write_bytes(b"this is no store" * 500)
    with pytest.raises(StoreError, match="damaged"):
        store.check(EdgeCase(places))

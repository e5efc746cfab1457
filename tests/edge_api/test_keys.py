"""The edge's keys: made once, kept, renewed, readable by root alone."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest

from zthook.edge.keys import load_keys, make_keys
from zthook.errors import NotEnrolled, Refused, StoreError
from zthook.wire.tls import fingerprint

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def verified(folder: Path, at: dt.datetime) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-attime", str(int(at.timestamp()))]
    paths = ["-CAfile", str(folder / "ca.pem"), str(folder / "edge.pem")]
    return subprocess.run(command + paths, capture_output=True, check=False).returncode == 0


def test_made_once_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "keys"
    made = make_keys(folder, NOW)
    assert load_keys(folder, NOW) == made
    assert made.ca_sha256 == fingerprint((folder / "ca.pem").read_text())
    assert verified(folder, NOW)
    with pytest.raises(Refused, match="already"):
        make_keys(folder, NOW)
    assert load_keys(folder, NOW) == made


def test_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, NOW)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == dict.fromkeys(("ca.key", "ca.pem", "edge.key", "edge.pem"), 0o600)


def test_two_edges_are_two(tmp_path: Path) -> None:
    one, other = make_keys(tmp_path / "one", NOW), make_keys(tmp_path / "other", NOW)
    assert one.edge_id != other.edge_id
    assert one.ca_sha256 != other.ca_sha256


def test_the_certificate_is_renewed_below_the_same_ca(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = make_keys(folder, NOW)
    before = made.certificate.read_text()
    later = NOW + dt.timedelta(days=365 * 9 + 10)
    assert load_keys(folder, later) == made
    assert made.certificate.read_text() != before
    assert verified(folder, NOW + dt.timedelta(days=365 * 15))


def test_a_crash_between_key_and_certificate_is_repaired(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = make_keys(folder, NOW)
    made.certificate.unlink()
    load_keys(folder, NOW).server_context()
    assert verified(folder, NOW)


def test_no_keys(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="no edge"):
        load_keys(tmp_path / "keys", NOW)


@pytest.mark.parametrize("name", ["ca.pem", "edge.pem"])
def test_damaged_keys_are_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, NOW)
    (folder / name).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(StoreError, match="can not be read"):
        load_keys(folder, NOW)


def test_nothing_is_left_of_keys_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zthook.edge.keys._certify", full)
    with pytest.raises(OSError, match="No space"):
        make_keys(tmp_path / "keys", NOW)
    assert list(tmp_path.iterdir()) == []

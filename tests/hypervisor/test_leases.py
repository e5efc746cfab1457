"""The lease files of libvirt's dnsmasq: what they say, and when they change."""

import asyncio
import json
import shutil
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from zthook.hypervisor.leases import LeaseWatch, read_leases

NOW = 1_700_000_000
MAC = "52:54:00:aa:00:01"


def lease(address: str = "192.168.122.50", mac: str = MAC, end: int = NOW + 60) -> dict[str, Any]:
    """As libvirt 9.0's leaseshelper writes it."""
    return {
        "ip-address": address,
        "mac-address": mac,
        "hostname": "web1",
        "client-id": "01:" + mac,
        "expiry-time": end,
    }


def write(folder: Path, *leases: Any, bridge: str = "virbr0") -> None:
    """As libvirt does it: a new file moved over the old."""
    new = folder / f"{bridge}.status.new"
    new.write_text(json.dumps(list(leases), indent=2))
    new.rename(folder / f"{bridge}.status")


def test_a_lease_is_read(tmp_path: Path) -> None:
    write(tmp_path, lease(), lease("192.168.122.51", "52:54:00:AA:00:02"))
    assert read_leases(tmp_path, "virbr0", NOW) == {
        MAC: (ip_address("192.168.122.50"),),
        "52:54:00:aa:00:02": (ip_address("192.168.122.51"),),
    }


def test_another_bridge_has_its_own(tmp_path: Path) -> None:
    write(tmp_path, lease())
    assert read_leases(tmp_path, "virbr1", NOW) == {}


def test_an_ended_lease_is_none(tmp_path: Path) -> None:
    write(tmp_path, lease(end=NOW))
    assert read_leases(tmp_path, "virbr0", NOW) == {}
    assert read_leases(tmp_path, "virbr0", NOW - 1) != {}


def test_the_clock_of_the_machine_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, lease(end=NOW), lease("192.168.122.51", "52:54:00:aa:00:02", 1 << 40))
    assert list(read_leases(tmp_path, "virbr0")) == ["52:54:00:aa:00:02"]


def test_a_lease_without_end_counts(tmp_path: Path) -> None:
    write(tmp_path, lease(end=0))
    assert MAC in read_leases(tmp_path, "virbr0", NOW)
    write(tmp_path, {key: value for key, value in lease().items() if key != "expiry-time"})
    assert MAC in read_leases(tmp_path, "virbr0", NOW)


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_the_one_that_ends_last_counts(tmp_path: Path, turn: int) -> None:
    several = [lease(), lease("192.168.122.51", end=NOW + 90), lease("192.168.122.52")]
    write(tmp_path, *several[::turn])
    assert read_leases(tmp_path, "virbr0", NOW) == {MAC: (ip_address("192.168.122.51"),)}


@pytest.mark.parametrize("turn", [1, -1])
def test_each_family_has_its_own(tmp_path: Path, turn: int) -> None:
    several = [lease(), lease6(), lease6("fd00:122::51", end=NOW + 90)]
    write(tmp_path, *several[::turn])
    assert read_leases(tmp_path, "virbr0", NOW) == {
        MAC: (ip_address("192.168.122.50"), ip_address("fd00:122::51"))
    }


def lease6(address: str = "fd00:122::50", mac: str | None = MAC, **rest: Any) -> dict[str, Any]:
    """Of DHCPv6; without ``mac`` as it is where dnsmasq did not know it."""
    known = {"iaid": "11141121"} | lease(address, **rest) | {"client-id": f"00:03:00:01:{MAC}"}
    return {key: value for key, value in known.items() if mac or key != "mac-address"}


def test_a_dhcpv6_lease_without_a_mac_is_nobodys_whatever_its_identifier_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, lease6(mac=None), lease())
    assert read_leases(tmp_path, "virbr0", NOW) == {MAC: (ip_address("192.168.122.50"),)}
    assert caplog.text == ""


WHOLE = json.dumps([lease()]).encode()


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"[]", WHOLE[:-10], b"\xff\xfe\x00", b"{}", b"null", b"[" * 100_000, b"7 8"],
)
def test_what_can_not_be_read_holds_no_lease(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "virbr0.status").write_bytes(text)
    assert read_leases(tmp_path, "virbr0", NOW) == {}


def test_no_file_and_no_folder_hold_no_lease(tmp_path: Path) -> None:
    assert read_leases(tmp_path, "virbr0", NOW) == {}
    assert read_leases(tmp_path / "none", "virbr0", NOW) == {}
    assert read_leases(tmp_path, "a\0b", NOW) == {}


WRONG: list[Any] = [
    7,
    None,
    [],
    {},
    lease() | {"ip-address": "nonsense"},
    lease() | {"ip-address": None},
    lease() | {"expiry-time": "soon"},
    lease() | {"mac-address": 7},
    {key: value for key, value in lease().items() if key != "mac-address"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_entry_hides_no_other_and_is_named(
    tmp_path: Path, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, wrong, lease("192.168.122.51", "52:54:00:aa:00:02"))
    assert list(read_leases(tmp_path, "virbr0", NOW)) == ["52:54:00:aa:00:02"]
    assert "can not be read" in caplog.text


class Hints:
    def __init__(self) -> None:
        self._came = asyncio.Event()

    def __call__(self) -> None:
        self._came.set()

    async def next(self) -> None:
        await asyncio.wait_for(self._came.wait(), 10)
        self._came.clear()

    async def settle(self) -> None:
        """Let what already happened hint, and forget it; inotify tells at once."""
        for _ in range(5):
            await asyncio.sleep(0)
        self._came.clear()

    async def none(self) -> bool:
        for _ in range(5):
            await asyncio.sleep(0)
        return not self._came.is_set()


async def test_a_moved_file_and_a_written_one_hint(tmp_path: Path) -> None:
    hints = Hints()
    async with LeaseWatch(tmp_path, hints):
        write(tmp_path, lease())
        await hints.next()
        (tmp_path / "virbr1.status").write_text("[]")
        await hints.next()
        (tmp_path / "virbr1.status").unlink()
        await hints.next()


async def test_other_files_do_not_hint(tmp_path: Path) -> None:
    hints = Hints()
    async with LeaseWatch(tmp_path, hints):
        (tmp_path / "default.conf").write_text("x")
        (tmp_path / "virbr0.macs").write_text("x")
        write(tmp_path, lease(), bridge="last")
        await hints.next()
        (tmp_path / "default.conf").write_text("y")
        assert await hints.none()


async def test_a_folder_that_comes_later_is_found(tmp_path: Path) -> None:
    hints = Hints()
    folder = tmp_path / "lib" / "libvirt" / "dnsmasq"
    async with LeaseWatch(folder, hints):
        folder.parent.parent.mkdir()
        await hints.next()
        folder.mkdir(parents=True)
        await hints.next()
        write(folder, lease())
        await hints.next()


async def test_a_folder_that_goes_and_comes_back_is_found(tmp_path: Path) -> None:
    hints = Hints()
    folder = tmp_path / "libvirt" / "dnsmasq"
    folder.mkdir(parents=True)
    async with LeaseWatch(folder, hints):
        for _ in range(3):
            shutil.rmtree(folder.parent)
            await hints.next()
            folder.mkdir(parents=True)
            await hints.next()
            await hints.settle()
            write(folder, lease())
            await hints.next()


async def test_a_folder_that_is_replaced_is_found(tmp_path: Path) -> None:
    hints = Hints()
    folder, other = tmp_path / "dnsmasq", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    async with LeaseWatch(folder, hints):
        folder.rename(tmp_path / "old")
        other.rename(folder)
        await hints.next()
        await hints.settle()
        write(tmp_path / "old", lease())
        assert await hints.none()
        write(folder, lease())
        await hints.next()


async def test_a_file_in_the_folder_s_place_is_survived(tmp_path: Path) -> None:
    hints = Hints()
    folder = tmp_path / "dnsmasq"
    folder.write_text("")
    async with LeaseWatch(folder, hints):
        folder.unlink()
        folder.mkdir()
        await hints.next()
        write(folder, lease())
        await hints.next()

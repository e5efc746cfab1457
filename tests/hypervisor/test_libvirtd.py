"""A real libvirtd: restarted, killed, hung, and waiting for our hook."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import libvirt
import pytest

from tests.hook.fake_agent import FakeAgent, answers
from tests.hypervisor.benches import LibvirtBench
from tests.hypervisor.conftest import HOOK, uri
from tests.hypervisor.domains import annotation, domain_xml, until
from tests.lab.host import Host
from tests.lab.lab import Lab
from zthook.errors import HypervisorUnavailable
from zthook.hypervisor import libvirt_hypervisor, link
from zthook.hypervisor.contract import Happened, Hint
from zthook.hypervisor.leases import LeaseWatch, read_leases
from zthook.hypervisor.libvirt_hypervisor import LibvirtHypervisor
from zthook.hypervisor.starting import failed_autostarts
from zthook.model.guests import GuestState

pytestmark = pytest.mark.lab

WEB1 = UUID("4dea22b3-1d52-48f3-a516-782e98ab3f01")
DB1 = UUID("4dea22b3-1d52-48f3-a516-782e98ab3f02")
REQUIRED = annotation("203.0.113.10", 'required="yes"')


@pytest.fixture
def bench(host: Host) -> Iterator[LibvirtBench]:
    bench = LibvirtBench(uri(host), "qemu")
    yield bench
    if not host.libvirtd.process.running:
        host.libvirtd.start()
    bench.close()


class Hints:
    """Keeps hints; ``next()`` waits for one after the last that was waited for."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        self.said: set[Hint] = set()

    def __call__(self, hint: Hint | None = None) -> None:
        self.said |= {hint} if hint else set()
        self._came.set()

    async def next(self) -> None:
        await asyncio.wait_for(self._came.wait(), 30)
        self._came.clear()


@pytest.fixture
async def hints() -> Hints:
    return Hints()


@pytest.fixture
async def hypervisor(host: Host, hints: Hints) -> AsyncIterator[LibvirtHypervisor]:
    async with LibvirtHypervisor(uri(host), hints) as hypervisor:
        await hypervisor.guests()
        yield hypervisor


def refused(host: Host, *words: str) -> str:
    """What virsh says when it fails."""
    done = host.run("virsh", "-q", *words, check=False)
    assert done.returncode != 0
    return done.stderr


async def names(hypervisor: LibvirtHypervisor) -> set[str] | None:
    """Of the guests that run; None for unknown."""
    try:
        return {guest.domain.name for guest in await hypervisor.guests()}
    except HypervisorUnavailable:
        return None


async def known(hypervisor: LibvirtHypervisor, *expected: str) -> None:
    async def seen() -> bool:
        return await names(hypervisor) == set(expected)

    await until(seen, f"{expected} run")


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_while_libvirtd_is_away_guests_are_unknown_and_then_known_again(
    host: Host, bench: LibvirtBench, hypervisor: LibvirtHypervisor, hints: Hints, end: str
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    assert await names(hypervisor) == {"web1"}
    getattr(host.libvirtd, end)()
    for _ in range(3):
        with pytest.raises(HypervisorUnavailable):
            await hypervisor.guests()
        with pytest.raises(HypervisorUnavailable):
            await hypervisor.agent_addresses(WEB1)
    await hints.next()
    await asyncio.to_thread(host.libvirtd.start)
    await hints.next()
    await known(hypervisor, "web1")


async def test_events_come_again_after_libvirtd_came_back(
    host: Host, bench: LibvirtBench, hypervisor: LibvirtHypervisor, hints: Hints
) -> None:
    await asyncio.to_thread(host.libvirtd.restart)
    await known(hypervisor)
    bench.define("web1", WEB1)
    hints._came.clear()
    bench.start(WEB1)
    await hints.next()
    await known(hypervisor, "web1")


async def test_a_hung_libvirtd_is_unknown_and_costs_one_thread(
    host: Host,
    bench: LibvirtBench,
    hypervisor: LibvirtHypervisor,
    hints: Hints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    assert await names(hypervisor) == {"web1"}
    threads = threading.active_count()
    monkeypatch.setattr(libvirt_hypervisor, "CALL_SECONDS", 0.5)
    host.libvirtd.hang()
    try:
        with pytest.raises(HypervisorUnavailable, match="no answer within"):
            await hypervisor.guests()
        for _ in range(50):
            with pytest.raises(HypervisorUnavailable, match="an earlier question"):
                await hypervisor.networks()
        assert threading.active_count() <= threads + 1  # that of the agents' connection
        hints._came.clear()
    finally:
        host.libvirtd.resume()
        monkeypatch.undo()
    await hints.next()
    await known(hypervisor, "web1")


async def test_a_libvirtd_that_hangs_for_long_is_given_up_and_found_again(
    host: Host, bench: LibvirtBench, hints: Hints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_hypervisor, "CALL_SECONDS", 0.5)
    monkeypatch.setattr(link, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(link, "KEEPALIVE_COUNT", 1)
    bench.define("web1", WEB1)
    bench.start(WEB1)
    async with LibvirtHypervisor(uri(host), hints) as hypervisor:
        await known(hypervisor, "web1")
        hints._came.clear()
        host.libvirtd.hang()
        try:
            await hints.next()  # the keepalive found it dead
            for _ in range(3):
                with pytest.raises(HypervisorUnavailable):
                    await hypervisor.guests()
        finally:
            host.libvirtd.resume()
        await known(hypervisor, "web1")


async def test_a_libvirtd_that_hangs_from_the_start_is_found_when_it_answers(
    host: Host, bench: LibvirtBench, hints: Hints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_hypervisor, "CALL_SECONDS", 0.3)
    host.libvirtd.hang()
    try:
        async with LibvirtHypervisor(uri(host), hints) as hypervisor:
            for _ in range(3):
                with pytest.raises(HypervisorUnavailable):
                    await hypervisor.guests()
            host.libvirtd.resume()
            await hints.next()
            await known(hypervisor)
    finally:
        host.libvirtd.resume()


async def test_closing_does_not_wait_for_a_hung_libvirtd(
    host: Host, bench: LibvirtBench, hints: Hints
) -> None:
    async with LibvirtHypervisor(uri(host), hints) as hypervisor:
        await hypervisor.guests()
        host.libvirtd.hang()
    host.libvirtd.resume()


async def test_broken_connections_leave_nothing_open(
    host: Host, bench: LibvirtBench, hypervisor: LibvirtHypervisor
) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def threads() -> int:
        """Without asyncio's own, of which there are as many as were busy at one time."""
        return sum(not one.name.startswith("asyncio_") for one in threading.enumerate())

    async def settled() -> None:
        await asyncio.to_thread(host.libvirtd.restart)
        await known(hypervisor)
        await hypervisor.agent_addresses(WEB1)

    await settled()
    before, running = open_files(), threads()
    for _ in range(3):
        await settled()
    assert open_files() <= before

    async def ended() -> bool:
        return threads() <= running

    await until(ended, "the threads of connections that broke end")


async def test_while_a_hook_holds_one_guest_no_part_of_the_list_is_shown(
    host: Host,
    bench: LibvirtBench,
    hypervisor: LibvirtHypervisor,
    hints: Hints,
    hung_agent: FakeAgent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench.define("db1", DB1)
    bench.start(DB1)
    bench.define("web1", WEB1, REQUIRED)
    starting = asyncio.create_task(asyncio.to_thread(refused, host, "start", "web1"))

    async def hook_waits() -> bool:
        return bool(hung_agent.calls)

    await until(hook_waits, "the hook asks the agent")
    monkeypatch.setattr(libvirt_hypervisor, "CALL_SECONDS", 0.5)
    with pytest.raises(HypervisorUnavailable):
        await hypervisor.guests()
    monkeypatch.undo()
    said = await starting
    assert not hung_agent.released.is_set()
    assert "guest web1 may not start without 203.0.113.10" in said
    assert "did not answer within 5 s" in said
    await known(hypervisor, "db1")


async def test_guests_that_end_and_start_while_they_are_listed_are_no_fault(
    bench: LibvirtBench, hypervisor: LibvirtHypervisor
) -> None:
    bench.define("web1", WEB1)
    bench.define("db1", DB1)
    bench.start(WEB1)
    ended = threading.Event()

    def churn() -> None:
        for _ in range(3):
            bench.start(DB1)
            bench.stop(DB1)
        ended.set()

    churning = asyncio.create_task(asyncio.to_thread(churn))
    while not ended.is_set():
        assert {"web1"} <= (await names(hypervisor) or {"web1"}) <= {"web1", "db1"}
    await churning
    assert await names(hypervisor) == {"web1"}


async def test_a_guest_without_an_agent_says_nothing(
    bench: LibvirtBench, hypervisor: LibvirtHypervisor
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    assert await hypervisor.agent_addresses(WEB1) == []


async def test_an_agent_that_is_not_there_yet_is_unknown(
    host: Host, bench: LibvirtBench, hypervisor: LibvirtHypervisor
) -> None:
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    xml = domain_xml("web1", str(WEB1), kind="qemu").replace("</devices>", channel + "</devices>")
    host.virsh("define", "/dev/stdin", stdin=xml)
    bench.start(WEB1)
    with pytest.raises(HypervisorUnavailable, match="agent"):
        await hypervisor.agent_addresses(WEB1)
    assert await names(hypervisor) == {"web1"}


async def test_a_guest_that_migrates_is_incoming_until_it_runs(
    lab: Lab, bench: LibvirtBench, host: Host, hints: Hints
) -> None:
    other = lab["home2"]
    other.libvirtd.start()
    goal = libvirt.open(uri(other))
    bench.define("web1", WEB1)
    bench.start(WEB1)
    seen: list[GuestState] = []
    left = Hints()
    async with (
        LibvirtHypervisor(uri(other), hints) as destination,
        LibvirtHypervisor(uri(host), left) as source,
    ):
        await source.guests()
        words = [
            *("migrate", "--live", "web1", "--unsafe", "--bandwidth", "1"),
            f"qemu+tcp://{other.overlay_address}/system",
            f"tcp://{other.overlay_address}",
        ]
        migration = asyncio.create_task(asyncio.to_thread(host.virsh, *words))
        while GuestState.RUNNING not in seen:
            assert not (migration.done() and migration.exception()), migration
            seen += [guest.state for guest in await destination.guests()]
        await migration
        assert await names(destination) == {"web1"}

        async def told() -> bool:
            return Hint(WEB1, Happened.MIGRATED) in left.said

        await until(told, "the source is told that it migrated")
        assert await source.ending(WEB1) is Happened.MIGRATED
        assert Happened.MIGRATED not in {hint.what for hint in hints.said}
    assert set(seen) - {GuestState.STARTING} == {GuestState.INCOMING, GuestState.RUNNING}
    goal.lookupByUUIDString(str(WEB1)).destroy()
    goal.close()


OPERATIONS = [
    ("prepare", "begin"),
    ("start", "begin"),
    ("started", "begin"),
    ("stopped", "end"),
    ("release", "end"),
]


def test_the_installed_hook_tells_of_a_guest_s_whole_life(
    host: Host, bench: LibvirtBench, hook_socket: Path
) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    bench.define("db1", DB1)
    hook_socket.unlink(missing_ok=True)
    with FakeAgent(hook_socket, answers(b"0")).running() as agent:
        for uuid in (WEB1, DB1):
            bench.start(uuid)
            bench.stop(uuid)
        told = [call.head for call in agent.wait_calls(len(OPERATIONS))]
    assert sorted(head[2:4] for head in told) == sorted(OPERATIONS)
    assert {head[1] for head in told} == {"web1"}
    hook_socket.unlink()


def test_it_is_called_as_the_one_hook_too(
    host: Host, bench: LibvirtBench, hook_socket: Path
) -> None:
    """Where no qemu.d is: as hooks/qemu itself."""
    apart = host.place("/etc/libvirt") / "hooks" / "qemu.d"
    single = host.install_hook(HOOK, hook_socket, single=True)
    apart.rename(apart.with_name("away"))
    host.libvirtd.restart()
    bench.define("web1", WEB1, REQUIRED)
    hook_socket.unlink(missing_ok=True)
    with FakeAgent(hook_socket, answers(b"1it is held by db1")).running():
        assert "it is held by db1" in refused(host, "start", "web1")
    hook_socket.unlink()
    apart.with_name("away").rename(apart)
    single.unlink()
    host.libvirtd.restart()


def test_save_and_restore_go_through_the_hook_unharmed(
    host: Host, bench: LibvirtBench, hook_socket: Path, tmp_path: Path
) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    bench.start(WEB1)
    hook_socket.unlink(missing_ok=True)
    with FakeAgent(hook_socket, answers(b"0")).running() as agent:
        host.virsh("save", "web1", str(tmp_path / "saved"))
        host.virsh("restore", str(tmp_path / "saved"))
        operations = {call.head[2] for call in agent.wait_calls(6)}
    hook_socket.unlink()
    assert host.virsh("domstate", "web1") == "running"
    assert "203.0.113.10" in host.virsh("dumpxml", "web1")
    assert operations == {"stopped", "release", "restore", "prepare", "start", "started"}


def test_a_guest_runs_on_through_a_restart_with_the_hook_s_agent_away(
    host: Host, bench: LibvirtBench
) -> None:
    """``reconnect`` kills a guest whose hook fails."""
    bench.define("web1", WEB1, REQUIRED.replace('required="yes"', ""))
    bench.start(WEB1)
    bench.annotate(WEB1, REQUIRED)
    host.libvirtd.restart()
    assert host.virsh("domstate", "web1") == "running"


def test_a_required_guest_is_refused_with_the_agent_s_reason_in_virsh(
    host: Host, bench: LibvirtBench, hook_socket: Path
) -> None:
    bench.define("web1", WEB1, REQUIRED)
    hook_socket.unlink(missing_ok=True)
    with FakeAgent(hook_socket, answers(b"1it is held by db1 on home2")).running():
        said = refused(host, "start", "web1")
    hook_socket.unlink()
    assert "guest web1 may not start without 203.0.113.10" in said
    assert "it is held by db1 on home2" in said
    assert host.virsh("domstate", "web1") == "shut off"


def test_autostart_guests_that_were_kept_off_are_found(host: Host, bench: LibvirtBench) -> None:
    bench.define("web1", WEB1, REQUIRED)
    bench.define("db1", DB1, REQUIRED)
    host.virsh("autostart", "web1")
    assert failed_autostarts(uri(host)) == []  # it was never tried
    for name in ("web1", "db1"):
        refused(host, "start", name)
    assert failed_autostarts(uri(host)) == [(WEB1, "web1")]
    bench.annotate_definition(WEB1, annotation("203.0.113.10"))
    assert failed_autostarts(uri(host)) == []
    bench.start(WEB1)
    bench.stop(WEB1)
    bench.annotate_definition(WEB1, REQUIRED)
    assert failed_autostarts(uri(host)) == []


def test_without_an_agent_a_guest_starts_unless_it_insists(host: Host, bench: LibvirtBench) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    bench.define("db1", DB1, REQUIRED)
    bench.start(WEB1)
    assert "no agent answers" in refused(host, "start", "db1")
    assert host.virsh("domstate", "web1") == "running"


async def test_a_real_guest_s_lease_hints_and_is_read(
    host: Host, bench: LibvirtBench, hints: Hints
) -> None:
    folder = host.place("/var/lib/libvirt") / "dnsmasq"
    guest = host.define_guest("leased")
    async with LeaseWatch(folder, hints):
        guest.start()
        while guest.mac not in read_leases(folder, "virbr0"):
            await hints.next()  # nothing else wakes this loop: no lease without a hint
    assert [str(one) for one in read_leases(folder, "virbr0")[guest.mac]] == [guest.lease()]

"""What holds for every hypervisor: the fake, libvirt's own test driver, a real libvirtd."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from uuid import UUID

import pytest

from tests.hypervisor.benches import Bench, FakeBench, LibvirtBench
from tests.hypervisor.conftest import uri
from tests.hypervisor.domains import annotation, until
from zthook.hypervisor.contract import Happened, Hint, Hypervisor
from zthook.model.guests import Guest, GuestState, NetworkKind

WEB1 = UUID("4dea22b3-1d52-48f3-a516-782e98ab3f01")
DB1 = UUID("4dea22b3-1d52-48f3-a516-782e98ab3f02")


LIBVIRTD = pytest.param("libvirtd", marks=pytest.mark.lab)


@pytest.fixture(params=["fake", "test driver", LIBVIRTD])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "fake":
        yield FakeBench()
        return
    if request.param == "libvirtd":
        bench = LibvirtBench(uri(request.getfixturevalue("host")), "qemu")
    else:
        bench = LibvirtBench("test:///default", "test")
    yield bench
    bench.close()


async def only(hypervisor: Hypervisor) -> Guest:
    (guest,) = await hypervisor.guests()
    return guest


async def test_a_guest_is_listed_while_it_runs(bench: Bench) -> None:
    bench.define("web1", WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        assert await hypervisor.guests() == []
        bench.start(WEB1)
        guest = await only(hypervisor)
        assert (guest.domain.name, guest.domain.uuid) == ("web1", WEB1)
        assert guest.state is GuestState.RUNNING
        assert guest.domain.interfaces[0].mac == "52:54:00:aa:00:01"
        assert not guest.domain.annotated
        bench.stop(WEB1)
        assert await hypervisor.guests() == []


async def test_all_that_run_are_listed_each_with_its_own(bench: Bench) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.10"))
    bench.define("db1", DB1)
    bench.start(WEB1)
    bench.start(DB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        listed = {guest.domain.uuid: guest.domain for guest in await hypervisor.guests()}
    assert {uuid: domain.name for uuid, domain in listed.items()} == {WEB1: "web1", DB1: "db1"}
    publication = listed[WEB1].publication
    assert publication is not None
    assert publication.requests[0].public == ip_address("203.0.113.10")
    assert not listed[DB1].annotated


async def test_a_paused_guest_is_listed_as_paused(bench: Bench) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        bench.pause(WEB1)
        assert (await only(hypervisor)).state is GuestState.PAUSED
        bench.resume(WEB1)
        assert (await only(hypervisor)).state is GuestState.RUNNING


async def test_the_live_annotation_counts_and_the_defined_one_from_the_next_start(
    bench: Bench,
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        bench.define("web1", WEB1, annotation("203.0.113.11"))
        assert not (await only(hypervisor)).domain.annotated
        bench.annotate(WEB1, annotation("203.0.113.10"))
        publication = (await only(hypervisor)).domain.publication
        assert publication is not None
        assert publication.requests[0].public == ip_address("203.0.113.10")
        bench.annotate(WEB1, "")
        assert not (await only(hypervisor)).domain.annotated
        bench.stop(WEB1)
        bench.start(WEB1)
        publication = (await only(hypervisor)).domain.publication
        assert publication is not None
        assert publication.requests[0].public == ip_address("203.0.113.11")


async def test_a_wrong_annotation_is_listed_with_its_problems(bench: Bench) -> None:
    bench.define("web1", WEB1, annotation("203.0.113.999"))
    bench.start(WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        domain = (await only(hypervisor)).domain
    assert domain.annotated
    assert domain.publication is None
    assert domain.problems


class Heard:
    """The hints that came, each in the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hints: asyncio.Queue[Hint] = asyncio.Queue()

    def __call__(self, hint: Hint) -> None:
        assert asyncio.get_running_loop() is self._loop
        self._hints.put_nowait(hint)

    async def next(self, *expected: Hint) -> None:
        """Wait for any hint, or for one of these."""
        async with asyncio.timeout(10):
            while expected and await self._hints.get() not in expected:
                continue
            if not expected:
                await self._hints.get()
        while not self._hints.empty():
            self._hints.get_nowait()


async def test_each_change_hints_in_the_loop(bench: Bench) -> None:
    heard = Heard()
    bench.define("web1", WEB1)
    async with bench.hypervisor(heard) as hypervisor:
        await hypervisor.guests()
        for change in (bench.start, bench.pause, bench.resume):
            change(WEB1)
            await heard.next(Hint(WEB1))
        bench.annotate(WEB1, annotation("203.0.113.10"))
        await heard.next(Hint(WEB1, Happened.DEFINED))
        bench.define("web1", WEB1, annotation("203.0.113.11"))
        await heard.next(Hint(WEB1, Happened.DEFINED))
        bench.stop(WEB1)
        await heard.next(Hint(WEB1, Happened.STOPPED))
        bench.stop_network()
        await heard.next()


async def test_what_counts_from_the_next_start_is_read_of_guests_that_outlive_their_end(
    bench: Bench,
) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    bench.start_transient("db1", DB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        bench.define("web1", WEB1, annotation("203.0.113.11"))
        assert not {one.domain.uuid: one for one in await hypervisor.guests()}[
            WEB1
        ].domain.annotated
        defined = await hypervisor.definitions([WEB1, DB1, UUID(int=7)])
        assert defined.keys() == {WEB1}
        assert defined[WEB1].publication is not None
        assert await hypervisor.definitions([]) == {}


async def test_why_a_guest_does_not_run_is_known_of_those_that_are_defined(bench: Bench) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    bench.start_transient("db1", DB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        assert await hypervisor.ending(WEB1) is None
        bench.stop(WEB1)
        bench.stop(DB1)
        assert await hypervisor.ending(WEB1) is Happened.STOPPED
        assert await hypervisor.ending(DB1) is None


async def test_networks_are_listed_while_they_are_active(bench: Bench) -> None:
    async with bench.hypervisor(lambda _: None) as hypervisor:
        network = (await hypervisor.networks())["default"]
        assert network.kind is NetworkKind.NAT
        assert network.bridge == "virbr0"
        assert network.gateways == (ip_address("192.168.122.1"),)
        bench.stop_network()
        assert await hypervisor.networks() == {}


async def test_a_guest_that_does_not_run_says_nothing(bench: Bench) -> None:
    bench.define("web1", WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        assert await hypervisor.agent_addresses(WEB1) == []
        assert await hypervisor.agent_addresses(DB1) == []


async def test_it_can_be_opened_and_closed_again_and_again(bench: Bench) -> None:
    for _ in range(5):
        async with bench.hypervisor(lambda _: None) as hypervisor:
            assert await hypervisor.guests() == []


async def test_calls_at_once_are_answered_each(bench: Bench) -> None:
    bench.define("web1", WEB1)
    bench.start(WEB1)
    async with bench.hypervisor(lambda _: None) as hypervisor:
        lists = await asyncio.gather(*(hypervisor.guests() for _ in range(20)))
        guests, networks = await asyncio.gather(hypervisor.guests(), hypervisor.networks())
    assert all(len(guests) == 1 for guests in lists)
    assert len(guests) == len(networks) == 1


async def test_no_hint_comes_after_closing(bench: Bench) -> None:
    hints = 0

    def hint(_: Hint) -> None:
        nonlocal hints
        hints += 1

    bench.define("web1", WEB1)
    async with bench.hypervisor(hint) as hypervisor:
        await hypervisor.guests()
        bench.start(WEB1)

        async def hinted() -> bool:
            return hints > 0

        await until(hinted, "a hint")
    after = hints
    bench.stop(WEB1)
    await asyncio.sleep(0)
    assert hints == after

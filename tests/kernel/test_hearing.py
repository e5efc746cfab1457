"""Who says by ARP that it has an address."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.namespace import Namespace
from zthook.kernel.announce import announce
from zthook.kernel.hearing import hear_arp, speaker

MAC, ADDRESS = "02:00:00:00:00:05", IPv4Address("192.168.122.50")


USUAL = (1, 0x0800, 6, 4)


def arp(kind: tuple[int, int, int, int] = USUAL, address: bytes = ADDRESS.packed) -> bytes:
    mac = bytes.fromhex(MAC.replace(":", ""))
    return struct.pack("!HHBBH6s4s", *kind, 1, mac, address) + bytes(10)


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (arp(), (MAC, ADDRESS)),
        (arp()[:17], None),
        (b"", None),
        (arp((1, 0x86DD, 6, 16)), None),
        (arp((6, 0x0800, 6, 4)), None),
        (arp(address=bytes(4)), None),  # asking whether somebody has it, before taking it
    ],
)
def test_what_a_packet_says(packet: bytes, said: object) -> None:
    assert speaker(packet) == said


@given(packet=st.binary(max_size=64))
def test_whatever_comes_is_read_or_passed_over(packet: bytes) -> None:
    speaker(packet)


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("hearing")
    yield made
    made.close()


@pytest.mark.netns
def test_an_announcement_is_heard_where_it_arrives_and_not_where_it_left(where: Namespace) -> None:
    where.run("ip link add here type veth peer name there")
    where.run(f"ip link set there address {MAC} up")
    where.run("ip link set here up")
    heard: list[tuple[str, str, IPv4Address]] = []

    async def listen() -> None:
        came = asyncio.Event()

        def note(device: str, mac: str, address: IPv4Address) -> None:
            heard.append((device, mac, address))
            came.set()

        async with hear_arp(note), asyncio.timeout(10):
            while not came.is_set():  # devices lose what they are given until both ends are up
                announce(ADDRESS, socket.if_nametoindex("there"))
                with suppress(TimeoutError):
                    await asyncio.wait_for(came.wait(), 0.5)

    where.call(lambda: asyncio.run(listen()))
    assert set(heard) == {("here", MAC, ADDRESS)}

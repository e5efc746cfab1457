"""Where metrics are served, by what the settings say and what the overlay is."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from zthook.config.settings import Endpoint, Listen
from zthook.metrics.place import Place, Port, place
from zthook.model.mappings import OverlayDevice

HOME = IPv4Address("192.168.193.2")
OVERLAY = OverlayDevice("zt0", 7, "0e:00:00:00:00:02", 2800, (IPv6Address("fd00::2"), HOME))
LOOPBACK = IPv6Address("::1")
SOCKET = Path("/run/zthook-metrics.sock")


@pytest.mark.parametrize("overlay", [OVERLAY, None])
@pytest.mark.parametrize(
    ("listen", "found"),
    [
        (None, None),
        (SOCKET, SOCKET),
        (Endpoint(LOOPBACK, 9753), Port(LOOPBACK, 9753)),
    ],
)
def test_off_a_socket_and_loopback_need_no_overlay(
    listen: Listen | None, found: Place | None, overlay: OverlayDevice | None
) -> None:
    assert place(listen, overlay) == found


def test_the_overlay_is_its_address_at_its_device_alone() -> None:
    found = place(Endpoint(None, 9753), OVERLAY)
    assert found == Port(HOME, 9753, "zt0", 7)
    assert str(found) == "192.168.193.2:9753 on zt0"


def test_without_an_overlay_there_is_no_place_on_it_yet() -> None:
    assert place(Endpoint(None, 9753), None) is None

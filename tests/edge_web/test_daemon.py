"""The page of a daemon that runs: where its file says, for the overlay alone."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.edge_api.machine import ADDRESS, UPLINK_ADDRESS, Enrolled, Machine, inside
from tests.edge_api.test_daemon import WEB1
from tests.edge_api.test_metrics import FILE, reload
from tests.lab.commands import wait_until
from tests.lab.namespace import Namespace

pytestmark = pytest.mark.netns


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.init()
    yield made
    made.close()


def unknown() -> ssl.SSLContext:
    """As a browser that was told to go on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def reached(asker: Namespace) -> bool:
    def ask() -> bool:
        try:
            url = f"https://{ADDRESS}:9444/"
            return httpx.get(url, trust_env=False, verify=unknown()).is_success
        except httpx.TransportError:
            return False

    return inside(asker, ask)


def shown(machine: Machine, token: str) -> str:
    """The first of the stream, to who logs in."""

    def look() -> str:
        url = f"https://{ADDRESS}:9444"
        with httpx.Client(base_url=url, verify=unknown(), trust_env=False) as client:
            assert client.post("/login", json={"token": token}).is_success
            told = ""
            with client.stream("GET", "/live") as answer:
                for line in answer.iter_lines():
                    told += line
                    if "event: traffic" in told:
                        break
            return told

    return inside(machine.host, look)


def test_the_page_is_there_for_the_overlay_alone(machine: Machine) -> None:
    file = machine.tmp / FILE
    off = file.read_text()
    on = off.replace('# listen = "overlay:9444"', 'listen = "overlay:9444"')
    assert on != off
    file.write_text(on)
    daemon = machine.serve()
    machine.listens_at(ADDRESS)
    wait_until(lambda: reached(machine.host), 10, "the page is served on the overlay")
    # A neighbour on the uplink, who knows the way.
    machine.outside.ip(
        "addr add 203.0.113.254/24 dev up0", f"route add {ADDRESS} via {UPLINK_ADDRESS}"
    )
    assert not reached(machine.outside)
    host = Enrolled(machine, machine.token("home1"))
    host.begin()
    host.claims(WEB1)
    view = machine.told("edge", "web", "--new-token")
    assert view["url"] == f"https://{ADDRESS}:9444/"
    assert view["token"] not in daemon.log_text()
    told = shown(machine, view["token"])
    assert '"guest":"web1"' in told
    assert '"state":"active"' in told
    machine.detach_overlay()
    machine.attach_overlay()
    wait_until(lambda: reached(machine.host), 10, "the page is served on the device that came back")
    file.write_text(off)
    reload(machine)
    wait_until(lambda: not reached(machine.host), 10, "the page is off")
    assert daemon.stop() == 0

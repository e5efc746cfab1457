"""The edge's page in a browser of another member of the overlay, while a real guest lives."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_web.browser import READY, browser
from tests.edge_web.test_browser import ROWS
from tests.end_to_end.conftest import enrol, forget, serve_edge
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.lab import Lab
from tests.lab.topology import EDGE_ON_OVERLAY

pytestmark = [pytest.mark.lab, pytest.mark.long]

PUBLIC = "203.0.113.10"
PAGE = f"https://{EDGE_ON_OVERLAY}:9444/"
SHOWN_SECONDS = 5.0
"""Deadline for the page to show what has come about."""


@pytest.fixture(scope="module")
def home() -> Iterator[Lab]:
    """As everywhere, and the edge serves its page."""
    with Lab(hosts=("home1",)) as lab:
        serve_edge(lab)
        file = lab.edge.daemon.config / "edge.toml"
        off = file.read_text()
        on = off.replace('# listen = "overlay:9444"', 'listen = "overlay:9444"')
        assert on != off
        file.write_text(on)
        lab.edge.daemon.restart()
        enrol(lab, lab["home1"])
        yield lab


@pytest.fixture
def web(home: Lab) -> Iterator[Guest]:
    """A guest that is off, whose XML names PUBLIC."""
    guest = home["home1"].define_guest("web1", annotation=annotation(PUBLIC))
    yield guest
    forget(guest)


async def test_a_guest_that_starts_is_shown_and_goes_when_it_stops(
    home: Lab, web: Guest, tmp_path: Path
) -> None:
    token = home.edge.daemon.json("edge", "web", "--new-token")["token"]
    certificate = home.edge.daemon.state / "keys" / "edge.pem"
    laptop = home.add_member("laptop")
    async with browser(tmp_path, certificate, laptop.entering(())) as tab:
        await tab.screen(1280, 900, dark=False)
        await tab.go(PAGE)
        await tab.until(READY)
        await tab.type("#token", token)
        await tab.click("#login-button")
        await tab.until("document.body.dataset.link === 'live'")
        assert await tab.value(ROWS) == []
        await asyncio.to_thread(web.boot)
        await tab.until(f"({ROWS}).length === 1 && {ROWS}[0].includes('active')", SHOWN_SECONDS)
        (row,) = await tab.value(ROWS)
        assert PUBLIC in row
        assert "web1" in row
        assert (await asyncio.to_thread(home.client.page, PUBLIC)).name == "web1"
        await asyncio.to_thread(web.destroy)
        await tab.until(f"({ROWS}).length === 0", SHOWN_SECONDS)
        assert tab.said == []

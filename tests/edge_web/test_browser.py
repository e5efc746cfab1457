"""A real browser: logs in, sees a guest's mapping come and go, and what it shows is text."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge.world import Agent
from tests.edge_web.browser import READY, Tab, browser
from tests.edge_web.household import claim
from tests.edge_web.stage import Stage

pytestmark = pytest.mark.long

ROWS = "[...document.querySelectorAll('#mappings-body tr')].map(row => row.innerText)"
NASTY = '<img src=x onerror="document.title=1"><b>web</b>'


@pytest.fixture
async def tab(stage: Stage, tmp_path: Path) -> AsyncIterator[Tab]:
    (tmp_path / "browser").mkdir()
    async with browser(tmp_path / "browser", stage.keys.certificate) as made:
        await made.screen(1280, 900, dark=False)
        yield made


@pytest.fixture
async def agent(stage: Stage) -> Agent:
    return await stage.do(lambda: stage.world.host("home1"))


async def log_in(tab: Tab, stage: Stage, token: str) -> None:
    await tab.go(stage.url)
    await tab.until(READY)
    await tab.type("#token", token)
    await tab.click("#login-button")
    await tab.until(
        "document.body.dataset.link === 'live' && !document.querySelector('#app').hidden"
    )


async def test_a_mapping_comes_and_goes_with_its_guest(
    stage: Stage, token: str, tab: Tab, agent: Agent
) -> None:
    await log_in(tab, stage, token)
    await tab.until("document.querySelector('#mappings-none').innerText.includes('No guest asks')")
    await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
    (row,) = await tab.until(f"({ROWS}).length && {ROWS}")
    for word in ("203.0.113.10", "web1", "on home1", "active", "192.168.1.50", "nat keep"):
        assert word in row
    await tab.until("document.querySelector('#tile-mappings').innerText === '1 active'")
    await tab.until("document.querySelector('#events-body').innerText.includes('granted')")
    await stage.do(lambda: agent.unclaim(1, "203.0.113.10"))
    await tab.until(f"({ROWS}).length === 0")
    await tab.until("document.querySelector('#events-body').innerText.includes('withdrawn')")
    assert tab.said == []


async def test_a_guests_name_is_text(stage: Stage, token: str, tab: Tab, agent: Agent) -> None:
    await stage.do(lambda: claim(agent, NASTY, "203.0.113.10", "192.168.1.50", (), 1))
    await log_in(tab, stage, token)
    (row,) = await tab.until(f"({ROWS}).length && {ROWS}")
    assert NASTY in row
    assert await tab.value("document.querySelectorAll('#mappings img, #mappings b').length") == 0
    assert await tab.value("document.title") == "zthook edge"
    blocked = "try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (error) { error.name }"
    assert await tab.value(blocked) == "TypeError", "the browser itself takes no text for HTML"


async def test_a_wrong_token_and_a_login_that_ends(stage: Stage, token: str, tab: Tab) -> None:
    await tab.go(stage.url)
    await tab.until(READY)
    await tab.type("#token", "wrong")
    await tab.click("#login-button")
    await tab.until("document.querySelector('#login-error').innerText === 'That is not the token.'")
    await log_in(tab, stage, token)
    assert await tab.value("document.cookie") == "", "no script sees the cookie"
    await tab.until("document.querySelector('#hosts-none').innerText.includes('No hosts yet')")
    stage.web.renew()
    await tab.until("document.querySelector('#login-error').innerText.includes('has ended')")
    assert await tab.value("document.querySelector('#app').hidden")


async def test_a_search_a_state_and_what_needs_somebody(
    stage: Stage, token: str, tab: Tab, agent: Agent
) -> None:
    other = await stage.do(lambda: stage.world.host("home2"))
    await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
    await stage.do(lambda: agent.claim(2, "203.0.113.11", "192.168.1.51"))
    await stage.do(lambda: other.claim(3, "203.0.113.10", "192.168.2.50"))
    await log_in(tab, stage, token)
    await tab.until(f"({ROWS}).length === 3")
    attention = await tab.value("document.querySelector('#attention').innerText")
    assert "held by web1 on home1" in attention
    assert await tab.value("document.title") == "(1) zthook edge"
    await tab.type("#search", "web2")
    await tab.until(f"({ROWS}).length === 1 && {ROWS}[0].includes('web2')")
    await tab.value("history.replaceState(null, '', '#state=conflict'); location.reload()")
    await tab.until(f"({ROWS}).length === 1 && {ROWS}[0].includes('web3')")
    assert await tab.value("document.querySelector('#states [aria-pressed=true]').innerText") == (
        "conflict 1"
    )


async def test_a_connection_that_is_lost_is_said_and_found_again(
    stage: Stage, token: str, tab: Tab, agent: Agent
) -> None:
    await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
    await log_in(tab, stage, token)
    await tab.until(f"({ROWS}).length === 1")
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await stage.web._move(None)
    await tab.ask("Network.emulateNetworkConditions", offline=True, **offline)
    await tab.until("document.body.dataset.link === 'lost'")
    shown = await tab.value("document.querySelector('#lost').innerText")
    assert shown.startswith("The edge does not answer. This is how it was at ")
    assert await tab.value(f"({ROWS}).length") == 1
    await tab.ask("Network.emulateNetworkConditions", offline=False, **offline)
    await tab.until("document.body.dataset.link === 'live'")
    assert await tab.value("document.querySelector('#lost').hidden")


async def test_nothing_is_wider_than_the_screen(
    stage: Stage, token: str, tab: Tab, agent: Agent
) -> None:
    ports = ("tcp/22", "tcp/80:8080", "udp/27000-27100")
    name = "a-guest-with-a-name-as-long-as-anybody-would-ever-give-one-and-then-some"
    await stage.do(lambda: claim(agent, name, "203.0.113.10", "192.168.1.50", ports, 1))
    await log_in(tab, stage, token)
    await tab.until(f"({ROWS}).length === 1")
    for width, dark in itertools.product((360, 390, 768, 1280), (False, True)):
        await tab.screen(width, 800, dark=dark)
        await tab.until(f"innerWidth === {width}")
        assert await tab.value("document.documentElement.scrollWidth") <= width

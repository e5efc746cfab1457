"""``python -m tests.edge_web``: pictures of a real browser for docs/web/; it needs pngquant."""

import asyncio
import subprocess
import tempfile
from pathlib import Path

from tests.documents import DOCS
from tests.edge.world import Agent
from tests.edge_web.browser import READY, Tab, browser
from tests.edge_web.household import WATCHED, Passing, household, paths
from tests.edge_web.stage import Stage

FOLDER = DOCS / "web"
APART = 4.0
"""Seconds between two looks, as far as the page is told."""


async def pictures() -> None:
    """All of them, anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        edge, agents = household()
        stage = Stage(folder, edge)
        stage.seen.find_paths = paths  # type: ignore[assignment]
        edge.kernel.traffic = Passing(edge)  # type: ignore[method-assign]
        (folder / "browser").mkdir()
        async with stage.serving(), browser(folder / "browser", stage.keys.certificate) as tab:
            await _login(stage, tab)
            await _watch(stage, agents)
            await _take(tab, "light", 1280, 1010, dark=False)
            await _take(tab, "dark", 1280, 1010, dark=True)
            await _take(tab, "phone", 390, 844, dark=False, scale=1.5)
        print(*(f"{one.name}: {one.stat().st_size / 1000:.0f} kB" for one in FOLDER.iterdir()))


async def _login(stage: Stage, tab: Tab) -> None:
    token = stage.web.renew().token
    await tab.screen(390, 844, dark=True, scale=1.5)
    await tab.go(stage.url)
    await tab.until(READY)
    await _keep("login", tab)
    await tab.type("#token", token)
    await tab.click("#login-button")
    await tab.until("document.querySelectorAll('#mappings-body tr').length")


async def _watch(stage: Stage, agents: dict[str, Agent]) -> None:
    """Let time go by for the charts, as fast as looks may follow each other."""
    for number in range(int(WATCHED / APART)):
        seen = stage.web.looking.seen
        await stage.do(lambda: stage.world.advance(APART))
        if number % 5 == 0:
            await stage.do(lambda: [agents[name].heartbeat() for name in ("home1", "home2")])
        while stage.web.looking.seen is seen:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _take(
    tab: Tab, name: str, width: int, height: int, *, dark: bool, scale: float = 1
) -> None:
    await tab.screen(width, height, dark=dark, scale=scale)
    await tab.value("scrollTo(0, 0)")
    await asyncio.sleep(0.5)  # a layout, and a moment's animations
    await _keep(name, tab)


async def _keep(name: str, tab: Tab) -> None:
    place = FOLDER / f"{name}.png"
    place.write_bytes(await tab.picture())
    subprocess.run(["pngquant", "--force", "--ext", ".png", "96", place], check=True)  # noqa: ASYNC221


if __name__ == "__main__":
    asyncio.run(pictures())

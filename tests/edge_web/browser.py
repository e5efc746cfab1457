"""A real browser without a screen, driven by its own protocol through two pipes.

Chromium speaks JSON, ended by a NUL, at descriptors 3 and 4 (--remote-debugging-pipe): there
is no port that others could reach, and nothing to install but the browser.
"""

import asyncio
import base64
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

NAMES = ("chromium-headless-shell", "chromium")
READY = "(document.activeElement || {}).id === 'token'"
"""The page waits for its token."""
NAVIGATED = "navigated or closed"
"""Of what Chromium says where a page went while it was asked."""
_HIGH = 20
"""Descriptors from here on, as 3 and 4 are Chromium's."""


class Navigated(Exception):
    """The page that was asked has made room for another."""


def program() -> str:
    """Where the browser is."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"no browser: apt-get install {NAMES[0]}"
    return found


def key_hash(certificate: Path) -> str:
    """How Chromium is told which key it may trust, though nobody vouches for it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(serialization.Encoding.DER, form))
    return base64.b64encode(digest.finalize()).decode()


class Tab:
    """One page. ``said`` is what its console, and Chromium of it, had to complain about."""

    def __init__(self, reader: asyncio.StreamReader, pipe: int) -> None:
        self.said: list[str] = []
        self._reader = reader
        self._pipe = pipe
        self._numbers = count(1)
        self._session = ""
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def begin(self) -> None:
        """Open it, empty."""
        target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; what comes back."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        os.write(self._pipe, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(30):
            answer = await waiting
        if NAVIGATED in str(answer.get("error")):
            raise Navigated
        assert "error" not in answer, (method, answer)
        found: dict[str, Any] = answer["result"]
        return found

    async def listen(self) -> None:
        """Take what comes, until Chromium ends."""
        while True:
            try:
                raw = await self._reader.readuntil(b"\0")
            except asyncio.IncompleteReadError:
                return
            message = json.loads(raw[:-1])
            if (waiting := self._answers.pop(message.get("id"), None)) is not None:
                waiting.set_result(message)
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Log.entryAdded":
            self.said.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif message.get("method") == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"]))

    async def go(self, url: str) -> None:
        await self.ask("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, there."""
        found = await self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, (expression, found)
        return found["result"].get("value")

    async def _shown(self, expression: str) -> Any:
        """As ``value``, None while one page goes and the next one comes."""
        try:
            return await self.value(expression)
        except Navigated:
            return None

    async def until(self, expression: str, seconds: float = 20) -> Any:
        """Wait until an expression is true; its value."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := await self._shown(expression)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.value("document.body.innerText")
            raise AssertionError(f"not so: {expression}\n{self.said}\n{shown}") from None
        return found

    async def type(self, place: str, text: str) -> None:
        """As by hand, into what a selector finds."""
        await self.value(f"document.querySelector({json.dumps(place)}).focus()")
        await self.ask("Input.insertText", text=text)

    async def click(self, place: str) -> None:
        await self.value(f"document.querySelector({json.dumps(place)}).click()")

    async def screen(self, width: int, height: int, *, dark: bool, scale: float = 1) -> None:
        """Be a screen of this size, or a phone's."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self) -> bytes:
        """What is on the screen, as PNG."""
        found = await self.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])


@asynccontextmanager
async def browser(
    folder: Path, certificate: Path, enter: Sequence[object] = ()
) -> AsyncIterator[Tab]:
    """A browser that keeps what it has in ``folder``, and trusts this certificate's key.

    ``enter`` is what a command begins with that is to run on another machine.
    """
    (theirs, to_them), (from_them, their_answers) = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(one, fcntl.F_DUPFD, _HIGH) for one in (theirs, their_answers)]
    for one in (theirs, their_answers):
        os.close(one)
    running = await asyncio.create_subprocess_exec(
        *map(str, enter),
        "/bin/bash",
        *("-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", program()),
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--remote-debugging-pipe", "--no-proxy-server"),
        *("--disable-dev-shm-usage", f"--user-data-dir={folder}"),
        f"--ignore-certificate-errors-spki-list={key_hash(certificate)}",
        pass_fds=ends,
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    for one in ends:
        os.close(one)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_them, "rb", 0)
    )
    tab = Tab(reader, to_them)
    listening = asyncio.create_task(tab.listen())
    try:
        await tab.begin()
        yield tab
    finally:
        os.close(to_them)  # Chromium ends with its driver
        try:
            async with asyncio.timeout(10):
                await running.wait()
        except TimeoutError:
            running.kill()
            await running.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        transport.close()

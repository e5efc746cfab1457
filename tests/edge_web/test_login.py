"""Who sees the page: nobody without the token, and a login ends when it should."""

import asyncio
import hashlib
import re
import ssl
import stat
from pathlib import Path

import httpx
import pytest

from tests.edge_web.stage import Stage, listening
from zthook.edge.web import app, guard, logins
from zthook.edge.web.files import page_files
from zthook.edge.web.logins import COOKIE, Logins
from zthook.edge.web.token import PageToken
from zthook.errors import StoreError

FILES = tuple(page_files())


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"]


class TestToken:
    def test_it_is_told_once_and_kept_as_a_hash_for_root_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "web-token"
        token = PageToken(path)
        assert token.made is None
        assert not token.fits("")
        told = token.renew()
        assert re.fullmatch(r"([a-z2-9]{5}-){4}[a-z2-9]{5}", told)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert told.replace("-", "") not in path.read_text()
        assert token.fits(told)
        assert token.made == path.stat().st_mtime

    def test_it_may_be_typed_as_people_type(self, tmp_path: Path) -> None:
        token = PageToken(tmp_path / "web-token")
        told = token.renew()
        assert token.fits(f" {told.upper()} ")
        assert token.fits(told.replace("-", " "))
        assert not token.fits(told[:-1])
        assert not token.fits(told + "a")

    def test_another_one_takes_its_place(self, tmp_path: Path) -> None:
        token = PageToken(tmp_path / "web-token")
        first, second = token.renew(), token.renew()
        assert not token.fits(first)
        assert token.fits(second)

    def test_where_it_can_not_be_kept(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="can not be kept"):
            PageToken(tmp_path / "no" / "web-token").renew()

    def test_what_is_damaged_lets_nobody_in(self, tmp_path: Path) -> None:
        path = tmp_path / "web-token"
        path.write_bytes(b"\xff\xfe")
        assert not PageToken(path).fits("")
        path.write_bytes(b"")
        assert not PageToken(path).fits("")


class TestLogins:
    def test_one_lasts_for_some_hours(self) -> None:
        time = 100.0
        held = Logins(lambda: time)
        key = held.key(held.begin("10.147.0.5"))
        assert held.left(key) == logins.LASTS_SECONDS
        assert held.regular("10.147.0.5")
        assert not held.regular("10.147.0.6")
        time += logins.LASTS_SECONDS
        assert held.left(key) == 0
        assert len(held) == 0

    def test_there_are_so_many_and_the_oldest_goes(self) -> None:
        held = Logins(lambda: 100.0)
        cookies = [held.begin("10.147.0.5") for _ in range(logins.MOST + 1)]
        assert not held.key(cookies[0])
        assert held.key(cookies[-1])
        assert len(held) == logins.MOST

    def test_what_is_no_cookie_of_ours_is_no_login(self) -> None:
        held = Logins(lambda: 100.0)
        held.begin("10.147.0.5")
        assert held.key("") == held.key("guessed") == ""


class TestWithoutALogin:
    async def test_there_is_a_form_and_nothing_of_the_edge(self, stage: Stage) -> None:
        agent = await stage.do(lambda: stage.world.host("home1"))
        await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
        async with stage.client() as client:
            shown = "".join([(await client.get(path)).text for path in FILES])
            for secret in ("home1", "web1", "203.0.113.10", "edge-1", "0.1.0"):
                assert secret not in shown
            for path in ("/live", "/live?text=web1", "/v1/health", "/metrics", "/static", "/login"):
                answer = await client.get(path)
                assert answer.status_code in {401, 404, 405}, path
                assert "web1" not in answer.text
            assert (await client.get("/session")).json() == {"seconds": 0}

    async def test_what_is_not_the_token(self, stage: Stage, token: str) -> None:
        bodies = [
            b'{"token": "aaaaa-bbbbb-ccccc-ddddd-eeeee"}',
            b'{"token": ""}',
            b'{"token": 5}',
            b"{}",
            b"[]",
            b"\xff",
            b'{"token": "' + b"a" * 5000 + b'"}',
        ]
        async with stage.client() as client:
            for body in bodies:
                headers = {"content-type": "application/json"}
                answer = await client.post("/login", content=body, headers=headers)
                assert answer.status_code in {400, 401, 413}, body
                assert "set-cookie" not in answer.headers

    async def test_a_form_of_another_page_is_refused(self, stage: Stage, token: str) -> None:
        async with stage.client() as client:
            for headers in (
                {"origin": "https://evil.example"},
                {"origin": "null"},
                {"sec-fetch-site": "cross-site"},
            ):
                answer = await client.post("/login", json={"token": token}, headers=headers)
                assert answer.status_code == 403
            own = {"origin": stage.url.rstrip("/"), "sec-fetch-site": "same-origin"}
            assert (await client.post("/login", json={"token": token}, headers=own)).is_success


class TestALogin:
    async def test_its_cookie_is_for_this_page_alone(self, stage: Stage, token: str) -> None:
        async with stage.client() as client:
            cookie = cookie_of(await client.post("/login", json={"token": token}))
            assert cookie.startswith(f"{COOKIE}=")
            words = {word.lower() for word in cookie.split("; ")[1:]}
            assert {"httponly", "secure", "samesite=strict", "path=/"} <= words
            assert "max-age=28800" in words
            assert not any(word.startswith("domain") for word in words)

    async def test_it_ends_by_logging_out(self, stage: Stage, token: str) -> None:
        async with stage.client(token) as client:
            cookie = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
            assert (await client.get("/session")).json()["seconds"] > 28000
            async with listening(client) as heard:
                await heard.until(lambda last: "status" in last)
                answer = await client.post("/logout")
                assert "max-age=0" in cookie_of(answer).lower()
                await heard.until(lambda last: "ended" in last)
            assert (await client.get("/live", headers=cookie)).status_code == 401
            assert stage.web.view().logged_in == 0

    async def test_it_ends_with_its_token(self, stage: Stage, token: str) -> None:
        async with stage.client(token) as client, listening(client) as heard:
            await heard.until(lambda last: "status" in last)
            other = stage.web.renew()
            assert (other.logged_in, other.watching) == (0, 1)
            await heard.until(lambda last: "ended" in last)
            assert (await client.get("/live")).status_code == 401
            assert (await client.post("/login", json={"token": token})).status_code == 401
            assert (await client.post("/login", json={"token": other.token})).is_success


async def test_the_fingerprint_that_is_told_is_of_the_certificate_that_is_shown(
    stage: Stage,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as a browser, at first
    _, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert stage.web.view().certificate_sha256 == hashlib.sha256(shown).hexdigest()


@pytest.fixture
def slowly_refilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes for its requests, hardly one more is allowed meanwhile."""
    monkeypatch.setattr(guard, "PER_SECOND", 1e-3)


class TestBounds:
    async def test_tokens_are_tried_so_often(self, stage: Stage, token: str) -> None:
        async with stage.client() as client:
            answers = [await client.post("/login", json={"token": "x"}) for _ in range(30)]
            codes = [one.status_code for one in answers]
            assert codes.count(401) == app.TRIES
            assert codes[-1] == 429
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert (await client.post("/login", json={"token": token})).status_code == 429

    @pytest.mark.usefixtures("slowly_refilled")
    async def test_a_stranger_asks_so_often_and_who_is_logged_in_goes_on(
        self, stage: Stage, token: str
    ) -> None:
        async with stage.client(token) as owner, stage.client() as stranger:
            codes = [(await stranger.get("/icon.svg")).status_code for _ in range(150)]
            assert codes[-1] == 429
            assert codes.count(200) >= guard.BURST - 2
            assert (await owner.get("/session")).is_success

    async def test_what_is_refused_is_logged_with_who_asked_and_no_token(
        self, stage: Stage, token: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with stage.client() as client:
            await client.post("/login", json={"token": "mmmmm-nnnnn-ppppp-qqqqq-rrrrr"})
            await client.post("/login", json={"token": token})
        (line,) = [one.getMessage() for one in caplog.records if "refused" in one.getMessage()]
        assert "127.0.0.1" in line
        assert "401" in line
        assert token not in caplog.text
        assert "mmmmm" not in caplog.text

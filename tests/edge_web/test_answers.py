"""What the page answers with: headers on everything, no route that changes anything."""

import re
from importlib.resources import files

from tests.edge_web.stage import Stage
from tests.edge_web.test_login import FILES
from zthook.edge.web.guard import HEADERS

SOURCES = files("zthook.edge.web") / "static"


async def test_every_answer_has_the_headers(stage: Stage) -> None:
    async with stage.client() as client:
        for path in (*FILES, "/session", "/live", "/no/such/thing"):
            answer = await client.get(path)
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path


async def test_no_script_and_no_style_but_its_own_files_counts(stage: Stage) -> None:
    async with stage.client() as client:
        policy = (await client.get("/")).headers["content-security-policy"]
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == parts["style-src"] == "'self'"
    assert parts["frame-ancestors"] == "'none'"
    assert parts["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy


def test_the_files_need_no_exception_from_that() -> None:
    page = (SOURCES / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert re.findall(r"(?:src|href)=\"(?!/|#)[^\"]*\"", page) == []
    script = "".join(one.read_text() for one in SOURCES.iterdir() if one.name.endswith(".js"))
    words = "innerHTML outerHTML insertAdjacentHTML document.write eval( Function( DOMParser"
    assert [word for word in words.split() if word in script] == []
    everything = page + script + (SOURCES / "page.css").read_text()
    assert set(re.findall(r"https?://[^\"\s)]+", everything)) <= {"http://www.w3.org/2000/svg"}


async def test_nothing_but_logins_takes_more_than_a_look(stage: Stage, token: str) -> None:
    async with stage.client(token) as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in (*FILES, "/session", "/live", "/v1/claims", "/v1/enrolment", "/mappings"):
                answer = await client.request(method, path)
                assert answer.status_code in {404, 405}, (method, path)
        for method in ("PUT", "PATCH", "DELETE"):
            for path in ("/login", "/logout"):
                assert (await client.request(method, path)).status_code == 405


async def test_a_question_that_is_none(stage: Stage, token: str) -> None:
    async with stage.client(token) as client:
        for query in ("state=odd", "first=-1", "first=x", "first=" + "9" * 40):
            assert (await client.get(f"/live?{query}")).status_code == 400, query

"""The README's first screen, the changelog and the decisions keep their form."""

import re
from pathlib import Path

import pytest

from tests.documents import DOCS, README, ROOT
from tests.documents.markdown import documents, read

FIRST_SCREEN = 24
KINDS_OF_CHANGE = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d")
DECISIONS = sorted((DOCS / "adr").iterdir())
STATUS = re.compile(
    r"(Proposed|Accepted|Rejected|Superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)), \d{4}-\d\d\."
)


class TestReadme:
    page = read(README)

    def test_the_first_screen_begins_with_what_it_is_in_one_sentence(self) -> None:
        title, sentence = self.page.prose[:2]
        assert title.text == "# zthook"
        assert re.fullmatch(r"[^.]+(?:\.(?! )[^.]+)*\.", sentence.text)

    def test_the_first_screen_has_the_picture(self) -> None:
        picture = self.page.blocks[0]
        assert picture.line < FIRST_SCREEN
        for word in ("internet", "edge", "ZeroTier", "host", "guest"):
            assert word in picture.text

    def test_the_first_screen_has_the_two_commands_and_no_other(self) -> None:
        lines = README.read_text(encoding="utf-8").splitlines()[:FIRST_SCREEN]
        shown = "\n".join(lines)
        commands = [line.strip() for line in lines if re.match(r" +(sudo|git) ", line)]
        assert len(commands) == 2
        assert commands[0].startswith("git clone ")
        assert commands[1] == "sudo ./install.sh demo"
        assert "Debian" in shown

    def test_both_versions_of_ip_are_named(self) -> None:
        text = README.read_text(encoding="utf-8")
        assert "IPv4" in text
        assert "IPv6" in text


class TestChangelog:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)

    def test_it_begins_with_what_is_not_released(self) -> None:
        assert self.text.startswith("# Changelog\n")
        assert self.versions[0] == "[Unreleased]"

    def test_releases_have_a_date_and_the_newest_comes_first(self) -> None:
        releases = [RELEASE.fullmatch(version) for version in self.versions[1:]]
        assert all(releases)
        numbers = [tuple(map(int, found.groups())) for found in releases if found]
        assert numbers == sorted(set(numbers), reverse=True)

    def test_changes_are_lists_under_the_usual_words(self) -> None:
        for section in re.split(r"^## .+$", self.text, flags=re.MULTILINE)[1:]:
            words = re.findall(r"^### (.+)$", section, re.MULTILINE)
            assert words
            assert len(words) == len(set(words))
            assert set(words) <= KINDS_OF_CHANGE
            for part in re.split(r"^### .+$", section, flags=re.MULTILINE)[1:]:
                lines = [line for line in part.splitlines() if line]
                assert lines
                assert all(line.startswith(("- ", "  ")) for line in lines)


class TestDecisions:
    def test_they_are_numbered_without_gaps(self) -> None:
        numbers = [int(path.name.partition("-")[0]) for path in DECISIONS]
        assert numbers == list(range(1, len(DECISIONS) + 1))

    @pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
    def test_each_has_its_number_a_title_and_a_status(self, path: Path) -> None:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
        title, blank, status, *_ = path.read_text(encoding="utf-8").splitlines()
        number = int(path.name.partition("-")[0])
        assert re.fullmatch(rf"# {number}\. \S.+[^.]", title)
        assert blank == ""
        assert STATUS.fullmatch(status), status


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_a_document_has_one_title_and_it_comes_first(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    titles = [line for line in read(path).prose if line.text.startswith("# ")]
    assert len(titles) == 1

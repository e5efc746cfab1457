"""The README in Chinese has the commands of the English one, and no other."""

from tests.documents import README, ROOT
from tests.documents.markdown import read

CHINESE = ROOT / "README.zh-CN.md"


def commands(text: str) -> set[str]:
    """Lines of code that somebody types, without their comments."""
    return {
        line.partition("#")[0].strip()
        for line in text.splitlines()
        if line.startswith(("    sudo ", "    git "))
    }


def test_it_has_no_command_that_the_english_one_lacks() -> None:
    here, there = (commands(path.read_text(encoding="utf-8")) for path in (CHINESE, README))
    assert here
    assert here <= there


def test_its_annotation_is_that_of_the_english_one() -> None:
    (mine,) = [block.text for block in read(CHINESE).blocks if block.language == "xml"]
    assert mine in [block.text for block in read(README).blocks if block.language == "xml"]


def test_its_links_lead_somewhere() -> None:
    for _, target in read(CHINESE).links:
        assert target.startswith("https://") or (ROOT / target).exists()

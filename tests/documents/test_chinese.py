"""The README in Chinese has the commands and links of the English one, and no others."""

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


def test_it_has_the_commands_of_the_english_one() -> None:
    here, there = (commands(path.read_text(encoding="utf-8")) for path in (CHINESE, README))
    assert here
    assert here == there


def test_its_annotation_is_that_of_the_english_one() -> None:
    (mine,) = [block.text for block in read(CHINESE).blocks if block.language == "xml"]
    assert mine in [block.text for block in read(README).blocks if block.language == "xml"]


def test_it_leads_to_all_that_the_english_one_leads_to() -> None:
    here, there = ({target for _, target in read(path).links} for path in (CHINESE, README))
    assert here - {README.name} == there - {CHINESE.name}

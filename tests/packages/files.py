"""What debian/ says."""

import re

from tests.packages.brought import ROOT

DEBIAN = ROOT / "debian"


def depends(package: str) -> set[str]:
    """The packages of Debian that ``package`` depends on, without those of its own source."""
    control = (DEBIAN / "control").read_text()
    paragraph = re.search(
        rf"^Package: {package}$(.*?)^Description:", control, re.MULTILINE | re.DOTALL
    )
    assert paragraph is not None
    listed = re.search(r"^Depends:(.*?)(?=^\S|\Z)", paragraph[1], re.MULTILINE | re.DOTALL)
    assert listed is not None
    words = [part.split()[0] for part in listed[1].split(",")]
    return {word for word in words if not word.startswith(("$", "zthook"))}

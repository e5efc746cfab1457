"""zthook as another version of it: a copy of the code with other rules for both kernels."""

import shutil
from pathlib import Path

import zthook

NUMBER = "9.9.9"
CHANGES = {
    "zthook/__init__.py": (f'__version__ = "{zthook.__version__}"', f'__version__ = "{NUMBER}"'),
    "zthook/kernel/host/sets.py": (
        '    "closed": "nf_proto",\n',
        '    "closed": "nf_proto",\n    "later": "ifname",\n',
    ),
    "zthook/kernel/host/chains.py": (
        '        Chain("begin", BEGIN, (',
        '        Chain("begin", BEGIN, (Rule("oifname @later accept", "of another version"), ',
    ),
    "zthook/kernel/edge/rules.py": (
        '    "map crossings {',
        '    "set later { type ifname; }",\n    "map crossings {',
    ),
}
"""File → what is there, and what takes its place: a set and a rule more, for either table."""


def another_version(folder: Path) -> dict[str, str]:
    """Make it in ``folder``; the environment in which zthook is that one."""
    code = Path(zthook.__file__).parent
    shutil.copytree(code, folder / "zthook", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (here, there) in CHANGES.items():
        file = folder / name
        text = file.read_text()
        assert text.count(here) == 1, f"{name} has {here!r} no more"
        file.write_text(text.replace(here, there))
    return {"PYTHONPATH": str(folder)}

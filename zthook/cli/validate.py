"""``zthook validate``."""

import sys
from pathlib import Path

import click

from zthook.cli.commands import command
from zthook.config.places import Places
from zthook.errors import NotFound
from zthook.model.publication import Problem, Publication


def checked(what: str) -> tuple[Publication | None, tuple[Problem, ...]]:
    """The annotation of a file (``-`` is stdin), or of a guest where no file has that name."""
    from zthook.annotation import check

    if what == "-":
        return check(sys.stdin.buffer.read())
    if Path(what).exists():
        return check(Path(what).read_bytes())
    if "/" in what:  # no guest's name has one
        raise NotFound(f"there is no file {what}", hint="a guest is named as virsh list does")
    from zthook.cli.guests import find_guest

    domain = find_guest(Places.from_environment(), what)[0]
    if domain.publication is None and not domain.problems:
        return None, (Problem(0, "there is no annotation", f"zthook assign {what} PUBLIC"),)
    return domain.publication, domain.problems


@command("validate", example="zthook validate web1.xml")
@click.argument("what", metavar="FILE|GUEST")
def validate(what: str) -> int:
    """Check an annotation: of a file (a domain's XML, or our element alone) or of a guest.

    Prints each problem with its line and what would be right, and exits 1 where there is
    any. A file needs neither libvirt nor edge; - reads from stdin.
    """
    publication, problems = checked(what)
    for problem in problems:
        click.echo(f"{what}:{problem.line}: {problem.what}; {problem.right}")
    if publication is None:
        return 1
    for request in publication.requests:
        click.echo(f"{what}: {_summary(request.line, str(request.public or 'auto'))}")
    return 0


def _summary(line: int, public: str) -> str:
    return f"line {line}: {public} is fine" if line else f"{public} is fine"

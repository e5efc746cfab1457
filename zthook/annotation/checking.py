"""Checks an annotation, wherever it is, and says everything that is wrong with it."""

from dataclasses import dataclass

from zthook.annotation import schema
from zthook.annotation.document import Document, NotReadable, parse
from zthook.annotation.grammar import read_publish
from zthook.annotation.locating import locate
from zthook.annotation.reading import PREFIX, Findings
from zthook.errors import AnnotationError
from zthook.model.publication import Problem, Publication


@dataclass(frozen=True, slots=True)
class Checked:
    """An annotation, or what is wrong with it; neither where there is none."""

    publication: Publication | None
    problems: tuple[Problem, ...]
    says_required: bool


def check(xml: bytes) -> tuple[Publication | None, tuple[Problem, ...]]:
    """The publication in ``xml`` (the element, a ``<metadata>`` or a domain) or every problem.

    Exactly one of the two is there: no annotation at all is a problem too. Raises nothing
    for whatever ``xml`` holds.
    """
    try:
        document = parse(xml)
    except NotReadable as error:
        return None, (error.problem,)
    checked = check_document(document)
    if checked.publication is None and not checked.problems:
        line = document.lines[document.root]
        right = f"add <{PREFIX}:publish> to <metadata>, as `zthook assign` does"
        return None, (Problem(line, "there is no annotation", right),)
    return checked.publication, checked.problems


def read_publication(xml: bytes) -> Publication:
    """As ``check``. Raises AnnotationError naming every problem with its line."""
    publication, problems = check(xml)
    if publication is None:
        raise annotation_error(problems)
    return publication


def annotation_error(problems: tuple[Problem, ...]) -> AnnotationError:
    """The error that lists ``problems``, a line each."""
    return AnnotationError(
        "\n".join(str(problem) for problem in problems),
        hint="mend the XML; `zthook validate FILE` checks it",
    )


def check_document(document: Document) -> Checked:
    """The annotation in a parsed document."""
    located = locate(document)
    findings = Findings(form=located.problems)
    publication = None
    if located.publish is not None:
        publication = read_publish(document, located.publish, findings)
        if not findings.problems and not schema.accepts(located.publish):
            line = document.lines[located.publish]
            right = "compare it with zthook/annotation/publish.rng"
            findings.form.append(Problem(line, "the schema does not take this <publish>", right))
    required = any(
        element.get("required") == "yes" for root in located.annotation for element in root.iter()
    )
    problems = findings.problems
    return Checked(None if problems else publication, problems, required)

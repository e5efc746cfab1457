"""Guests as the commands find them: through libvirt, persistent and live."""

from collections.abc import Callable
from dataclasses import dataclass

from zthook.config.places import Places
from zthook.errors import AnnotationError, NotEnrolled, Refused
from zthook.model.guests import Domain
from zthook.model.publication import Problem, Publication

DEFAULT_URI = "qemu:///system"


def libvirt_uri(places: Places) -> str:
    """What host.toml says; a host that is not set up yet has libvirt's own default."""
    from zthook.config.loading import load_host

    try:
        return load_host(places.host_config).libvirt_uri
    except NotEnrolled:
        return DEFAULT_URI


def find_guest(places: Places, guest: str) -> tuple[Domain, Domain | None]:
    """The guest with that name or UUID as it is defined, and as it runs.

    Raises NotFound, HypervisorUnavailable.
    """
    from zthook.hypervisor.definitions import find

    return find(libvirt_uri(places), guest)


@dataclass(frozen=True, slots=True)
class Definitions:
    """A guest's definitions: as it starts the next time, and as it runs."""

    places: Places
    persistent: Domain
    live: Domain | None

    @classmethod
    def of(cls, guest: str) -> "Definitions":
        places = Places.from_environment()
        return cls(places, *find_guest(places, guest))

    @property
    def both(self) -> list[Domain]:
        """The persistent one, and the live one where the guest runs."""
        return [self.persistent, *([self.live] if self.live else [])]

    def write(self, publication: Publication | None, *, live: bool, persistent: bool) -> None:
        """Put ``publication`` in. Raises AnnotationError where it would be wrong."""
        from zthook.annotation import check, write_publication
        from zthook.hypervisor.definitions import set_annotation

        element = None
        if publication is not None:
            self._refuse(check(write_publication(publication).encode())[1])
            element = write_publication(publication, namespace=False)
        set_annotation(
            libvirt_uri(self.places),
            str(self.persistent.uuid),
            element,
            live=live,
            persistent=persistent,
        )

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        """Without their lines: nobody wrote the XML that they are about."""
        if problems:
            name = self.persistent.name
            raise AnnotationError(
                "\n".join(f"{name}: {one.what}; {one.right}" for one in problems),
                hint="nothing was changed; `zthook assign --help` says what each option takes",
            )

    def change(self, new: Callable[[Publication | None], Publication | None]) -> str:
        """Change both, each from what it says now; why the persistent one did not change.

        Raises what ``set_annotation`` raises, but for a guest that has no persistent one.
        """
        if self.live is None:
            self._change(self.persistent, new, live=False)
            return ""
        self._change(self.live, new, live=True)
        try:
            self._change(self.persistent, new, live=False)
        except Refused as error:
            return error.message
        return ""

    def _change(
        self,
        domain: Domain,
        new: Callable[[Publication | None], Publication | None],
        *,
        live: bool,
    ) -> None:
        wanted = new(domain.publication)
        if domain.problems or wanted != domain.publication:
            self.write(wanted, live=live, persistent=not live)

    def refuse_wrong(self) -> None:
        """Raise AnnotationError where what is there can not be kept, as it is wrong."""
        for domain in self.both:
            if domain.problems:
                raise AnnotationError(
                    f"the annotation of {domain.name} is wrong already:\n"
                    + "\n".join(str(problem) for problem in domain.problems),
                    hint=f"mend it (virsh edit), or drop all of it: zthook unassign {domain.name}",
                )

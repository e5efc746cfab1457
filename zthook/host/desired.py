"""What a pass sees, and what it wants: the values that decisions are made of and come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from zthook.host.addresses import Sightings, Source
from zthook.host.answers import Answers, ClaimKey
from zthook.host.placement import Networks, Placement
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, GuestState
from zthook.model.mappings import Auto, Claim
from zthook.model.publication import AddressRequest


@dataclass(frozen=True, slots=True)
class View:
    """What one pass saw.

    ``reserved`` are guests about to start, as their hooks' XML shows them; one that runs
    already counts as running, one that libvirt has not let run yet as about to start.
    ``answers`` are what the edge said last: of two guests on this host with one address,
    the one that has it there keeps it. ``via`` is the LAN gateway of a host that is no member
    of the overlay, ``lacking`` tells of devices behind which guests are what it lacks.
    ``moved`` are the private addresses of guests that migrate here, where they come from,
    ``proven`` those of them that have been seen here. ``departed`` are guests that migrated
    away and are claimed until they are elsewhere.
    """

    guests: Sequence[Guest]
    networks: Networks
    sightings: Sightings = field(default_factory=Sightings)
    reserved: Sequence[Domain] = ()
    answers: Answers = field(default_factory=dict)
    via: IPv4Address | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[ClaimKey, IPAddress] = field(default_factory=dict)
    proven: frozenset[ClaimKey] = frozenset()
    departed: Sequence[Domain] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """One address that one guest asks for, and what comes of it on this host.

    Without a ``claim`` the edge is not asked: ``refusal`` says why, or ``waits`` for what.
    With a claim ``waits`` says why its private address is not known, and ``note`` what may
    keep an active one from working. ``request`` and ``public`` (what is asked for) are None
    where the annotation itself is wrong, ``state`` None where the guest is about to start.
    ``prospect`` is what a guest that migrates here will claim: this host is ready for it.
    """

    domain: Domain
    state: GuestState | None
    request: AddressRequest | None
    public: IPAddress | Auto | None = None
    claim: Claim | None = None
    prospect: Claim | None = None
    placement: Placement | None = None
    source: Source | None = None
    refusal: str = ""
    waits: str = ""
    note: str = ""

    @property
    def key(self) -> ClaimKey:
        """That of its claim, whether it has one or not."""
        return self.domain.uuid, str(self.public or "")


def held(answers: Answers) -> Mapping[ClaimKey, str]:
    """Which private address the edge forwards each claim to."""
    return {key: one.private for key, one in answers.items() if one.private is not None}

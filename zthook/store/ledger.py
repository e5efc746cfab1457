"""What the edge asks of its store."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from zthook.store.events import EventRow, Wanted
from zthook.store.rows import ClaimRow, HostRow, InvitationRow, ReservationRow, Standing

ClaimKey = tuple[str, str, str]
"""Host, guest, and what is asked for."""
ReservationKey = tuple[str, str]
"""Guest, and what is asked for."""


class Ledger(Protocol):
    """Rows by key, changed in transactions only.

    Every method raises StoreError when the store can not be read or written. A lookup
    costs the rows it returns, however many others there are. Used by one thread at a time.
    ``fault`` says why the last change could not be written; empty where it was. ``changes``
    is another number whenever anything may have been put or dropped in between.
    """

    fault: str

    @property
    def changes(self) -> int: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything put or dropped inside is durable when it ends, or, where anything is
        raised inside or the commit fails (StoreError), nothing is. They do not nest.
        """
        ...

    def close(self) -> None: ...

    def next(self, counter: str) -> int:
        """Raise a counter by one, from 0; a value is never given twice."""
        ...

    def raise_to(self, counter: str, value: int) -> None:
        """Make a counter at least ``value``."""
        ...

    def hosts(self) -> list[HostRow]:
        """All, by name."""
        ...

    def host(self, name: str) -> HostRow | None: ...

    def host_with(self, credential: str) -> HostRow | None:
        """The host that has this credential (as it is stored: hashed)."""
        ...

    def put_host(self, row: HostRow) -> None: ...

    def drop_host(self, name: str) -> None: ...

    def invitations(self) -> list[InvitationRow]:
        """All, used ones too, by host and expiry."""
        ...

    def invitation(self, secret: str) -> InvitationRow | None: ...

    def put_invitation(self, row: InvitationRow) -> None: ...

    def drop_invitation(self, secret: str) -> None: ...

    def claim(self, key: ClaimKey) -> ClaimRow | None: ...

    def claims(self, standing: Standing | None = None) -> list[ClaimRow]:
        """All, or all that stand so, by public address as text, then by place."""
        ...

    def each_claim(self, standing: Standing | None = None) -> Iterator[ClaimRow]:
        """The same one by one, in no order; nothing may be changed before the last."""
        ...

    def claims_on(self, public: str) -> list[ClaimRow]:
        """All that name this public address, by place; "": every ``auto`` without one."""
        ...

    def claims_of(self, host: str) -> list[ClaimRow]:
        """All of this host, by place."""
        ...

    def claims_of_guest(self, guest: str) -> list[ClaimRow]:
        """All of this guest, on whichever host, by place."""
        ...

    def guests_of_several(self) -> list[str]:
        """The guests that several hosts claim for. Costs all claims, though little."""
        ...

    def claims_using(self, private: str) -> list[ClaimRow]:
        """All that name this private address, by place."""
        ...

    def shared_privates(self) -> set[str]:
        """The private addresses that several claims name. Costs all claims, though little."""
        ...

    def put_claim(self, row: ClaimRow) -> None:
        """Raises StoreError where a second row would occupy the same part of an address."""
        ...

    def drop_claim(self, key: ClaimKey) -> None: ...

    def reservations(self) -> list[ReservationRow]:
        """All, by public address as text."""
        ...

    def reservation(self, key: ReservationKey) -> ReservationRow | None: ...

    def reservation_on(self, public: str) -> ReservationRow | None: ...

    def put_reservation(self, row: ReservationRow) -> None:
        """Raises StoreError where the address is reserved for another guest or place."""
        ...

    def drop_reservation(self, key: ReservationKey) -> None: ...

    def taken(self) -> set[str]:
        """Every public address that is reserved, or named by a claim that is not refused.

        Costs all of them, though no more than their text.
        """
        ...

    def note(self, row: EventRow) -> None:
        """Add a line to the audit trail. Beyond MOST_OF_ONE the oldest of the same share goes,
        beyond MOST_EVENTS the oldest of all.
        """
        ...

    def events(self, wanted: Wanted) -> list[EventRow]:
        """The last lines of the audit trail that fit, as they were noted. Costs all of them."""
        ...

"""What the edge asks of its store."""

from contextlib import AbstractContextManager
from typing import Protocol

from zthook.store.rows import ClaimRow, HostRow, InvitationRow, Standing

ClaimKey = tuple[str, str, str]
"""Host, guest, public."""


class Ledger(Protocol):
    """Rows by key, changed in transactions only.

    Every method raises StoreError when the store can not be read or written. A lookup
    costs the rows it returns, however many others there are. Used by one thread at a time.
    ``fault`` says why the last change could not be written; empty where it was.
    """

    fault: str

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

    def claims_on(self, public: str) -> list[ClaimRow]:
        """All that name this public address, by place."""
        ...

    def claims_of(self, host: str) -> list[ClaimRow]:
        """All of this host, by place."""
        ...

    def claims_using(self, private: str) -> list[ClaimRow]:
        """All that name this private address, by place."""
        ...

    def put_claim(self, row: ClaimRow) -> None:
        """Raises StoreError where a second row would occupy one public address."""
        ...

    def drop_claim(self, key: ClaimKey) -> None: ...

"""The edge's one decider: every request and admin command, one at a time.

Sync; call it from one thread. A request runs: decide in the ledger's transaction, commit,
change the kernel, answer. Each crash in between is repaired by the next pass.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from zthook.config.settings import EdgeSettings
from zthook.edge.views import (
    EdgeStatus,
    HostView,
    Invitation,
    MappingView,
    PoolUse,
    Released,
)
from zthook.model.clock import Clock
from zthook.model.mappings import OverlayDevice
from zthook.wire.messages import (
    ClaimsReply,
    EnrolReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    ReserveRequest,
    SessionReply,
    SessionRequest,
)

INVITATION_SECONDS = 24 * 3600.0
"""How long a one-time token can be used, unless told otherwise."""


class EdgeService:
    """Decides over ``ledger`` and carries it out in ``dataplane``.

    ``overlay`` tells the overlay's device as it is now, None while it is not there.
    ``notify`` is called with a host's name when what the edge says of its claims changed,
    or the host was removed; it is called in the thread of the call that changed it.
    """

    def __init__(
        self,
        *,
        ledger: object,
        dataplane: object,
        clock: Clock,
        settings: EdgeSettings,
        overlay: Callable[[], OverlayDevice | None],
        edge_id: str,
        notify: Callable[[str], None],
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Give every stored host one lease, adopt the kernel. Call once, before anything else.

        Raises StoreError. A kernel that refuses is no error here: ``tick`` tries again.
        """
        raise NotImplementedError

    def tick(self) -> None:
        """One pass: leases, grace, drift, resync. Call about twice a second; cheap when idle.

        Raises StoreError; what the kernel refuses is shown by ``status`` and tried again.
        """
        raise NotImplementedError

    # The API's requests. All of them raise StoreError when the store can not be written:
    # then nothing was done.

    def authenticate(self, credential: str) -> str:
        """The name of the host that has this credential. Raises NotAuthenticated."""
        raise NotImplementedError

    def enrol(self, secret: str, hostname: str) -> EnrolReply:
        """Spend a one-time secret. Raises TokenError: unknown, used, expired."""
        raise NotImplementedError

    def open_session(self, host: str, request: SessionRequest, source: IPv4Address) -> SessionReply:
        """Fence off every earlier session of this host. Raises TwoAgents."""
        raise NotImplementedError

    def list_claims(self, host: str, request: ListRequest, source: IPv4Address) -> ClaimsReply:
        """Take everything the host claims; what it held and left out is withdrawn.

        Raises StaleSession, StaleMessage, UsageError (not an address; a claim twice),
        KernelError (what the edge must not give away can not be looked up).
        """
        raise NotImplementedError

    def reserve(self, host: str, request: ReserveRequest, source: IPv4Address) -> ClaimsReply:
        """Take claims of one guest beside the others. Raises as ``list_claims``."""
        raise NotImplementedError

    def heartbeat(
        self, host: str, request: HeartbeatRequest, source: IPv4Address
    ) -> HeartbeatReply:
        """Renew the lease. Raises StaleSession, StaleMessage."""
        raise NotImplementedError

    def generation(self, host: str, session: int) -> int:
        """The number that rises whenever what we say of this host's claims changes.

        Raises NotAuthenticated (the host was removed), StaleSession.
        """
        raise NotImplementedError

    def leave(self, host: str) -> None:
        """Withdraw all of the host's mappings and forget it.

        Raises KernelError where the kernel has yet to let go of some; the host is out all
        the same, and ``tick`` finishes it.
        """
        raise NotImplementedError

    # The admin's commands.

    def status(self) -> EdgeStatus:
        """Everything at a glance."""
        raise NotImplementedError

    def mappings(self) -> list[MappingView]:
        """Every claim, by public address and order of waiting."""
        raise NotImplementedError

    def hosts(self) -> list[HostView]:
        """Every host, by name."""
        raise NotImplementedError

    def pools(self) -> list[PoolUse]:
        """Every pool, in the order of edge.toml."""
        raise NotImplementedError

    def add_host(
        self,
        name: str,
        *,
        member: str | None = None,
        prefixes: Sequence[str] | None = None,
        pools: Sequence[str] | None = None,
        group: str | None = None,
        expires_seconds: float = INVITATION_SECONDS,
    ) -> Invitation:
        """Invite a host. A name that is there keeps what is left None; ``()`` and ``""`` clear.

        An earlier unused invitation of that name ends; its credential holds until this
        one is used. Raises UsageError: name, prefix or pool.
        """
        raise NotImplementedError

    def remove_host(self, name: str) -> None:
        """As ``leave``, by the admin. Raises NotFound, KernelError."""
        raise NotImplementedError

    def release(self, public: str) -> Released:
        """Withdraw an address whose holder's host is gone, before its grace is over.

        Raises UsageError (no address), NotFound (nothing is reserved), Refused (the holder
        is there), KernelError (as ``leave``).
        """
        raise NotImplementedError

    def reload(self, settings: EdgeSettings) -> None:
        """Go by a changed edge.toml. Raises Refused where an address in use would leave its
        pool (with who holds it), KernelError; then the settings before stay in force.
        """
        raise NotImplementedError

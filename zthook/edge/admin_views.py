"""What the daemon adds to the service's views when it answers its admin; cheap to import."""

from zthook.edge.views import EdgeStatus, PoolUse, View
from zthook.model.redial import Redial
from zthook.wire.hushed import Hushed


class EdgeReport(View, frozen=True):
    """The answer to ``status``.

    ``listening`` is ``address:port`` of the API, None while it has none. ``metrics`` is why
    they are not served where they should be, ``web`` the same of the web page. ``problems`` are
    sentences, these too; where there are none the edge is as it should be. ``redial`` None: the
    overlay is not ZeroTier's, or was not looked at yet.
    """

    status: EdgeStatus
    pools: list[PoolUse]
    listening: str | None
    problems: list[str]
    metrics: str = ""
    web: str = ""
    redial: Redial | None = None


class HostAdded(Hushed, View, frozen=True):
    """``token`` for `zthook join`, good until ``expires`` (Unix time).

    ``authorised``: the controller lets ``member`` into the overlay; where it does not,
    ``why``. Of a rotation neither is said. ``network`` is the ZeroTier network that the token
    takes a host into, empty where it does not; ``moon`` the edge's node id where it is one.
    """

    host: str
    token: str
    expires: float
    member: str | None
    authorised: bool = False
    why: str = ""
    network: str = ""
    moon: str = ""


class HostRemoved(View, frozen=True):
    """``member``: its node, None where that is not known. ``shut_out``: it is let into the
    overlay no more; where it may still be, ``why``.
    """

    host: str
    member: str | None
    shut_out: bool = False
    why: str = ""


class Approved(View, frozen=True):
    """``member`` is let into the overlay, and had ``knocked``; ``others`` knock still."""

    member: str
    knocked: bool
    others: list[str]


class Knock(View, frozen=True):
    """A member that asked to join the overlay's network and was not let in.

    Times are Unix time: ``since`` when it first asked, ``shut_out`` when it was last let in no
    more. ``address`` is its physical one, None where it comes relayed or is silent.
    """

    member: str
    since: float | None = None
    address: str | None = None
    shut_out: float | None = None


class WebView(Hushed, View, frozen=True):
    """The edge's web page: ``wanted`` is what edge.toml says, ``url`` where it is served.

    ``certificate_sha256`` is the fingerprint a browser shows, hex. ``token`` is a new one, else
    empty; ``token_made`` (Unix time) is of the one that counts. ``why`` it is not served.
    """

    wanted: str | None
    url: str | None
    certificate_sha256: str
    token: str
    token_made: float | None
    logged_in: int
    watching: int
    why: str

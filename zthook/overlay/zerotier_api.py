"""zerotier-one's local API (recorded from 1.14.1), over loopback."""

import ssl
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from zthook.errors import OverlayDown

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 3.0
"""It answers from memory; who takes longer hangs."""
TOKEN = "authtoken.secret"  # noqa: S105 - a file's name

Body = TypeVar("Body")


class NetworkView(msgspec.Struct, frozen=True, rename="camel"):
    """What GET /network/ID says. An empty ``status`` means an empty answer.

    ``assigned_addresses`` are what the controller wants, not what the kernel has.
    """

    status: str = ""
    port_device_name: str = ""
    assigned_addresses: tuple[str, ...] = ()
    allow_managed: bool = True


class JoinedNetwork(msgspec.Struct, frozen=True, rename="camel"):
    """One of what GET /network says."""

    id: str
    port_device_name: str = ""


class PeerPath(msgspec.Struct, frozen=True, rename="camel"):
    """One way to a peer. Paths that died stay ``active``; times are Unix milliseconds.

    ``local_socket`` tells our own addresses and ports apart, and nothing else.
    """

    address: str
    active: bool = False
    expired: bool = False
    preferred: bool = False
    last_receive: int = 0
    local_socket: int = 0


class PeerView(msgspec.Struct, frozen=True, rename="camel"):
    """One of what GET /peer says. ``latency`` is milliseconds, negative where not measured.

    ``tunneled``: it is reached through a TCP relay. ``bonding_policy_str`` is the standard
    policy of its bond, empty where it has none.
    """

    address: str
    latency: int = -1
    paths: tuple[PeerPath, ...] = ()
    is_bonded: bool = False
    bonding_policy_str: str = ""
    tunneled: bool = False


class MemberView(msgspec.Struct, frozen=True, rename="camel"):
    """What the controller says of a member; times are Unix milliseconds, 0 for never.

    Without ``identity`` it was let in (or shut out) and never knocked.
    """

    id: str
    authorized: bool
    identity: str = ""
    creation_time: int = 0
    last_deauthorized_time: int = 0


class NodeSettings(msgspec.Struct, frozen=True, rename="camel"):
    """The settings in what GET /status says: UDP ports beside the first, 0 where there is none.

    The ``tertiary_port`` is that of UPnP and NAT-PMP, whether a router has these or not.
    """

    secondary_port: int = 0
    tertiary_port: int = 0


class NodeConfig(msgspec.Struct, frozen=True):
    """What GET /status says of the configuration in force."""

    settings: NodeSettings = NodeSettings()


class NodeView(msgspec.Struct, frozen=True):
    """What GET /status says: the node's id, and how it runs."""

    address: str
    config: NodeConfig = NodeConfig()

    @property
    def settings(self) -> NodeSettings:
        """Those in force."""
        return self.config.settings


class ZeroTierApi:
    """Asks the daemon whose home is ``home``.

    Port and token are read anew for each question, as a restart or reinstallation of the
    daemon changes them. Everything raises OverlayDown where the daemon does not answer as
    it should; what it does not know is None.
    """

    def __init__(self, home: Path, seconds: float | None = None) -> None:
        self._home = home
        self._seconds = seconds
        # Nothing here is TLS; without a context of our own httpx loads all CAs (40 ms).
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def node_id(self) -> str:
        """This node's id: 10 hexadecimal digits."""
        return self.node().address

    def node(self) -> NodeView:
        """This node itself."""
        status = self._ask("GET", "/status", NodeView)
        if status is None:
            raise self._unexpected("/status", "404")
        return status

    def local_conf(self) -> dict[str, Any]:
        """local.conf as the daemon has read or written it last, which says little of what is
        in force.
        """
        return self._ask("GET", "/config", dict[str, Any]) or {}

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Replace these keys of the settings in local.conf, which the daemon writes itself."""
        self._ask("POST", "/config/settings", dict[str, Any], settings)

    def network(self, network: str) -> NetworkView | None:
        """A network of this node; None where it has not joined."""
        return self._ask("GET", f"/network/{network}", NetworkView)

    def networks(self) -> list[JoinedNetwork]:
        """Every network that this node has joined."""
        return self._ask("GET", "/network", list[JoinedNetwork]) or []

    def peers(self) -> list[PeerView]:
        """Every node that this one speaks with."""
        return self._ask("GET", "/peer", list[PeerView]) or []

    def join(self, network: str) -> NetworkView | None:
        """Join. The answer is empty (no ``status``) where no device could be made."""
        return self._ask("POST", f"/network/{network}", NetworkView, {})

    def members(self, network: str) -> list[str] | None:
        """Ids of everyone who ever knocked or was let in; None: not ours to control."""
        found = self._ask("GET", f"/controller/network/{network}/member", dict[str, int])
        return None if found is None else sorted(found)

    def member(self, network: str, member: str) -> MemberView | None:
        """One member; None where there is none."""
        return self._ask("GET", f"/controller/network/{network}/member/{member}", MemberView)

    def authorise(self, network: str, member: str) -> MemberView | None:
        """Let a member in, before it knocked too; None: the network is not ours to control."""
        path = f"/controller/network/{network}/member/{member}"
        return self._ask("POST", path, MemberView, {"authorized": True})

    def _ask(
        self, method: str, path: str, kind: type[Body], body: dict[str, Any] | None = None
    ) -> Body | None:
        port, seconds = self._port(), self._seconds or TIMEOUT_SECONDS
        headers = {"X-ZT1-Auth": self._read(TOKEN)}
        import httpx  # not before somebody is there to ask: an edge does else without its 10 MB

        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                verify=self._tls,
                # A proxy of the environment has no business here.
                trust_env=False,
                timeout=seconds,
            ) as client:
                answer = client.request(method, path, headers=headers, json=body)
        except httpx.ConnectError as error:
            raise self._not_running(port) from error
        except httpx.TimeoutException as error:
            raise OverlayDown(
                f"zerotier-one on 127.0.0.1:{port} did not answer within {seconds:g} s",
                hint="systemctl restart zerotier-one (its networks are away for a moment)",
            ) from error
        except httpx.HTTPError as error:
            raise self._unexpected(path, f"{type(error).__name__} {error}") from error
        return self._understood(path, answer, kind)

    def _understood(self, path: str, answer: "httpx.Response", kind: type[Body]) -> Body | None:
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise OverlayDown(
                f"zerotier-one did not take the token of {self._home / TOKEN}",
                hint="is overlay.home the home of the daemon that runs? Else restart zerotier-one",
            )
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.status_code != HTTPStatus.OK:
            raise self._unexpected(path, str(answer.status_code))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._unexpected(path, str(error)) from error

    def _port(self) -> int:
        text = self._read("zerotier-one.port")
        if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
            raise OverlayDown(
                f"{self._home / 'zerotier-one.port'} holds no port",
                hint="systemctl restart zerotier-one writes it anew",
            )
        return int(text)

    def _read(self, name: str) -> str:
        path = self._home / name
        try:
            text = path.read_text("ascii").strip()
        except FileNotFoundError as error:
            raise OverlayDown(
                f"there is no {path}: zerotier-one has not run with this home",
                hint="install and start zerotier-one, or set overlay.home",
            ) from error
        except (OSError, ValueError) as error:
            raise OverlayDown(f"{path} can not be read: {error}", hint="run as root") from error
        if not text.isprintable() or not text:
            hint = "systemctl restart zerotier-one writes it anew"
            raise OverlayDown(f"{path} is empty or damaged", hint=hint)
        return text

    def _not_running(self, port: int) -> OverlayDown:
        return OverlayDown(
            f"zerotier-one does not run: nothing answers on 127.0.0.1:{port}",
            hint="systemctl start zerotier-one",
        )

    def _unexpected(self, path: str, what: str) -> OverlayDown:
        return OverlayDown(
            f"zerotier-one answered {path} in a way that is not known: {what}",
            hint="zerotier-cli info; this was made for ZeroTier 1.14",
        )

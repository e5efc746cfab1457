"""The one-time token that enrols a host: what `zthook edge host add` prints and `join` takes.

``zthook1.`` + base64url of JSON + ``.`` + CRC-32 of what stands before, in hex. The sum is
no protection, it tells a mistyped or cut-off token from one that the edge does not know.

``zthook2.`` says the same and which ZeroTier network the edge is in. An older zthook reads
``zthook1.`` alone, and says of the other that it wants an upgrade.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from ipaddress import ip_address
from typing import Annotated

import msgspec

from zthook.errors import TokenError
from zthook.wire.hushed import Hushed

PREFIX = "zthook1"
WITH_NETWORK = "zthook2"
PREFIXES = (PREFIX, WITH_NETWORK)
AGAIN = "copy it again from the edge, whole, or make a new one: zthook edge host add NAME"


class Token(Hushed, msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the edge is, how to know it, and the secret that it takes once.

    ``ca`` is the SHA-256 of the CA certificate's DER, hex; ``address`` the edge's on the
    overlay; ``secret`` is spent by the first enrolment. ``network`` is the id of the overlay
    where that is ZeroTier, ``moon`` the edge's node id where it is a moon, ``host`` whom the
    token is for, to tell its admin; else empty.
    """

    edge: str
    ca: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    address: str
    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)]
    secret: str
    network: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16})?$")] = ""
    moon: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{10})?$")] = ""
    host: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{0,63}$")] = ""


def _sum(text: str) -> str:
    return f"{binascii.crc32(text.encode()):08x}"


def write_token(token: Token) -> str:
    """The token as one line without blanks."""
    prefix = WITH_NETWORK if token.network or token.moon else PREFIX
    text = f"{prefix}.{urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip('=')}"
    return f"{text}.{_sum(text)}"


def read_token(text: str) -> Token:
    """Read what :func:`write_token` wrote; blanks and line breaks from a copy are ignored.

    Raises TokenError that says whether it is none of ours, cut off, mistyped, or of a newer
    version.
    """
    packed = "".join(text.split())
    prefix = packed.partition(".")[0]
    if prefix not in PREFIXES or "." not in packed:
        raise TokenError(_foreign(packed))
    body, _, checked = packed.rpartition(".")
    if body == prefix or len(checked) < 8:
        raise TokenError(f"the token is cut off after {len(packed)} characters", hint=AGAIN)
    if not packed.isascii() or checked.lower() != _sum(body):
        raise TokenError("the token is mistyped: its check sum is wrong", hint=AGAIN)
    return _content(body.removeprefix(f"{prefix}."))


def _foreign(packed: str) -> str:
    if packed and any(prefix.startswith(packed) for prefix in PREFIXES):
        return f"the token is cut off after {len(packed)} characters; copy it again"
    if packed.startswith("zthook") and packed[6:7].isdigit():
        kind = packed.partition(".")[0]
        ours = " and ".join(map(repr, PREFIXES))
        return f"the token is a {kind!r} one and this zthook reads {ours}: upgrade this host"
    ours = " or ".join(map(repr, PREFIXES))
    return f"this is no token: one begins with {ours} and is printed by zthook edge host add"


def _content(payload: str) -> Token:
    try:
        raw = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        token = msgspec.json.decode(raw, type=Token)
        ip_address(token.address)
    except ValueError as error:
        raise TokenError(f"the token holds what no edge writes: {error}", hint=AGAIN) from error
    return token

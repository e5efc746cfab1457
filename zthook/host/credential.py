"""What an enrolled host keeps: which edge it belongs to, and how it proves who it is."""

import os
import tempfile
from pathlib import Path

import msgspec

from zthook.errors import ConfigError, NotEnrolled
from zthook.wire.hushed import Hushed
from zthook.wire.messages import UNREADABLE

JOIN_HINT = "`zthook edge host add NAME` on the edge prints the command that enrols this host"


class Credential(Hushed, msgspec.Struct, frozen=True):
    """``edge`` is the edge's id, ``address`` its overlay address, ``host`` our name there."""

    edge: str
    address: str
    port: int
    host: str
    ca_pem: str
    credential: str

    @property
    def where(self) -> str:
        """The edge as people are told of it."""
        return f"{self.address}:{self.port}"


def load_credential(path: Path) -> Credential:
    """Read it. Raises NotEnrolled where there is none, ConfigError where it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credential)
    except FileNotFoundError as error:
        raise NotEnrolled("this host belongs to no edge", hint=JOIN_HINT) from error
    except UNREADABLE as error:
        raise ConfigError(
            f"{path}:1: the credential is damaged: {error}",
            hint=f"remove {path} and enrol this host again: {JOIN_HINT}",
        ) from error


def save_credential(path: Path, credential: Credential) -> None:
    """Write it, readable by root alone from the first byte on, all of it or nothing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(credential)))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise

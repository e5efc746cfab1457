"""What `zthook join` did to this machine's ZeroTier node, so that `leave` undoes that alone."""

from pathlib import Path

import msgspec

from zthook.errors import ConfigError
from zthook.overlay.node_api import NodeApi
from zthook.overlay.zerotier import ZeroTierOverlay
from zthook.wire.messages import UNREADABLE


class Entry(msgspec.Struct, frozen=True):
    """``home`` is the daemon's; ``network`` was joined and ``moon`` orbited, where not empty."""

    home: str
    network: str = ""
    moon: str = ""


def load_entry(path: Path) -> Entry | None:
    """What was done; None where nothing was. Raises ConfigError where the file is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Entry)
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise ConfigError(
            f"{path}:1: what join did to ZeroTier can not be read: {error}",
            hint=f"remove {path}; zerotier-cli leave NETWORK undoes it",
        ) from error


def enter(path: Path, home: Path, network: str, moon: str) -> Entry:
    """Join the network and orbit the moon, where this node does not yet; what was done so far.

    Each is written down before it is done: whatever ends us, `leave` undoes it, which harms
    nothing where it was not done. Raises OverlayDown.
    """
    api = NodeApi(home)
    done = load_entry(path) or Entry(str(home))
    if moon and all(one.node != moon for one in api.moons()):
        done = _keep(path, msgspec.structs.replace(done, moon=moon))
        api.orbit(moon)
    if api.network(network) is None:
        done = _keep(path, msgspec.structs.replace(done, network=network))
        ZeroTierOverlay(network, home).join()
    return done


def undo(path: Path) -> Entry | None:
    """Leave what join had entered; what that was. Raises OverlayDown, and can be tried again."""
    done = load_entry(path)
    if done is None:
        return None
    api = NodeApi(Path(done.home))
    if done.network:
        api.leave(done.network)
    if done.moon:
        api.deorbit(done.moon)
    path.unlink(missing_ok=True)
    return done


def _keep(path: Path, done: Entry) -> Entry:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(done))
    return done

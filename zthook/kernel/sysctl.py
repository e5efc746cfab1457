"""Settings under /proc/sys, written only where they differ."""

from pathlib import Path

from zthook.errors import KernelError

ROOT = Path("/proc/sys")


def read(path: str) -> str | None:
    """The setting's value, None where it is not there (its device is gone)."""
    try:
        return (ROOT / path).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KernelError(f"reading the setting {path}: {error.strerror}") from error


def write(path: str, value: str) -> bool:
    """Make the setting be ``value``; True where it was another, False also where it is gone."""
    found = read(path)
    if found is None or found == value:
        return False
    try:
        (ROOT / path).write_text(value, encoding="ascii")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise KernelError(
            f"setting {path} to {value}: {error.strerror}",
            hint="the daemon has to run as root, with /proc/sys writable",
        ) from error
    return True

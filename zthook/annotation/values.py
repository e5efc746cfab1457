"""Attribute values: text to model types. What publish.rng says with patterns, said here too."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TypeVar

from zthook.model.addresses import IPAddress, IPNetwork

Choice = TypeVar("Choice", bound=StrEnum)

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


class Wrong(Exception):
    """A value that can not be: ``what`` completes "public=… ", ``right`` says what to write."""

    def __init__(self, what: str, right: str) -> None:
        super().__init__(f"{what}; {right}")
        self.what = what
        self.right = right


def shown(text: str) -> str:
    """``text`` fit for a line of a terminal or a log: printable, and not endless."""
    short = text if len(text) <= 60 else text[:60] + "…"
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def nearest(name: str, known: tuple[str, ...]) -> str | None:
    """The one of ``known`` that was probably meant by ``name``."""
    found = get_close_matches(name[:60].lower(), known, n=1)
    return found[0] if found else None


def address(text: str) -> IPAddress:
    """An IPv4 or IPv6 address in its usual form: no zone, no dots in IPv6."""
    try:
        found = ip_address(text)
    except ValueError:
        raise Wrong("is not an address", _meant_address(text)) from None
    if "%" in text:
        raise Wrong("has a zone", f"write {text.split('%')[0]}")
    if found.version == 6 and "." in text:
        raise Wrong("mixes IPv6 and IPv4", f"write {found.ipv4_mapped or found}")
    return found


def _meant_address(text: str) -> str:
    bare = text.strip().split("/")[0]
    try:
        return f"write {ip_address(bare)}, without anything beside it"
    except ValueError:
        return "write an IPv4 address such as 203.0.113.10, or an IPv6 address"


def public(text: str) -> IPAddress | None:
    """An address; None for ``auto``."""
    if text == "auto":
        return None
    try:
        return address(text)
    except Wrong as wrong:
        right = "write auto" if nearest(text, ("auto",)) else f"{wrong.right}, or auto"
        raise Wrong(wrong.what, right) from None


def mac(text: str) -> str:
    """A MAC address, in lower case."""
    if not _MAC.fullmatch(text):
        digits = re.sub(r"[\s:.-]", "", text)
        usual = ":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower()
        known = re.fullmatch(r"[0-9A-Fa-f]{12}", digits)
        right = f"write {usual}" if known else "write six pairs of digits, as in 52:54:00:aa:00:01"
        raise Wrong("is not a MAC address", right)
    return text.lower()


def pool(text: str) -> str:
    """The name of a pool."""
    if not _POOL.fullmatch(text):
        raise Wrong("can not be a pool's name", "write the name as `zthook edge pool list` has it")
    return text


def port(text: str) -> int:
    """A port, 1 to 65535."""
    if not _NUMBER.fullmatch(text) or int(text) > 65535:
        if "-" in text:
            first = text.split("-")[0].strip()
            example = first if _NUMBER.fullmatch(first) else "8080"
            raise Wrong(
                "is not one port",
                f"write the port that the first one of listen goes to, as in {example}",
            )
        raise Wrong("is not a port", "write a number from 1 to 65535")
    return int(text)


def ports(text: str) -> tuple[int, int]:
    """A port or a range of them: first and last, in the order written."""
    first, dash, last = text.partition("-")
    try:
        return port(first), port(last if dash else first)
    except Wrong:
        right = "write a port such as 80, or a range such as 27000-27100 (1 to 65535)"
        raise Wrong("is neither a port nor a range", right) from None


def prefix(text: str) -> IPNetwork:
    """An address or a prefix ``A/N``; host bits are dropped (``host_bits`` tells of them)."""
    base, slash, length = text.partition("/")
    try:
        first = address(base)
    except Wrong:
        right = "write a prefix such as 198.51.100.0/24, or an address"
        raise Wrong("is not a prefix", right) from None
    longest = first.max_prefixlen
    if slash and not (_LENGTH.fullmatch(length) and int(length) <= longest):
        right = f"write {first}/N with N from 0 to {longest}"
        raise Wrong("has no such prefix length", _meant_prefix(text) or right)
    return ip_network((first, int(length) if slash else longest), strict=False)


def _meant_prefix(text: str) -> str | None:
    try:
        return f"write {ip_network(text, strict=False)}"
    except ValueError:
        return None


def host_bits(text: str) -> Wrong | None:
    """What is wrong with a readable prefix whose address is not its first one."""
    network = prefix(text)
    if address(text.partition("/")[0]) == network.network_address:
        return None
    return Wrong("has host bits set", f"write {network}")


def choice(kind: type[Choice]) -> Callable[[str], Choice]:
    """One of an enumeration's words."""
    words = tuple(member.value for member in kind)

    def read(text: str) -> Choice:
        if text not in words:
            near = nearest(text, words)
            quoted = [f'"{word}"' for word in words]
            raise Wrong(
                "is not known", f'write "{near}"' if near else f"write {' or '.join(quoted)}"
            )
        return kind(text)

    return read


def yes_or_no(text: str) -> bool:
    """``yes`` or ``no``."""
    if text in {"yes", "no"}:
        return text == "yes"
    meant = {"true": "yes", "1": "yes", "on": "yes", "false": "no", "0": "no", "off": "no"}
    word = meant.get(text.lower()) or nearest(text, ("yes", "no"))
    raise Wrong("is neither yes nor no", f'write "{word}"' if word else 'write "yes" or "no"')

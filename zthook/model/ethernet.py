"""Where a MAC address is part of something longer."""

from ipaddress import IPv6Address, IPv6Network

DUID_WITH_TIME, DUID_PLAIN, ETHERNET = 1, 3, 1
"""Kinds of DUID that end with a MAC, and the hardware type of one (RFC 8415, RFC 826)."""


def mac_of_duid(text: str) -> str | None:
    """The MAC (lower case) in a DHCPv6 identifier written as bytes in hex with colons.

    None where it holds none, or is no identifier. Byte for byte what the client says: a MAC
    that it had when the identifier was made, maybe of another of its interfaces.
    """
    try:
        parts = bytes(int(part, 16) for part in text.split(":"))
    except ValueError:
        return None
    kind, hardware = int.from_bytes(parts[:2]), int.from_bytes(parts[2:4])
    mac = parts[{DUID_WITH_TIME: 8, DUID_PLAIN: 4}.get(kind, len(parts)) :]
    return mac.hex(":") if hardware == ETHERNET and len(mac) == 6 else None


def stable_address(prefix: IPv6Network, mac: str) -> IPv6Address | None:
    """What an interface calls itself in ``prefix`` by its MAC (EUI-64); only a /64 has such."""
    if prefix.prefixlen != 64:
        return None
    raw = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((raw[0] ^ 2, *raw[1:3], 0xFF, 0xFE, *raw[3:]))
    return prefix[int.from_bytes(interface)]

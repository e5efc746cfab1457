"""The MAC that a ZeroTier member has: it follows from its node id and the network's."""

_NODE_BITS = (1 << 40) - 1


def member_mac(network: str, member: str) -> str:
    """The MAC of ``member`` (10 hex digits) in ``network`` (16), as every node reckons it.

    Nobody has to be asked, and nobody can have another's: ZeroTier carries no frame of a
    member that bears another MAC, unless the controller allowed it to bridge.
    """
    mac = _mask(network) ^ int(member, 16)
    return mac.to_bytes(6, "big").hex(":")


def member_of(network: str, mac: str) -> str | None:
    """Whose MAC it is in ``network``; None where it is no member's own (one bridges it)."""
    member = _mask(network) ^ int.from_bytes(bytes.fromhex(mac.replace(":", "")), "big")
    return f"{member:010x}" if member <= _NODE_BITS else None


def _mask(network: str) -> int:
    """What every member's MAC has of the network's id."""
    number = int(network, 16)
    first = (number & 0xFE) | 0x02
    first = 0x32 if first == 0x52 else first  # 52: is what other makers of virtual devices take
    mask = first << 40
    for place, shift in enumerate((8, 16, 24, 32, 40)):
        mask ^= ((number >> shift) & 0xFF) << (32 - 8 * place)
    return mask

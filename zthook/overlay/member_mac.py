"""The MAC that a ZeroTier member has: it follows from its node id and the network's."""


def member_mac(network: str, member: str) -> str:
    """The MAC of ``member`` (10 hex digits) in ``network`` (16), as every node reckons it.

    Nobody has to be asked, and nobody can have another's: ZeroTier carries no frame of a
    member that bears another MAC, unless the controller allowed it to bridge.
    """
    number = int(network, 16)
    first = (number & 0xFE) | 0x02
    first = 0x32 if first == 0x52 else first  # 52: is what other makers of virtual devices take
    mac = (first << 40) | int(member, 16)
    for place, shift in enumerate((8, 16, 24, 32, 40)):
        mac ^= ((number >> shift) & 0xFF) << (32 - 8 * place)
    return mac.to_bytes(6, "big").hex(":")

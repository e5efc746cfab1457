"""The bytes that transfers carry: each line is its own position, so nothing goes missing unseen."""

BLOCK = b"".join(b"%015d\n" % (16 * line) for line in range(4096))
"""64 KiB; the pattern repeats it (the same in tests/lab/guest/service)."""


def pattern(count: int) -> bytes:
    """The first ``count`` bytes of the pattern."""
    return (BLOCK * (count // len(BLOCK) + 1))[:count]

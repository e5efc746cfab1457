"""Finding out that a connection on which nothing is said for minutes is dead: the kernel asks."""

import socket

IDLE_SECONDS, BETWEEN_SECONDS, ASKED = 30, 10, 3

KEEPALIVE: tuple[tuple[int, int, int], ...] = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, BETWEEN_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASKED),
)
"""For ``setsockopt``; what a listening socket has, those that it accepts have too. Dead for a
minute is over: ``IDLE_SECONDS + ASKED * BETWEEN_SECONDS``.
"""

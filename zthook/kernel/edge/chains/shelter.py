"""What stands before guests whose clients are hidden, when a port of theirs is flooded.

Who hides clients has one address for all of them, so each connection to a guest's port takes
one of 64,512 ports: a thousand SYN/s whose senders never answer are enough to use them up
within a minute. So a port at which more than ``LIMIT`` connections a second begin is *besieged*
for a minute: of what arrives for it nothing is remembered, and the kernel answers in the
guest's place (with SYN cookies), until a client has shown that it is there. Only those get
through. Ports that nobody floods, and guests that see their clients, never come here.
"""

from zthook.kernel.edge.chains.chain import Rules
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import Family

LIMIT = 300
"""Connections a second to one port; half-open ones go after 20 s, so 6,000 of the ports."""
SIEGE = "60s"
SIZE = 65535
OPENS = "tcp flags & (fin | syn | rst | ack) == syn"
GOES_ON = "tcp flags & (fin | syn | rst | ack) == ack"
COOKIE = "synproxy mss 1220"
"""No other option of TCP: a kernel that speaks for a guest does not know which the guest has, and
wrong time stamps stop a connection. 1220 is what every overlay that carries IPv6 can carry."""
TIMEOUTS = "syn_sent: 20, syn_recv: 20, time_wait: 60"
"""Seconds for which half-open and ended connections keep their ports; clients and guests keep
ended ones for 60 too (Linux' TCP_TIMEWAIT_LEN), the kernel's connection table for 120."""


def definitions(of: Family) -> tuple[str, ...]:
    """The sets that the kernel itself fills, by public address and port, and the timeouts."""
    s, kind = of.suffix, f"ipv{of.version}_addr . inet_service"
    return (
        f"set opened{s} {{ type {kind}; size {SIZE}; flags dynamic; timeout {SIEGE}; }}",
        f"set besieged{s} {{ type {kind}; size {SIZE}; flags dynamic,timeout; timeout {SIEGE}; }}",
        f"ct timeout hidden{s} {{ protocol tcp; l3proto {of.ip}; policy = {{ {TIMEOUTS} }}; }}",
    )


def _at(of: Family) -> str:
    """A port under siege, as long as its address has a mapping that hides clients."""
    address = f"{of.ip} daddr"
    return f"{address} . tcp dport @besieged{of.suffix} {address} @guarded{of.suffix}"


def untracked(of: Family, shape: Shape) -> Rules:
    """Before connections are tracked."""
    rule = f"{OPENS} {_at(of)} iifname @uplinks notrack accept"
    return ((rule, "besieged: nothing is remembered"),) if shape.hidden else ()


def untranslated(of: Family, shape: Shape) -> Rules:
    """What goes on with no connection: the cookie's way back to who gave it out."""
    rule = f"{GOES_ON} {_at(of)} iifname @uplinks accept"
    return ((rule, "besieged: as it arrived"),) if shape.hidden else ()


def counted(of: Family) -> Rules:
    """For what is about to begin a TCP connection to a guest whose clients are hidden."""
    key = f"ct original {of.ip} daddr . ct original proto-dst"
    over = f"limit rate over {LIMIT}/second burst {LIMIT} packets"
    return (
        (f'ct timeout set "hidden{of.suffix}"', "half-open ones are short of ports"),
        (
            f"meta l4proto tcp update @opened{of.suffix} {{ {key} {over} }}"
            f" update @besieged{of.suffix} {{ {key} }}",
            "too many begin at this port",
        ),
    )


def asked(of: Family, shape: Shape) -> Rules:
    """Where forwarded packets, and the edge's own, are about to be dropped."""
    new = "meta l4proto tcp ct state new,invalid,untracked"
    rule = f"{new} iifname @uplinks jump cookies{of.suffix}"
    return ((rule, "besieged: who is it?"),) if shape.hidden else ()


def cookies(of: Family) -> Rules:
    """What is answered in the guest's place, and what begins a connection to it."""
    return (
        (f"{OPENS} ct state untracked {_at(of)} {COOKIE}", "a cookie"),
        (f"{GOES_ON} ct state new,invalid {_at(of)} {COOKIE}", "the cookie, brought back"),
    )

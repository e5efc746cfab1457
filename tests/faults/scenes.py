"""Each kind of thing that changes something at an edge, once, in a busy enough company."""

from dataclasses import replace

from tests.edge.world import OTHER_POOL, POOL
from tests.faults.play import (
    CONFIGURED,
    Scene,
    claims,
    claims_all,
    flushes,
    leaves,
    lists,
    loses_routes,
    moves,
    opens,
    permits,
    pools,
    reboots,
    releases,
    removes,
    reserves,
    silent,
    ticks,
    together,
    unclaims,
)
from zthook.model.addresses import AddressRange, Pool

P, Q, R = "203.0.113.10", "203.0.113.11", "203.0.113.12"
A, B, C = "192.168.122.51", "192.168.122.52", "192.168.122.53"
OWN = str(CONFIGURED)
THIRD_POOL = Pool("new", (AddressRange.parse("192.0.2.8/30"),), "up1")
TRANSLATED = replace(POOL, arrives_as=(AddressRange.parse("10.9.9.10-10.9.9.14"),))
HELD = (claims("home1", 1, P, A), claims("home3", 3, R, C))
ROUTED = (claims("home1", 1, P, A, mode="routed"), claims("home3", 3, R, C))
GONE = claims("home1", 1, P, A, leaving=True)

SCENES = (
    Scene("a grant", (), (claims("home1", 1, P, A),)),
    Scene("a grant of what the edge has itself", HELD, (claims("home1", 2, OWN, B),)),
    Scene("a grant in mode routed", HELD, (claims("home2", 2, Q, B, mode="routed"),)),
    Scene("a routed grant of its own", HELD, (claims("home2", 2, OWN, B, mode="routed"),)),
    Scene("two grants in one list", (), (claims_all("home1", (1, P, A), (2, Q, B)),)),
    Scene("an auto", HELD, (claims("home2", 2, "auto/tw/0", B),)),
    Scene("an address becomes known", (claims("home1", 1, P, None),), (claims("home1", 1, P, A),)),
    Scene("a reservation", HELD, (reserves("home1", 2, Q), claims("home1", 2, Q, B))),
    Scene("a withdrawal", HELD, (unclaims("home1", 1, P),)),
    Scene("a routed withdrawal", ROUTED, (unclaims("home1", 1, P),)),
    Scene(
        "a withdrawal that another waits for",
        (*HELD, claims("home2", 2, P, B)),
        (unclaims("home1", 1, P), lists("home2")),
    ),
    Scene(
        "other ports",
        (claims("home1", 1, P, A, ports=["tcp/80", "tcp/443"]), HELD[1]),
        (claims("home1", 1, P, A, ports=["tcp/443", "tcp/8080:80"]),),
    ),
    Scene("ports of a whole address", HELD, (claims("home1", 1, P, A, ports=["tcp/80"]),)),
    Scene(
        "the whole of an address by ports",
        (claims("home1", 1, P, A, ports=["tcp/80"]),),
        (claims("home1", 1, P, A),),
    ),
    Scene(
        "a second guest's ports",
        (claims("home1", 1, P, A, ports=["tcp/80"]),),
        (claims("home2", 2, P, B, ports=["tcp/443"]),),
    ),
    Scene("an allow list", HELD, (claims("home1", 1, P, A, allow=["198.51.100.0/24"]),)),
    Scene(
        "no allow list",
        (claims("home1", 1, P, A, allow=["192.0.2.0/24"]),),
        (claims("home1", 1, P, A),),
    ),
    Scene("public egress", HELD, (claims("home1", 1, P, A, egress="public"),)),
    Scene("from nat to routed", HELD, (claims("home1", 1, P, A, mode="routed"),)),
    Scene("from routed to nat", ROUTED, (claims("home1", 1, P, A),)),
    Scene("the client hidden", HELD, (claims("home1", 1, P, A, client="hide"),)),
    Scene("another private address", HELD, (claims("home1", 1, P, B),)),
    Scene(
        "two guests swap",
        (*HELD, claims("home1", 2, Q, B)),
        (claims_all("home1", (1, P, B), (2, Q, A)),),
    ),
    Scene("a move in the group", HELD, (claims("home2", 1, P, A), unclaims("home1", 1, P))),
    Scene(
        "a routed move", ROUTED, (claims("home2", 1, P, A, mode="routed"), unclaims("home1", 1, P))
    ),
    Scene("a move to another address", HELD, (claims("home2", 1, P, B), unclaims("home1", 1, P))),
    Scene(
        "a move that is handed over",
        HELD,
        (GONE, claims("home3", 1, P, A), unclaims("home1", 1, P)),
    ),
    Scene(
        "a move that is handed over late",
        HELD,
        (claims("home3", 1, P, A), GONE, unclaims("home1", 1, P), lists("home3")),
    ),
    Scene(
        "a lease that ends",
        (*HELD, claims("home2", 2, P, B)),
        (silent(61, "home1"), lists("home2"), lists("home1")),
    ),
    Scene("a grace that ends", HELD, (silent(700, "home1"), lists("home1"))),
    Scene(
        "a private address of a host that is away",
        HELD,
        (together(silent(61, "home1"), claims("home2", 2, Q, A)), lists("home1")),
    ),
    Scene("a host that is removed", (*HELD, claims("home2", 2, P, B)), (removes("home1"),)),
    Scene("a host that leaves", HELD, (leaves("home1"),)),
    Scene("a host with fewer pools", HELD, (permits("home1", pools=["tw"]), lists("home1"))),
    Scene("a pool more", HELD, (pools(POOL, OTHER_POOL, THIRD_POOL),)),
    Scene("a pool less", HELD, (pools(POOL),)),
    Scene("a pool at another uplink", HELD, (pools(replace(POOL, uplink="up1"), OTHER_POOL),)),
    Scene("a pool that arrives translated", HELD, (pools(TRANSLATED, OTHER_POOL),)),
    Scene(
        "a release",
        (claims("home1", 1, "auto/hk/0", A), unclaims("home1", 1, "auto/hk/0")),
        (releases(P),),
    ),
    Scene("a release of one that is away", HELD, (together(silent(61, "home1"), releases(P)),)),
    Scene("a new agent", HELD, (opens("home1", "second"),)),
    Scene("another next hop", HELD, (moves("home1", 111), lists("home1"))),
    Scene("a flush", HELD, (flushes,)),
    Scene(
        "the overlay away and back",
        (*HELD, claims("home2", 2, Q, B, mode="routed")),
        (loses_routes,),
    ),
    Scene("a reboot", (*HELD, claims("home2", 2, OWN, B, mode="routed")), (reboots, ticks)),
)

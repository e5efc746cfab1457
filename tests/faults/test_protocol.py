"""The protocol between hosts and edge, explored: every order of everything, for few of each.

Two guests want one address, or one guest goes from host to host; messages arrive late, twice or
never, hosts are silent past their lease and wake, agents and the edge's daemon are restarted.
"""

import logging
from collections.abc import Iterator
from itertools import combinations

import pytest

from tests.faults.explorer import Explorer
from tests.faults.promises import check, rest
from tests.faults.protocol import Start

NOTHING = dict.fromkeys(("moves", "losses", "doubles", "sleeps", "agents", "edges", "stops"), 0)
GROUP: dict[str, str | None] = {"home1": "rack", "home2": "rack"}
STRANGERS: dict[str, str | None] = {"home1": None, "home2": None}
THREE: dict[str, str | None] = {"home1": "rack", "home2": "rack", "home3": None}
ONE, RIVALS = {1: "home1"}, {1: "home1", 2: "home2"}


def start(groups: dict[str, str | None], guests: dict[int, str], **may: int) -> Start:
    return Start(groups, guests, NOTHING | may)


SMALL = {
    "a move in a group": (start(GROUP, ONE, moves=1), 400),
    "a move in a group, and back": (start(GROUP, ONE, moves=2), 1500),
    "a move between strangers": (start(STRANGERS, ONE, moves=1), 200),
    "a guest that stays, with an agent that restarts": (start(GROUP, ONE, agents=1), 300),
    "rivals, one of whom sleeps": (start(STRANGERS, RIVALS, sleeps=1), 400),
    "rivals, one of whom stops": (start(STRANGERS, RIVALS, stops=1), 250),
}
"""With how many states there are at least."""
FAULTS = ("losses", "doubles", "sleeps", "agents", "edges", "stops")
LARGE = {
    "moves between strangers, and back": start(STRANGERS, ONE, moves=2),
    "a move from a rival's host": start(STRANGERS, RIVALS, moves=1),
    **{
        f"moves in a group, with {fault}": start(GROUP, ONE, moves=2, **{fault: 1})
        for fault in FAULTS
    },
    **{
        f"a move between strangers, with {fault}": start(STRANGERS, ONE, moves=1, **{fault: 1})
        for fault in FAULTS
    },
    **{
        f"a move that a rival waits for, with {fault}": start(GROUP, RIVALS, moves=1, **{fault: 1})
        for fault in FAULTS
    },
    **{
        f"rivals, with {one} and {other}": start(STRANGERS, RIVALS, **{one: 1, other: 1})
        for one, other in combinations(FAULTS, 2)
    },
    "moves among three hosts": start(THREE, ONE, moves=2),
}
EVERY = 10
"""Of so many states one is also let come to rest, which costs ten times as much as a step."""


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    """The edge has much to say of all that."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def explore(name: str, begin: Start) -> int:
    """How many states there are."""
    found = Explorer(check, rest, EVERY).explore(begin)
    print(
        f"\n  {name}: {found.states} states, {found.transitions} steps, "
        f"at most {found.deepest} in a row; {found.rested} came to rest"
    )
    assert found.rested, "none came to rest"
    return found.states


@pytest.mark.parametrize("name", SMALL)
def test_every_order_of_a_few_things(name: str) -> None:
    begin, states = SMALL[name]
    assert explore(name, begin) >= states


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LARGE)
def test_every_order_of_more(name: str) -> None:
    assert explore(name, LARGE[name]) > 500

"""Other rules in place of those that the edge's table has, with no packet lost between them."""

from collections.abc import Collection
from dataclasses import dataclass

from zthook.kernel.edge.elements import less, together
from zthook.kernel.edge.rules import (
    FAMILY,
    TABLE,
    Transaction,
    counting,
    key_of,
    rules,
    statements,
)
from zthook.kernel.edge.sets import Elements


@dataclass(frozen=True, slots=True)
class Former:
    """What the table has: its chains, the elements of its sets that have our form, and of all
    else what it is and its name, such as "set served" or "ct timeout hidden".
    """

    chains: Collection[str]
    elements: Elements
    others: Collection[str]


def replaced(change: Transaction, former: Former) -> str:
    """What ``render`` says of new rules, but what stays the same is not touched.

    A chain that is deleted is asked until the kernel comes to it, by when the elements of its
    sets are gone already: what it lets through by them is dropped for up to a millisecond.
    A chain that stays has its other rules at once.
    """
    wanted = together(change.refill, change.add)
    kept = {name: wanted.get(name, frozenset()) for name in former.elements}
    surplus = {name: map(key_of, some) for name, some in less(former.elements, kept).items()}
    missing = {
        name: [counting(name, one, change) for one in some]
        for name, some in less(wanted, former.elements).items()
    }
    gone = set(former.chains) - {one.name for one in change.rules}
    lines = [
        *(f"flush chain {FAMILY} {TABLE} {name}" for name in sorted(former.chains)),
        *statements("delete", surplus),
        *(f"delete {_placed(one)}" for one in sorted(former.others)),
        *(f"delete chain {FAMILY} {TABLE} {name}" for name in sorted(gone)),
        rules(change.rules),
        *statements("add", missing),
    ]
    return "".join(f"{line}\n" for line in lines)


def _placed(one: str) -> str:
    kind, _, name = one.rpartition(" ")
    return f"{kind} {FAMILY} {TABLE} {name}"

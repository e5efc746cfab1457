"""Every state that can be reached, breadth first, each looked at once."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.faces import face
from tests.faults.protocol import Action, Frozen, Protocol, Start, thawed


@dataclass
class Found:
    """How much there was; ``rested`` are those that were let come to rest."""

    states: int = 0
    transitions: int = 0
    rested: int = 0
    deepest: int = 0


@dataclass(frozen=True)
class Node:
    """A state that is still to be left, and how it was come to."""

    frozen: Frozen
    path: tuple[Action, ...] = ()


Check = Callable[[Protocol, Action, Protocol], None]


@dataclass
class Explorer:
    """``check`` is called with each step's ends, ``rest`` with each ``every``-th state."""

    check: Check
    rest: Callable[[Protocol], None]
    every: int = 1
    most: int = 1_000_000
    found: Found = field(default_factory=Found)

    def explore(self, start: Start) -> Found:
        """All of it; AssertionError with the way there where something does not hold."""
        first = Protocol(start)
        seen = {face(first)}
        waiting = deque([Node(first.frozen())])
        while waiting:
            node = waiting.popleft()
            self.found.states += 1
            self.found.deepest = max(self.found.deepest, len(node.path))
            assert self.found.states <= self.most, "more states than expected"
            waiting += self._from(node, seen)
        return self.found

    def _from(self, node: Node, seen: set[object]) -> list[Node]:
        before, new = thawed(node.frozen), []
        if self.found.states % self.every == 0:
            self._tried(node.path, lambda: self._rested(node))
        for action in before.actions():
            same = None if before.reaches_the_edge(action) else before.edge
            after = thawed(node.frozen, same)
            path = (*node.path, action)
            self._tried(path, lambda after=after, action=action: after.apply(action))
            self.found.transitions += 1
            self._tried(path, lambda after=after, action=action: self.check(before, action, after))
            looks = face(after)
            if looks not in seen:
                seen.add(looks)
                new.append(Node(after.frozen(), path))
        return new

    def _rested(self, node: Node) -> None:
        self.rest(thawed(node.frozen))
        self.found.rested += 1

    @staticmethod
    def _tried(path: tuple[Action, ...], act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            way = "\n  ".join(" ".join(action) for action in path)
            raise AssertionError(f"{error}\nafter\n  {way}") from error

"""The edge's daemon ends at every durable step of everything it does, and at those of the start
that follows: the next one finds all it needs in the store and the kernel.
"""

from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.deaths import Fate
from tests.faults.play import Act, Play, Scene, survives
from tests.faults.scenes import SCENES
from zthook.kernel.edge.fake import Crash

EVERY_SCENE = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
AN_ACT = 2
"""Deaths in each act at least: before a commit and after it, or before a change and its answer."""
MANY = 400
"""No act has more moments."""


def begin(scene: Scene, store: Path | None = None) -> Play:
    play = Play(Fate(), store)
    for act in scene.before:
        act(play)
    play.connect()
    return play


def live_on(play: Play, acts: tuple[Act, ...]) -> None:
    """The rest of it, without any death."""
    play.fate.end_at(None)
    for act in acts:
        act(play)
    play.assert_sound()


def undisturbed(scene: Scene) -> tuple[object, ...]:
    """How it ends where nobody dies."""
    play = begin(scene)
    live_on(play, scene.acts)
    return play.outcome()


def start(play: Play, end: int | None) -> bool:
    """Whether a daemon that starts now, and is to die at its ``end``-th moment, lives."""
    play.fate.end_at(end)
    try:
        play.start_anew()
    except Crash:
        return False
    return True


class Deaths:
    """Of one scene: at each moment of each of its acts in turn, and of the start after it."""

    def __init__(self, scene: Scene, store: Path | None = None) -> None:
        self.count = 0
        self._scene = scene
        self._store = store
        self._wanted = undisturbed(scene)

    def everywhere(self, *, again: bool = False) -> int:
        """How many there were; with ``again`` every start is killed at its every moment too."""
        for number in range(len(self._scene.acts)):
            moments = range(MANY)
            assert not all(self._at(number, moment, again=again) for moment in moments), "no end"
        return self.count

    def _at(self, number: int, moment: int, *, again: bool) -> bool:
        """Whether the act has that moment."""
        if not self._die(number, moment, None):
            return False
        if again:
            assert not all(self._die(number, moment, second) for second in range(MANY)), "no end"
        return True

    def _die(self, number: int, moment: int, second: int | None) -> bool:
        """Whether there were such deaths; if so all ends as it does without."""
        acts, file = self._scene.acts, None
        if self._store is not None:
            file = self._store / f"{self.count}-{number}-{moment}.sqlite"
        with closing(begin(self._scene, file)) as play:
            for act in acts[:number]:
                act(play)
            play.fate.end_at(moment)
            if survives(play, acts[number]):
                return False
            if start(play, second):
                if second is not None:
                    return False
            else:
                assert start(play, None)
            self.count += 1
            play.fate.end_at(None)
            play.assert_sound()
            live_on(play, acts[number:])
            assert play.outcome() == self._wanted, (self._scene.name, number, moment, second)
        return True


@pytest.mark.long
@EVERY_SCENE
def test_whatever_step_of_the_start_after_it_was_the_last_too(scene: Scene) -> None:
    deaths = Deaths(scene).everywhere(again=True)
    print(f"\n  {scene.name}: {deaths} deaths")
    assert deaths > AN_ACT * len(scene.acts)


@EVERY_SCENE
def test_whatever_step_was_the_last_the_next_daemon_makes_good(
    scene: Scene, tmp_path: Path
) -> None:
    deaths = Deaths(scene, tmp_path).everywhere()
    print(f"\n  {scene.name}: {deaths} deaths")
    assert deaths >= AN_ACT * len(scene.acts)

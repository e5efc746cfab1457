"""Namespaces and a folder that stand while a block runs, and of which nothing is left then."""

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.commands import LabError
from tests.lab.namespace import NETNS, Namespace, end_processes_in
from tests.lab.sweep import FOLDERS, attempt_all, clear, prefix_of, sweep

_numbers = itertools.count(900)
"""As labs have them, from 1: whoever sweeps after a lab that was killed sweeps here too."""


class Premises:
    """A context manager, for root; ``build`` makes what a subclass needs, in namespaces made by
    ``namespace``, and files in ``folder``. ``ends`` are to be carried out at the end, once all
    processes in there have ended.
    """

    folder: Path
    ends: list[Callable[[], object]]

    def __init__(self) -> None:
        self._prefix = prefix_of(os.getpid(), next(_numbers))
        self.ends = []

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise LabError("this needs root, as its network is in namespaces")
        sweep()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=self._prefix, dir=FOLDERS))
            self.build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all that runs there, and leave nothing."""
        paths = sorted(NETNS.glob(f"{self._prefix}*"))
        steps = [lambda: end_processes_in(paths), *self.ends, lambda: clear(self._prefix)]
        attempt_all(f"{self._prefix} can not be cleaned up", steps)

    def build(self) -> None:
        """Called once, at the beginning of the block."""
        raise NotImplementedError

    def namespace(self, name: str) -> Namespace:
        """A network namespace of this one's."""
        return Namespace.create(f"{self._prefix}{name}")

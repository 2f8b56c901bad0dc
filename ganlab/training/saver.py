"""The checkpoints of a run, written while its GPU goes on training."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.training.checkpoint import Checkpoint, Checkpoints, Content, Provenance, Report

if TYPE_CHECKING:
    from torch import Tensor

    from ganlab.training.state import State


class Saver:
    """Saves the checkpoints of one run, `behind` its training where a GPU computes meanwhile.

    To hash and write a DCGAN takes a third of a second, and to copy it from the GPU a twentieth of that. There is one
    write at a time; what has gone wrong in it is raised by the next call, and no call but `look` returns before it has
    ended.
    """

    def __init__(self, directory: Path, keep: int, report: Report, behind: bool) -> None:
        """Keep the newest `keep` in `directory`; `report` gets sentences for people, from whoever calls, no thread."""
        self._keep, self._report, self._behind = keep, report, behind
        self._notes: list[str] = []
        self._checkpoints = Checkpoints(directory, keep, self._notes.append)
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._content: Content | None = None
        self.saved: int | None = None
        """The iteration of the newest checkpoint that is there, as far as this knows."""

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is intact; raises as `Checkpoints.newest` does."""
        self.wait()
        with self._reporting():
            found = self._checkpoints.newest()
        self.saved = None if found is None else found.manifest.iteration
        return found

    def save(self, state: State, buffers: Tensor, provenance: Provenance) -> None:
        """Save the state as it is now; `buffers` are those of all ranks, a row each. Raises `RunError`."""
        self.wait()
        content = Content.of(state, buffers, provenance)
        if self._behind:
            self._thread = self._thread or ThreadPoolExecutor(1, "checkpoint")
            self._writing, self._content = self._thread.submit(self._write, content), content
        else:
            with self._reporting():
                self._write(content)

    def delete_old(self) -> None:
        """Delete all but the newest."""
        self.wait()
        with self._reporting():
            self._checkpoints.delete_old()

    def look(self) -> None:
        """Raise what has gone wrong in a write that has ended."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until all is written; raise what has gone wrong."""
        writing, self._writing, self._content = self._writing, None, None
        if writing is not None:
            with self._reporting():
                writing.result()

    def move_to(self, directory: Path) -> None:
        """Go on in `directory`, to which the checkpoints were moved; a write that has failed for that is repeated."""
        content, written = self._content, self._succeeded()
        self._checkpoints = Checkpoints(directory, self._keep, self._notes.append)
        with self._reporting():
            if content is not None and not written:
                self._write(content)

    def close(self) -> None:
        """Wait until nothing writes any more. Raises nothing: something else has gone wrong, and that is the news."""
        self._succeeded()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _succeeded(self) -> bool:
        """Wait, and tell whether all was written."""
        try:
            self.wait()
        except Exception:  # noqa: BLE001  # whatever it is, whoever asks knows what to do
            return False
        return True

    def _write(self, content: Content) -> None:
        self._checkpoints.save(content)
        self.saved = content.iteration

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        finally:
            notes, self._notes[:] = list(self._notes), []
            for text in notes:
                self._report(text)

"""The only errors a user should see: each says what is wrong, where, and what to do instead."""

from __future__ import annotations

import traceback
from pathlib import Path


class GanlabError(Exception):
    """A mistake with a known remedy. The command line prints it without a traceback and exits with `exit_code`."""

    exit_code: int = 2
    """1 where something failed, 2 where something was asked for wrongly, 128 and more after a signal."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, keep="\n\t"))

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of a traceback: the place where the user has called, and the words."""
        frames = traceback.extract_tb(self.__traceback__)
        called = [frame for frame in frames if Path(__file__).parent not in Path(frame.filename).parents]
        where = [f"line {called[-1].lineno}: {called[-1].line}"] if called and called[-1].line else []
        return [*where, f"{type(self).__name__}: {self}"]


class RecipeError(GanlabError):
    """One or more mistakes in a recipe, all found at once, one per line: `file:line: key: what, what instead`."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = [printable(problem) for problem in problems]
        super().__init__("\n".join(self.problems))


class PluginError(GanlabError):
    """A component that is not installed, cannot be loaded, or breaks a rule of its interface."""


class DataError(GanlabError):
    """Pictures that are missing, unreadable or of a shape that cannot be trained on."""


class ArtefactError(GanlabError):
    """A generator file, checkpoint or cache that is not what it should be."""


class RunError(GanlabError):
    """A run or an export that failed by itself: non-finite loss, full disk, a graph that differs from torch."""

    exit_code = 1


class NonFiniteError(RunError):
    """Training met NaN or an infinite value. No checkpoint holds one."""

    def __init__(self, what: str, iteration: int) -> None:
        self.what, self.iteration = what, iteration
        super().__init__(
            f"{self.sentence}; nothing was saved after that. "
            f'Continue the run with train.on_nonfinite = "rollback", which tries again from the last checkpoint with '
            f'other random numbers, or start a new one with a lower optimizer.lr or train.precision = "fp32"'
        )

    @property
    def sentence(self) -> str:
        """What has happened, without advice."""
        return f"{self.what} became NaN or infinite at iteration {self.iteration}"


class RankError(RunError):
    """Another rank has failed and says why itself; this one only ends."""


class LostRankError(RankError):
    """An exchange with another rank has failed: it has `ended` before this one, or does not answer."""

    def __init__(self, what: str, remedy: str, ended: bool, iteration: int | None = None) -> None:
        self.what, self.remedy, self.ended = what, remedy, ended
        place = "" if iteration is None else f" at iteration {iteration}"
        super().__init__(f"{what}{place}; {remedy}")


class Interrupted(GanlabError):  # noqa: N818  # not an error of anybody's
    """A run stopped by a signal. `directory` is where its state was saved, or None where nothing had begun."""

    def __init__(self, message: str, signal_number: int, directory: Path | None = None) -> None:
        super().__init__(message)
        self.signal_number, self.directory = signal_number, directory
        self.exit_code = 128 + signal_number


def printable(text: str, keep: str = "") -> str:
    """Return `text` so that nothing in it steers a terminal or turns letters around: a stranger's may hold anything.

    Line breaks are escaped, too, for they could pass for another line of ours; `keep` names what stays nevertheless.
    """
    if text.isprintable():  # a report's pictures are megabytes of text
        return text
    return "".join(letter if letter.isprintable() or letter in keep else ascii(letter)[1:-1] for letter in text)

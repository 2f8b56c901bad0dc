"""Words for people: what was probably meant, lists, and text of strangers made safe to print."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, GeneratorType

from ganlab.errors import printable as printable

LAYOUT = "\n\t"
"""What of a text of ours is not printable and stays."""

_at_command_line = False


@contextmanager
def at_command_line() -> Iterator[None]:
    """Until the block ends, call in messages what a reader can give by the command line's names, else by Python's."""
    global _at_command_line
    before, _at_command_line = _at_command_line, True
    try:
        yield
    finally:
        _at_command_line = before


def shell_word(text: str) -> str:
    """Return a text as a shell reads it, to be copied from a terminal: what cannot be shown becomes `$'...'`."""
    if text.isprintable():
        return shlex.quote(text)
    letters = (ascii(chr(byte))[1:-1] if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return "$'" + "".join("\\'" if letter == "'" else letter for letter in letters) + "'"


def spoken_at_command_line() -> bool:
    """Tell whether messages use the command line's names."""
    return _at_command_line


def option(name: str, value: object = "") -> str:
    """Return how a reader gives an option of a run: `--out` and `--out faces`, or `out=...` and `out="faces"`."""
    if _at_command_line:
        return f"--{name} {value}".rstrip()
    return f"{name}=..." if value == "" else f"{name}={_literal(str(value))}"


def setting(key: str, value: object) -> str:
    """Return how a reader changes a value: `--set train.epochs=5`, or `overrides={"train.epochs": 5}`."""
    if _at_command_line:
        return f"--set {key}={value}"
    return f'overrides={{"{key}": {_literal(value)}}}'


def same_again(directory: object = "") -> str:
    """Return what goes on with a run: the command or the call that began it, where it names the run's directory."""
    return f"the same {'command' if _at_command_line else 'call'} with {option('out', directory)}"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `word` is most likely a misspelling of, or None where none is close.

    Close means at most two slips (a letter left out, added, wrong, or swapped with its neighbour), one in words
    under five letters; capitals and `-` for `_` cost nothing. Of equally close ones the first letter decides, then
    the order of `candidates`.
    """
    word = _plain(word[:100])
    best: tuple[int, bool] | None = None
    found = None
    for candidate in candidates:
        plain = _plain(candidate)
        limit = 2 if max(len(word), len(plain)) >= 5 else 1
        if abs(len(word) - len(plain)) > limit:
            continue
        slips = distance(word, plain)
        key = (slips, word[:1] != plain[:1])
        if slips <= limit and slips < len(plain) and (best is None or key < best):
            best, found = key, candidate
    return found


def distance(first: str, second: str) -> int:
    """Return how many letters must be left out, added, changed or swapped with a neighbour to turn one into the other.

    This is the restricted Damerau-Levenshtein distance: no letter is touched twice.
    """
    before_last: list[int] = []
    last = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        before_last, last = last, row
    return last[-1]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `"; did you mean X?"`, or nothing where no candidate is close."""
    found = nearest(word, candidates)
    return f"; did you mean {found}?" if found is not None else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")


def in_words(words: Sequence[str], conjunction: str = "and") -> str:
    """Return a few words as a sentence lists them: "a, b and c"."""
    return f" {conjunction} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def listed(items: Sequence[str], limit: int = 5) -> str:
    """Join the first few items, shortened, and count the others."""
    return "; ".join(short(item, 200) for item in items[:limit]) + (
        f"; and {len(items) - limit} more" if len(items) > limit else ""
    )


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with what it counts, as in `1 picture is` and `2,000 pictures are`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def with_article(word: str) -> str:
    """Return the word with its article."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def short(text: str, limit: int = 60) -> str:
    """Return a text of at most `limit` letters; dots stand for the rest."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def shown(value: object) -> str:
    """Return a value as a message may show it: on one line, short, and safe to print."""
    return short(ascii(value))


def quoted(text: str) -> str:
    """Return a name in quotation marks, shortened where it is long."""
    return f'"{short(text, 80)}"'


def one_line(text: str, limit: int = 200) -> str:
    """Return a text of a stranger on one line, printable and of bounded length."""
    return short(printable(" ".join(text[:2000].split())), limit)


def line_of(code: object) -> str:
    """Return in brackets where a function begins or a generator has stopped, ` (loss.py:14)`, or nothing."""
    if isinstance(code, GeneratorType) and code.gi_frame is not None:
        return f" ({place_in(code.gi_code.co_filename, code.gi_frame.f_lineno)})"
    if isinstance(code, FunctionType):
        return f" ({place_in(code.__code__.co_filename, code.__code__.co_firstlineno)})"
    return ""


def place_in(file: str, line: int | None) -> str:
    """Return a line of a source file in short, `loss.py:14`; of a package's own file with the package before it."""
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line}" if path.name == "__init__.py" else f"{path.name}:{line}"


def told(error: BaseException) -> str:
    """Return what a stranger's code has raised on one printable line of bounded length."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # even that is theirs
        text = ""
    return one_line(f"{type(error).__name__}: {text}", 300).rstrip(":")


def ended(exit_code: int) -> str:
    """Say how a process has ended by itself: its exit code, or minus the signal that ended it."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code} and without a word"
    number = signal.Signals(-exit_code)
    return f"was ended by {number.name}" + (
        ", as the system does where memory runs out" if number == signal.SIGKILL else ""
    )

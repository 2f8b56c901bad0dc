"""A run, or several beside each other, as one HTML file that opens anywhere: `ganlab report`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ganlab.durable import MARKER, replacing_file
from ganlab.errors import GanlabError, RunError
from ganlab.events import Reason
from ganlab.messages import option
from ganlab.regular import named_path
from ganlab.run.account import read_account
from ganlab.run.directory import RunDirectory
from ganlab.run.names import named_run
from ganlab.showing.page import MARK, page
from ganlab.showing.pictures import FILM_BYTES

REPORT = "report.html"
PARTS = (MARKER, "recipe.toml", "metrics.jsonl", "samples")
"""A directory with one of them has something to tell."""
START_BYTES = 400
"""Within so many bytes a report says what it is."""
LEAST_FILM = 150_000
"""Bytes of a film, however many runs there are."""


def write_report(
    runs: Sequence[os.PathLike[str] | str],
    out: os.PathLike[str] | str | None = None,
    *,
    ended: Reason | None = None,
) -> Path:
    """Write one page about these runs and return its path: `out`, or `report.html` in the run or, of several, here.

    `runs` are directories, or short names such as `faces/2`. A file in the page's place that is no report is left, and
    refused. `ended` is how a run has ended that has not noted it yet, for observers at the end of one. Raises
    `GanlabError` for a run or a place that is none, `RunError` where the disk refuses.
    """
    directories = _directories(runs)
    path = named_path(out) if out is not None else _usual_place(directories)
    check_place(path)
    share = max(LEAST_FILM, FILM_BYTES // len(directories))
    names = names_in_page([run.path for run in directories])
    accounts = [read_account(run, name, share, ended) for run, name in zip(directories, names, strict=True)]
    text = page(accounts, time.time())
    with replacing_file(path, flush=False) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def check_place(path: Path) -> None:
    """Refuse a name that is none of a page, and a place in which there is anything but a report of ours."""
    if path.is_dir():
        raise GanlabError(f"{path} is a directory; name a file, {option('out')}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise GanlabError(f"{path}: a report has a name that ends in .html")
    if not os.path.lexists(path):
        return
    start = b""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            start = file.read(START_BYTES)
    if MARK.encode() not in start:
        raise GanlabError(f"{path} is there and is no report of ganlab's; name another file, {option('out')}")


def names_in_page(paths: Sequence[Path]) -> list[str]:
    """Return what runs are called in a page, which others may read: no more of their paths than tells them apart."""
    parts = [Path(os.path.realpath(path)).parts for path in paths]
    counts = [2 if part[-1].isdigit() else 1 for part in parts]
    while True:
        names = ["/".join(part[-count:]) for part, count in zip(parts, counts, strict=True)]
        longer = [count + (names.count(name) > 1) for name, count in zip(names, counts, strict=True)]
        if longer == counts:
            return names
        counts = longer


def _directories(runs: Sequence[os.PathLike[str] | str]) -> list[RunDirectory]:
    """Return the directories of these runs, each once."""
    if not runs:
        raise GanlabError("name at least one run")
    found: dict[str, RunDirectory] = {}
    for source in runs:
        path = named_run(named_path(source))
        if not path.is_dir():
            kind = "is a file" if path.exists() else "does not exist"
            raise GanlabError(f"{source} {kind}; name a run's directory (ganlab runs lists those that are known here)")
        try:
            empty = not any(os.path.lexists(path / part) for part in PARTS)
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror or error}") from error
        if empty:
            raise GanlabError(f"{source} holds no run of ganlab; ganlab runs lists those that are known here")
        found.setdefault(os.path.realpath(path), RunDirectory(path))
    return list(found.values())


def _usual_place(runs: Sequence[RunDirectory]) -> Path:
    return runs[0].path / REPORT if len(runs) == 1 else Path(REPORT)

"""What a run's directory tells for a page. What is missing or damaged is said in a sentence, and the rest is told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.errors import DataError, GanlabError
from ganlab.events import Finding, Reason
from ganlab.health.record import findings_of
from ganlab.messages import counted, one_line, printable, short
from ganlab.recipe.keys import dotted, value_shown
from ganlab.recipe.toml import TOMLError, parse
from ganlab.regular import read_regular
from ganlab.run.directory import RunDirectory
from ganlab.run.history import NO_HISTORY, History, read_history
from ganlab.run.listing import METRICS, Known, summary
from ganlab.run.standing import STATES
from ganlab.showing.account import Account, Frame, Picture
from ganlab.showing.pictures import FILM_BYTES, FRAMES, film, frame, whole
from ganlab.showing.thinning import evenly

if TYPE_CHECKING:
    from PIL import Image

TEXT_BYTES = 1 << 20
"""Of a recipe, a description, the names of rows."""
PICTURE_BYTES = 1 << 26
LOG_BYTES = 1 << 22
LOG_LINES = 30
LINE_LETTERS = 400
KEY_LETTERS = 100
ROW_LETTERS = 100
ROWS = 1000
"""So many names of rows are read."""
SAMPLES = "samples"
SAMPLE = re.compile(r"[0-9]{8,18}\.png", re.ASCII)


def read_account(
    run: RunDirectory,
    name: str,
    film_bytes: int = FILM_BYTES,
    ended: Reason | None = None,
) -> Account:
    """Read what a run has left of itself, to be shown as `name`.

    `ended` is how it has ended where it has not noted that yet. Raises nothing of what it finds there.
    """
    lacking: list[str] = []
    known = summary(Known(run, run.of_recipe or "", run.begun_at))
    recipe_text, recipe = _recipe(run.recipe, lacking)
    history = _history(run.path / METRICS, lacking)
    frames, snapshots = _frames(run.path / SAMPLES, history, film_bytes, lacking)
    return Account(
        name=name,
        state=known.state if ended is None else STATES[ended],
        begun=known.begun,
        # A checkpoint may be newer than the last tick, and a run that goes on newer than its checkpoint.
        images=max((count for count in (history.seen, known.images) if count is not None), default=None),
        shipped=known.shipped or "",
        changes=[one_line(text, LINE_LETTERS) for text in known.changes],
        note=known.note,
        facts=_environment(run.environment, lacking),
        recipe=recipe,
        recipe_text=recipe_text,
        curves=history.curves,
        judged=history.judged,
        protocol=_protocol(run, recipe, lacking) if history.judged else {},
        frames=frames,
        snapshots=snapshots,
        rows=_rows(run.path / SAMPLES / "rows.txt", lacking),
        reals=_whole(run.path / "reals.png", lacking, "are no pictures of the data"),
        error=_text(run.error, lacking),
        log="\n".join(_text(run.path / "log.txt", lacking, LOG_BYTES).splitlines()[-LOG_LINES:]),
        lacking=lacking,
        findings=_findings(run.path, recipe),
    )


def _read(path: Path, limit: int, lacking: list[str], needed: str = "") -> bytes | None:
    """Return a file's bytes, or None and why; what is `needed` for something is missed where it is not there."""
    try:
        if path.is_symlink():
            raise OSError("is a link, and none is followed")
        return read_regular(path, limit)
    except FileNotFoundError:
        if needed:
            lacking.append(f"{path.name} is missing, so there {needed}.")
    except OSError as error:
        lacking.append(f"{path.name} cannot be read: {error.strerror or error}.")
    return None


def _text(path: Path, lacking: list[str], limit: int = TEXT_BYTES) -> str:
    data = _read(path, limit, lacking)
    return "" if data is None else printable(data.decode("utf-8", errors="replace"), keep="\n\t")


def _recipe(path: Path, lacking: list[str]) -> tuple[str, Mapping[str, Any]]:
    """Return the recipe's text and its tables."""
    data = _read(path, TEXT_BYTES, lacking, "is no recipe to show")
    if data is None:
        return "", {}
    try:
        table = json.loads(json.dumps(parse(data).table, default=str))  # of a damaged one, values may be dates
    except TOMLError as error:
        lacking.append(f"{path.name} {one_line(str(error))}.")
        table = {}
    return printable(data.decode("utf-8", errors="replace"), keep="\n\t"), table


def _history(path: Path, lacking: list[str]) -> History:
    try:
        history = read_history(path)
    except FileNotFoundError:
        lacking.append(f"{path.name} is missing, so there are no curves.")
        return NO_HISTORY
    except OSError as error:
        lacking.append(f"{path.name} cannot be read: {error.strerror or error}.")
        return NO_HISTORY
    if lost := history.passed_over:
        lacking.append(f"{counted(lost, 'line')} of {path.name} {'is' if lost == 1 else 'are'} damaged and left out.")
    return history


def _frames(folder: Path, history: History, film_bytes: int, lacking: list[str]) -> tuple[list[Frame], int]:
    """Return some snapshots, the last one pixel by pixel, and how many there are."""
    files = _sample_files(folder)
    if not files:
        lacking.append("samples/ has no pictures, so there are no snapshots to show.")
    images = [(number, image) for number, path in evenly(files, FRAMES)[:-1] if (image := _image(path, lacking))]
    pictures = film([image for _, image in images], film_bytes)
    numbers = [number for number, _ in images]
    for number, path in files[-1:]:
        if (picture := _whole(path, lacking)) is not None:
            pictures.append(picture)
            numbers.append(number)
    return [Frame(number, history.at(number), one) for number, one in zip(numbers, pictures, strict=True)], len(files)


def _sample_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the sample grids with their iterations, in order."""
    if folder.is_symlink():
        return []
    with suppress(OSError):
        return sorted((int(path.stem), path) for path in folder.iterdir() if SAMPLE.fullmatch(path.name))
    return []


def _image(path: Path, lacking: list[str]) -> Image.Image | None:
    """Return a picture, small enough for a film; None, and why, where there is none."""
    data = _read(path, PICTURE_BYTES, lacking)
    try:
        return None if data is None else frame(data)
    except DataError as error:
        lacking.append(f"{path.name} {one_line(str(error))}, and is left out.")
        return None


def _whole(path: Path, lacking: list[str], needed: str = "") -> Picture | None:
    """Return a picture as it is; None, and why, where there is none."""
    data = _read(path, PICTURE_BYTES, lacking, needed)
    try:
        return None if data is None else whole(data)
    except DataError as error:
        lacking.append(f"{path.name} {one_line(str(error))}, and is left out.")
        return None


def _rows(path: Path, lacking: list[str]) -> list[str]:
    """Return what each row of the grids shows."""
    return [one_line(row, ROW_LETTERS) for row in _text(path, lacking).splitlines()[:ROWS]]


def _environment(path: Path, lacking: list[str]) -> dict[str, str]:
    """Return what the run was computed with, as texts."""
    data = _read(path, TEXT_BYTES, lacking)
    if data is None:
        return {}
    try:
        table = json.loads(data)
        if not isinstance(table, dict):
            raise ValueError("it is no object")
        return _texts(table)
    except (ValueError, RecursionError):
        lacking.append(f"{path.name} is damaged, so what the run was computed with is not known.")
        return {}


def _protocol(run: RunDirectory, recipe: Mapping[str, Any], lacking: list[str]) -> dict[str, str]:
    """Return what the scores were computed from: as the best generator says, or else as the recipe asks for."""
    from ganlab.generator.file import read_metadata

    table: object = recipe.get("evaluate")
    if run.best.is_file() and not run.best.is_symlink():
        try:
            if (score := read_metadata(run.best).score) is not None:
                best = {f"best {score.name}": f"{score.value:.6g} ({score.better} is better)"}
                return {**best, **_texts(score.protocol)}
        except (GanlabError, RecursionError) as error:
            lacking.append(f"{run.best.name} cannot be read: {one_line(str(error))}.")
    return _texts(table) if isinstance(table, dict) else {}


def _texts(table: Mapping[str, Any]) -> dict[str, str]:
    """Return nested tables as dotted keys with their values as people read them."""
    return {
        short(key, KEY_LETTERS): one_line(value if isinstance(value, str) else value_shown(value), LINE_LETTERS)
        for key, value in dotted(table).items()
    }


def _findings(run: Path, recipe: Mapping[str, Any]) -> Sequence[Finding] | None:
    """Return what the watch over the training has noted; None where nothing says that it was noted."""
    observers = recipe.get("observers")
    noting = isinstance(observers, dict) and observers.get("health", False) is not False
    return findings_of(run) or ([] if noting else None)

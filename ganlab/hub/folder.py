"""The folder that is handed over: a generator with all that is known of it, which explains itself wherever it lies."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ganlab.durable import replacing_directory
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.formats import read_metadata
from ganlab.generator.metadata import Metadata
from ganlab.generator.remote import CONFIG, GENERATOR, ONNX
from ganlab.hub import card as names
from ganlab.hub.card import Card, Scored, config
from ganlab.judging.saved import read_evaluation
from ganlab.messages import counted

SPACE_COLOURS = ("indigo", "blue")
SPACE_EMOJI = "\N{FRAME WITH PICTURE}"


class Handed(NamedTuple):
    """What is handed over: files by the name that they get, and the card that describes them."""

    card: Card
    files: Mapping[str, Path]
    left_out: Sequence[Path] = ()
    """Other formats that lie beside it and were made of another generator."""

    @property
    def made(self) -> dict[str, str]:
        """The files that are written for it, by name."""
        facts = {name: (path.stat().st_size, _digest(path)) for name, path in self.files.items()}
        return {names.README: self.card.readme(), CONFIG: config(self.card.metadata, facts)}


def gather(
    generator: Path,
    run: Path | None,
    *,
    licence: str,
    repository: str,
    title: str | None = None,
    scores: Path | None = None,
    dataset: str | None = None,
) -> Handed:
    """Return what is there of a generator: itself, its other formats, and of its `run` the recipe and pictures.

    An ONNX file or a page beside it is taken if it was made of the same generator. `scores` is a file of
    `ganlab evaluate --json` that judges it. Raises `ArtefactError` where a file is not what it should be.
    """
    metadata = read_metadata(generator)
    if metadata.network != "generator":
        raise ArtefactError(f"{generator}: is the {metadata.network} of a generator; name the generator's own file")
    own = ONNX if generator.suffix == ".onnx" else GENERATOR
    files, left_out = {own: generator}, list[Path]()
    for name, path in ((ONNX, generator.with_suffix(".onnx")), (names.PAGE, generator.with_suffix(".html"))):
        if name not in files and path.is_file():
            if _same(read_metadata(path), metadata):
                files[name] = path
            else:
                left_out.append(path)
    if run is not None:
        files |= _of_run(run)
    recipe = files[names.RECIPE].read_text(encoding="utf-8") if names.RECIPE in files else ""
    found = _scores(metadata, scores)
    title = title or f"{metadata.model.name} {metadata.recipe.name}"
    card = Card(title, licence, metadata, recipe, found, tuple(files), repository, dataset)
    return Handed(card, files, left_out)


def write_folder(handed: Handed, folder: Path) -> list[tuple[str, int]]:
    """Write all of it into a new folder, or none of it; return the names with their sizes in bytes."""
    with replacing_directory(folder, sum(path.stat().st_size for path in handed.files.values())) as temporary:
        for name, path in handed.files.items():
            shutil.copyfile(path, temporary / name)
        for name, text in handed.made.items():
            (temporary / name).write_text(text, encoding="utf-8")
        return listed(temporary)


def write_space(handed: Handed, folder: Path) -> list[tuple[str, int]]:
    """Write a static Space: the page that draws pictures, and the few lines by which a hub serves it.

    Raises `GanlabError` where no page was exported.
    """
    if names.PAGE not in handed.files:
        raise GanlabError(
            "a Space shows the generator's page, and there is none beside it: write it with ganlab export --to page, "
            "which the plugin ganlab-page offers"
        )
    first, second = SPACE_COLOURS
    card = handed.card
    lines = [
        "---",
        f"title: {names.quoted(card.title)}",
        f"emoji: {SPACE_EMOJI}",
        f"colorFrom: {first}",
        f"colorTo: {second}",
        "sdk: static",
        "pinned: false",
        f"license: {names.quoted(card.licence)}",
        f"models:\n- {names.quoted(card.repository)}",
        "---",
    ]
    with replacing_directory(folder, handed.files[names.PAGE].stat().st_size) as temporary:
        shutil.copyfile(handed.files[names.PAGE], temporary / names.PAGE)
        (temporary / names.README).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return listed(temporary)


def listed(folder: Path) -> list[tuple[str, int]]:
    """Return the names of a folder's files with their sizes in bytes."""
    return [(path.name, path.stat().st_size) for path in sorted(folder.iterdir())]


def _of_run(run: Path) -> dict[str, Path]:
    grids = sorted(run.glob("samples/[0-9]*.png"))
    places = {names.RECIPE: run / names.RECIPE, names.FILM: run / names.FILM}
    if grids:
        places[names.SAMPLE] = grids[-1]
    return {name: path for name, path in places.items() if path.is_file() and not path.is_symlink()}


def _same(other: Metadata, metadata: Metadata) -> bool:
    """Tell whether two files are formats of one generator."""
    own = {
        "digest": metadata.digest,
        "precision": metadata.precision,
        "network": metadata.network,
        "score": metadata.score,
    }
    return other.model_copy(update=own) == metadata


def _scores(metadata: Metadata, file: Path | None) -> tuple[Scored, ...]:
    if file is None:
        if (score := metadata.score) is None:
            return ()
        return (Scored(score.name, score.value, None, None, score.better, score.protocol),)
    found = read_evaluation(file)
    column = next((column for column in found.columns if column.digest == metadata.digest), None)
    if column is None:
        judged = counted(len(found.columns), "generator")
        raise GanlabError(f"{file} judges {judged}, and this one is none of them; evaluate it, with --json FILE")
    protocol = found.as_json()["protocol"]
    references = found.reference.scores
    return tuple(
        Scored(
            name,
            score.mean,
            score.spread,
            references[name].mean if name in references else None,
            found.better.get(name, "neither"),
            protocol,
        )
        for name, score in column.scores.items()
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""What the recipes give: `python benchmarks/scores.py --work DIR` trains them, judges them, and draws sheets of them.

Each is trained with three seeds, and all recipes of one set see the same number of pictures. Of what is given, as in
`--emoji DIR`, the sets are made; the others are left out. Writes benchmarks/results/scores-<date>.json after each
training, from which benchmarks/pages.py makes the tables of docs/results.md, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from compared import PICTURES, Row, Set, sets
from machine import RESULTS, ROOT, describe
from PIL import Image
from processes import environment

from ganlab.recipe.recipe import find_recipe, load_recipe

IMAGES = ROOT / "docs" / "images" / "results"
FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts them."""


class Results:
    """The file of results, which is whole after each recipe."""

    def __init__(self, file: Path, pictures: Mapping[str, int], device: str, jobs: int) -> None:
        # Without the places of this machine.
        more = [f"--pictures {name}={count}" for name, count in pictures.items() if count != PICTURES[name]]
        start = f"python benchmarks/scores.py --work work --digits digits --emoji emoji --device {device} --jobs {jobs}"
        about = describe(device) | {"command": " ".join([start, *more]), "minutes": 0.0}
        fresh = {"machine": about, "scores": []}
        self._file, self._lock, self._since = file, Lock(), time.perf_counter()
        self._processor = about["processor"]
        self._found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else fresh

    def names(self) -> set[str]:
        """Return which rows are there."""
        return {row["name"] for row in self._found["scores"]}

    def add(self, row: dict[str, Any]) -> None:
        """Write one row more."""
        with self._lock:
            now = time.perf_counter()
            self._found["machine"]["minutes"] += (now - self._since) / 60
            self._since = now
            self._found["scores"].append(row | {"processor": self._processor})
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self._found, indent=1) + "\n")


def main() -> None:
    """Train and judge what is not in the results yet."""
    chosen = arguments()
    work = prepared(chosen.work, {"digits": chosen.digits, "emoji": chosen.emoji})
    pictures = PICTURES | dict(chosen.pictures)
    results = Results(chosen.out, pictures, chosen.device, chosen.jobs)
    found = dict(wanted(sets(chosen.fashion, pictures), chosen.fashion, work))
    names = chosen.only.split(",") if chosen.only else list(found)

    def made(one: Set, row: Row) -> None:
        results.add(trained(work, one, row, chosen.device) | judged(work, row.name, sheet=not row.seed))

    with ThreadPoolExecutor(chosen.jobs) as jobs:
        waiting = [jobs.submit(made, *found[name]) for name in names if name not in results.names()]
        for one in waiting:
            one.result()
    say(f"{chosen.out}: now python benchmarks/pages.py")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    today = RESULTS / f"scores-{time.strftime('%Y-%m-%d', time.gmtime())}.json"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="where runs and the packed pictures go")
    parser.add_argument("--fashion", type=Path, default=FASHION, help=f"Fashion-MNIST's four files ({FASHION})")
    parser.add_argument("--digits", type=Path, help="MNIST's files, or those of python scripts/digits")
    parser.add_argument("--emoji", type=Path, help="what python scripts/emoji has laid out")
    parser.add_argument(
        "--pictures", type=counted, action="append", default=[], help="how many a recipe sees, as in emoji=32000"
    )
    parser.add_argument("--device", default="cpu", help="where the recipes are trained, as in cuda (cpu)")
    parser.add_argument("--jobs", type=int, default=1, help="how many rows are made at a time, on a thread each (1)")
    parser.add_argument("--only", help="which rows, and in which order, as in hinge,dcgan_mnist")
    parser.add_argument("--out", type=Path, default=today, help="the JSON file to write, or to go on with")
    return parser.parse_args()


def counted(text: str) -> tuple[str, int]:
    """Return a set's name, and how many pictures a recipe of it sees."""
    name, _, count = text.partition("=")
    if name not in PICTURES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not one of {', '.join(PICTURES)} with a number, as in emoji=32000")
    return name, int(count)


def wanted(everything: Sequence[Set], fashion: Path, work: Path) -> Iterator[tuple[str, tuple[Set, Row]]]:
    """Yield the rows whose pictures are here, by their names."""
    for one in everything:
        if (fashion if one.name == "clothes" else work / one.name).exists():
            yield from ((row.name, (one, row)) for row in one.rows)


def prepared(work: Path, given: dict[str, Path | None]) -> Path:
    """Lay the data beside the recipes, so that the commands are those of the page."""
    work.mkdir(parents=True, exist_ok=True)
    for name, place in {"plugins": ROOT / "plugins", "benchmarks": ROOT / "benchmarks", **given}.items():
        if place is not None and not (work / name).exists():
            (work / name).symlink_to(place.resolve())
    return work


def trained(work: Path, one: Set, row: Row, device: str) -> dict[str, Any]:
    """Train a recipe for the pictures of its set; a run that is there already is not made again."""
    settings = [*row.settings, *one.settings]
    path = ROOT / row.recipe if row.recipe.endswith(".toml") else find_recipe(row.recipe)
    recipe = load_recipe(path, settings)
    drawn = recipe.train.batch_size * recipe.loss.model_dump().get("discriminator_steps", 1)
    settings += [f"train.iterations={one.pictures // drawn}", f"train.device={device}", "train.threads=1"]
    settings += [f"seed={row.seed}"] if row.seed else []
    words = ["ganlab", "run", row.recipe, *(word for setting in settings for word in ("--set", setting))]
    say(f"{row.name}: {shlex.join(words)}")
    spent = work / "spent" / f"{row.name}.json"
    if not spent.exists():
        used = timed(work, [*words, "--out", f"runs/{row.name}", "--progress", "off"])
        spent.parent.mkdir(exist_ok=True)
        spent.write_text(json.dumps(used))
    return {
        "name": row.name,
        "set": one.name,
        "recipe": row.recipe,
        "seed": row.seed,
        "command": shlex.join(words),
        "full": length(path, row.settings, one.published, drawn),
        **json.loads(spent.read_text()),
    }


def length(path: Path, settings: Sequence[str], published: int, drawn: int) -> int:
    """Return how many pictures a recipe sees by itself."""
    recipe = load_recipe(path, settings)
    if recipe.train.epochs is None:
        assert recipe.train.iterations is not None  # the recipe has one of the two
        return recipe.train.iterations * drawn
    pictures = 10_000 if recipe.table["dataset"].get("split") == "shipped" else published
    batch = recipe.train.batch_size
    return round(recipe.train.epochs * (pictures // batch)) * batch


def judged(work: Path, name: str, *, sheet: bool) -> dict[str, Any]:
    """Judge a run, draw a sheet of its pictures if that is wanted, and return what was found."""
    run, scores = f"runs/{name}", work / "scores" / f"{name}.json"
    scores.parent.mkdir(exist_ok=True)
    words = ["ganlab", "evaluate", run, "--seeds", "3"]
    used = timed(work, [*words, "--json", f"scores/{name}.json"])
    if sheet:
        draw(work, run, name)
    lines = [json.loads(line) for line in (work / run / "metrics.jsonl").read_text().splitlines()]
    return {
        "evaluate": shlex.join(words),
        "evaluate_cpu_seconds": used["cpu_seconds"],
        "images": max(line.get("images", 0) for line in lines),
        "scores": json.loads(scores.read_text()),
    }


def draw(work: Path, run: str, name: str) -> None:
    """Draw 64 pictures, large ones at half their size, into the documentation."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    timed(
        work, ["ganlab", "sample", run, "--count", "64", "--columns", "8", "--out", f"sheets/{name}.png", "--overwrite"]
    )
    with Image.open(work / "sheets" / f"{name}.png") as drawn:
        half = (drawn.width // 2, drawn.height // 2)
        small = drawn if drawn.width < 400 else drawn.resize(half, Image.Resampling.BOX)
        small.save(IMAGES / f"{name}.png", optimize=True)


def timed(work: Path, words: Sequence[str]) -> dict[str, Any]:
    """Run a command of ganlab on one thread, and return what it took. Raise where it fails."""
    variables = environment(1, GANLAB_CACHE=str(work.resolve() / "cache"))
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=work, env=variables, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{shlex.join(words)} ended with {process.returncode}")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

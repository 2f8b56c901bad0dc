"""Which picture of the documentation comes from which command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pictures import drawing, films, screens, shots
from pictures.trainings import TYPED, Trainings

LARGEST_BYTES = 600_000
"""No picture of the documentation is larger: its pages are read on phones, too."""
GRIDS = "samples/*.png"
WALK = ("--seeds", "0-5", "--steps", "12", "--fps", "12")
TITLE = "A terminal: the quickstart is trained, a sheet is drawn, and the generator is exported"

Make = Callable[[Trainings, Path], object]
Train = Callable[[Trainings], Path]


class Made(NamedTuple):
    """A picture that is made here."""

    command: str
    """What a reader types for it, and what of that the picture is."""
    make: Make


def copied(train: Train, pattern: str, index: int = -1) -> Make:
    """Return what copies a file of a run: of those that fit, in order, the one with that index."""
    return lambda trainings, picture: shutil.copyfile(sorted(train(trainings).glob(pattern))[index], picture)


def _record(trainings: Trainings, picture: Path) -> None:
    seen = list(screens.screens(trainings.recorded()))
    picture.write_text(drawing.drawn(seen, TITLE), encoding="utf-8")


def _last_screen(trainings: Trainings, picture: Path) -> None:
    seen = list(screens.screens(trainings.recorded()))
    picture.write_text(drawing.drawn(seen[-1:], TITLE), encoding="utf-8")


def _film(trainings: Trainings, picture: Path) -> None:
    films.progress(trainings.quickstart(), picture)


def _walk(trainings: Trainings, picture: Path) -> None:
    trainings.run("ganlab", "interpolate", str(trainings.quickstart()), *WALK, "--overwrite", "--out", str(picture))


def _ends_of_the_walk(trainings: Trainings, picture: Path) -> None:
    trainings.run("ganlab", "sample", str(trainings.quickstart()), *WALK[:2], "--overwrite", "--out", str(picture))


def _report(trainings: Trainings, picture: Path) -> None:
    run = trainings.quickstart()
    trainings.run("ganlab", "report", str(run))
    shots.shoot(run / "report.html", picture, (770, 1036), shots.charted)


def _page(trainings: Trainings, picture: Path) -> None:
    page = trainings.work / "conditional.html"
    trainings.run("ganlab", "export", str(trainings.conditional()), "--page", "--out", str(page))
    shots.shoot(page, picture, (1100, 1180), shots.generated)


TUTORIAL = "ganlab run clothes.toml --out clothes-run (the tutorial's)"
CONDITIONAL = "ganlab run plugins/conditional/recipes/conditional_fashion_mnist.toml"
MADE = {
    "docs/images/quickstart.png": Made(f"{TYPED[0]}: the last grid in samples/", copied(Trainings.quickstart, GRIDS)),
    "docs/images/terminal.svg": Made(f"{' && '.join(TYPED)}: what the terminal shows", _record),
    "docs/images/terminal-still.svg": Made("the last screen of docs/images/terminal.svg", _last_screen),
    "docs/images/progress.webp": Made(f"{TYPED[0]}: the grids in samples/, one after the other", _film),
    "docs/images/walk.webp": Made(f"ganlab interpolate {' '.join(WALK)} --out walk.webp", _walk),
    "docs/images/walk-still.png": Made(f"ganlab sample {' '.join(WALK[:2])} --out walk.png", _ends_of_the_walk),
    "docs/images/report.png": Made("ganlab report quickstart/1: the page in Chromium", _report),
    "docs/demo/clothes.safetensors": Made(
        f"{TYPED[0]}: the generator", copied(Trainings.quickstart, "generator.safetensors")
    ),
    "docs/images/tutorial-reals.png": Made(f"{TUTORIAL}: reals.png", copied(Trainings.clothes, "reals.png")),
    "docs/images/tutorial-losses.png": Made(f"{TUTORIAL}: losses.png", copied(Trainings.clothes, "losses.png")),
    **{
        f"docs/images/tutorial-epoch-{epoch}.png": Made(
            f"{TUTORIAL}: the grid after epoch {epoch} in samples/", copied(Trainings.clothes, GRIDS, epoch)
        )
        for epoch in (1, 5, 30)
    },
    "plugins/page/page.png": Made(
        f"{CONDITIONAL} --set train.epochs=4 && ganlab export --page: the page in Chromium", _page
    ),
}
"""What `python scripts/pictures` makes, by its path in the repository."""

LONGER = {
    "docs/images/results/*.png": "python benchmarks/scores.py",
    "docs/images/own-pictures-64.png": "the runs of 96,000 pictures of docs/results-own-pictures.md: 30 samples each",
    "plugins/ada/ada.png": "the ganlab run of plugins/ada/README.md, with three augmentations: the last grids",
    "plugins/began/began.png": "ganlab run plugins/began/recipes/began_fashion_mnist.toml: the last grid, enlarged",
    "plugins/conditional/conditional.png": f"{CONDITIONAL} --set train.threads=1: the last grid",
    "plugins/diffaugment/diffaugment.png": "ganlab run plugins/diffaugment/recipes/diffaugment_fashion_mnist.toml: "
    "reals.png, the same augmented, the last grid",
    "plugins/flow/flow.png": "ganlab run plugins/flow/recipes/flow_fashion_mnist.toml: the last grid",
    "plugins/gan-losses/losses.png": "ganlab run with each of plugins/gan-losses/recipes: half of the last grids",
    "plugins/infogan/infogan.png": "ganlab run plugins/infogan/recipes/infogan_fashion_mnist.toml: the last grid",
    "plugins/r3gan/r3gan.png": "ganlab run plugins/r3gan/recipes/r3gan_fashion_mnist.toml: the last grid",
    "plugins/sngan/sngan.png": "ganlab run plugins/sngan/recipes/sngan_fashion_mnist.toml: the last grid",
    "plugins/vae/vae.png": "ganlab run plugins/vae/recipes/vae_fashion_mnist.toml: reals.png, what "
    "comes back, the last grid",
}
"""What takes longer, by path or pattern: the command is that of the page which shows it."""

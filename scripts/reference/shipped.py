"""The page of the recipes that come with ganlab."""

from __future__ import annotations

import re
from collections.abc import Iterator

from options import OWN
from text import linked

from ganlab.recipe.recipe import load_recipe, shipped_recipes


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (
        "# Shipped recipes",
        "",
        "`ganlab run NAME` trains one. `ganlab recipes copy NAME .` puts a copy into the current folder, to change. "
        "What a recipe gives and how long it takes is said where it was measured, and said to be unmeasured where not.",
        "",
        "| recipe | pictures | resolution | batch | training |",
        "|---|---|---|---|---|",
    )
    for path in shipped_recipes():
        recipe = load_recipe(path, components=OWN)
        size = recipe.dataset.resolution
        side = f"{size}x{size}" if isinstance(size, int) else "x".join(map(str, size))
        length = f"{recipe.train.epochs:g} epochs" if recipe.train.epochs else f"{recipe.train.iterations:,} iterations"
        yield (
            f"| [{path.stem}](#{path.stem}) | {recipe.table['dataset']['name']} | {side}x{recipe.dataset.channels} "
            f"| {recipe.train.batch_size} | {length} |"
        )
    for path in shipped_recipes():
        header, body = _split(path.read_text(encoding="utf-8"))
        yield from ("", f"## {path.stem}", "", linked(header), "", "```toml", body, "```")


def _split(text: str) -> tuple[str, str]:
    """Return a recipe's opening comment, as prose, and the rest."""
    lines = text.splitlines()
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    prose = [line.lstrip("#").strip() for line in lines[:end] if not line.startswith("#:")]  # that is for editors
    # What it gives and takes is what a reader looks for, so it starts a paragraph of its own.
    return re.sub(r" (?=Gives: )", "\n\n", " ".join(prose)), "\n".join(lines[end:]).strip()

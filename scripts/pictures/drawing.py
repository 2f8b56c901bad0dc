"""Screens of a terminal as an animated SVG: text that stays sharp, in one file that moves by itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from itertools import accumulate, groupby

from pictures.recording import COLUMNS, ROWS
from pictures.screens import GROUND, Row, Screen
from PIL import Image

WIDTH, HEIGHT = 8, 16
"""Pixels of a character: a half block is a square."""
MARGIN, BAR = 12, 28
HALF_BLOCK = "\N{UPPER HALF BLOCK}"
STYLE = """
text {{ font: 13.3px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre }}
.film {{ transform: translateY(-{last}px); animation: film {seconds:.2f}s steps(1) infinite }}
@keyframes film {{ {keys} }}
@media (prefers-reduced-motion: reduce) {{ .film {{ animation: none }} }}
image {{ image-rendering: pixelated }}
""".strip()


def drawn(screens: list[Screen], title: str) -> str:
    """Return the film as SVG. Where motion is not wanted, or not known, it is its last screen."""
    width, height = COLUMNS * WIDTH, ROWS * HEIGHT
    total = sum(screen.seconds for screen in screens)
    starts = [0.0, *accumulate(screen.seconds for screen in screens)][:-1]
    keys = " ".join(
        f"{100 * start / total:.3f}% {{ transform: translateY(-{index * height}px) }}"
        for index, start in enumerate(starts)
    )
    style = STYLE.format(last=(len(screens) - 1) * height, seconds=total, keys=keys)
    names: dict[Row, str] = {}
    placed = list(_placed(screens, names))
    rows = [f'<g id="{name}">{"".join(_row(row))}</g>' for row, name in names.items()]
    whole = f'width="{width + 2 * MARGIN}" height="{height + BAR + MARGIN}"'
    edge = f'width="{width + 2 * MARGIN - 1}" height="{height + BAR + MARGIN - 1}"'
    dots = "".join(f'<circle cx="{16 + 18 * k}" cy="15" r="5" fill="#5b6472"/>' for k in range(3))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 2 * MARGIN} {height + BAR + MARGIN}" '
            f'{whole} role="img"><title>{escape(title)}</title>',
            f"<style>{style}</style>",
            f'<rect x="0.5" y="0.5" {edge} rx="8" fill="{GROUND}" stroke="#3f4756"/>{dots}',
            f"<defs>{''.join(rows)}</defs>",
            f'<svg x="{MARGIN}" y="{BAR}" width="{width}" height="{height}"><g class="film">',
            *placed,
            "</g></svg></svg>\n",
        )
    )


def _placed(screens: list[Screen], names: dict[Row, str]) -> Iterator[str]:
    """Yield each screen below the one before, made of rows that are drawn once and named."""
    for index, screen in enumerate(screens):
        for number, row in enumerate(screen.rows):
            if any(cell.text.strip() or cell.ground for cell in row):
                name = names.setdefault(row, f"r{len(names)}")
                yield f'<use href="#{name}" y="{(index * ROWS + number) * HEIGHT}"/>'


def _row(row: Row) -> Iterator[str]:
    """Yield what draws a row: one picture for all half blocks, and a text for each style."""
    if any(cell.text == HALF_BLOCK for cell in row):
        yield _blocks(row)
    column = 0
    for (colour, ground, bold), same in groupby(row, lambda cell: (cell.colour, cell.ground, cell.bold)):
        cells = list(same)
        text = "".join(cell.text for cell in cells)
        start, width = column * WIDTH, len(cells) * WIDTH
        column += len(cells)
        if HALF_BLOCK in text:
            continue
        if ground:
            yield f'<rect x="{start}" width="{width}" height="{HEIGHT}" fill="{ground}"/>'
        if words := text.rstrip():
            start += (len(words) - len(words.lstrip())) * WIDTH
            words = words.lstrip()
            weight = ' font-weight="bold"' if bold else ""
            # The length holds the columns, whatever font there is.
            length = f'textLength="{len(words) * WIDTH}"'
            yield f'<text x="{start}" y="12" fill="{colour}"{weight} {length}>{escape(words)}</text>'


def _blocks(row: Row) -> str:
    """Return the half blocks of a row as a picture, two pixels a character; between them it is transparent."""
    last = max(column for column, cell in enumerate(row) if cell.text == HALF_BLOCK) + 1
    picture = Image.new("RGBA", (last, 2))
    for column, cell in enumerate(row[:last]):
        if cell.text == HALF_BLOCK:
            for half, colour in enumerate((cell.colour, cell.ground)):
                picture.putpixel((column, half), (*bytes.fromhex(colour.removeprefix("#")), 255))
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True, method=6)
    address = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    size = f'width="{last * WIDTH}" height="{HEIGHT}"'
    return f'<image {size} preserveAspectRatio="none" href="{address}"/>'

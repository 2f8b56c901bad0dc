"""Pictures to train on: made from a seed, the size and the weight of CelebA's files, with structure at every scale."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

WIDTH, HEIGHT = 178, 218
"""CelebA's aligned pictures."""
QUALITY = 90
FOLDER = "all"


def face(index: int) -> Image.Image:
    """Return picture `index`: a soft background, a head with eyes and a mouth, hair, and the grain of a camera."""
    random = np.random.default_rng([2026, index])
    colours = random.integers(20, 236, (6, 3))
    field = random.integers(30, 226, (7, 6, 3)).astype(np.uint8)
    image = Image.fromarray(field).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    x, y = random.normal((WIDTH / 2, HEIGHT * 0.55), 5.0)
    a, b = random.normal((44.0, 60.0), 4.0)
    draw.ellipse((x - a - 12, y - b - 18, x + a + 12, y + b), fill=tuple(colours[0]))
    draw.ellipse((x - a, y - b, x + a, y + b), fill=tuple(colours[1]))
    for side in (-1, 1):
        draw.ellipse((x + side * 18 - 8, y - 14, x + side * 18 + 8, y - 5), fill=tuple(colours[2]))
        draw.ellipse((x + side * 18 - 3, y - 13, x + side * 18 + 3, y - 6), fill=tuple(colours[3]))
    draw.line((x, y - 4, x - 4, y + 14, x + 3, y + 15), fill=tuple(colours[4]), width=2)
    draw.chord((x - 16, y + 20, x + 16, y + 38), 10, 170, fill=tuple(colours[5]))
    image = image.filter(ImageFilter.GaussianBlur(0.9))
    grain = random.normal(0.0, 6.0, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def write(root: Path, count: int) -> Path:
    """Write `count` JPEG files into one folder below `root`, and return `root`."""
    (root / FOLDER).mkdir(parents=True)
    for index in range(count):
        file = io.BytesIO()
        face(index).save(file, "JPEG", quality=QUALITY)
        (root / FOLDER / f"{index:06d}.jpg").write_bytes(file.getvalue())
    return root


@functools.cache
def pixels(count: int, resolution: int, channels: int) -> Pixels:
    """Return pictures as packed ones are kept, `(N, C, H, W)` uint8; beyond 512 they are shifted ones of the first."""
    made = min(count, 512)
    images = np.empty((made, resolution, resolution, channels), np.uint8)
    box = (0, (HEIGHT - WIDTH) // 2, WIDTH, (HEIGHT + WIDTH) // 2)
    for index in range(made):
        small = face(index).resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)
        images[index] = np.asarray(small.convert("L" if channels == 1 else "RGB")).reshape(images.shape[1:])
    packed = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    copies = [np.roll(packed, turn, axis=3) for turn in range(-(-count // made))]
    return np.concatenate(copies)[:count]

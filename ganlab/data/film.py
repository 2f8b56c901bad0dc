"""Films of pictures: GIF, APNG, WebP, and MP4 where ffmpeg is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.errors import GanlabError
from ganlab.messages import in_words, one_line
from ganlab.regular import named_path

if TYPE_CHECKING:
    from PIL import Image

    from ganlab.data.pictures import Pictures

PILLOWS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
"""What Pillow calls the format of a film, by the ending of its name."""
MP4 = ".mp4"
ENDINGS = (*PILLOWS, MP4)
SIDES = {".gif": 65_535, ".webp": 16_383, MP4: 16_384}
"""The longest side that a format can hold, in pixels."""
SHORTEST_MILLISECONDS = 20
"""How short a frame of a GIF may be: viewers slow down what is shorter."""


def check_film(path: Path, shape: tuple[int, ...], milliseconds: Sequence[int]) -> None:
    """Raise `GanlabError` where frames `(H, W, C)` that last so long cannot be written to `path`, by its ending."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise GanlabError(f"{path}: films are written to names that end in {in_words(list(ENDINGS), 'or')}")
    if max(shape[:2]) > SIDES.get(ending, 2**31 - 1):
        raise GanlabError(f"{path}: frames of {shape[1]}x{shape[0]} pixels do not fit this format; name a .png")
    if ending == ".gif" and min(milliseconds) < SHORTEST_MILLISECONDS:
        raise GanlabError(f"{path}: a GIF has {1000 // SHORTEST_MILLISECONDS} frames a second at most; name a .webp")
    if ending == MP4 and shutil.which("ffmpeg") is None:
        others = in_words(list(PILLOWS), "or")
        raise GanlabError(f"{path}: an .mp4 needs ffmpeg, which is not there; install it, or name a film {others}")
    if ending == MP4 and len(set(milliseconds)) > 1:
        raise GanlabError(f"{path}: the frames of an .mp4 last equally long; name a .gif, .png or .webp")


def save_film(path: Path | str, frames: Pictures, milliseconds: Sequence[int]) -> None:
    """Write `frames` `(N, H, W, C)`, uint8, to `path`: a film that begins anew at its end, each for its `milliseconds`.

    One channel is grey, three are RGB, four RGBA, which is laid on white; of any other number the first is shown in
    grey. A GIF has one palette for all frames, so that what stands still does not flicker. Raises `GanlabError` for an
    ending that is none of a film's, and where the format cannot hold it; `RunError` where the disk refuses.
    """
    from ganlab.durable import replacing_file

    path = named_path(path)
    check_film(path, frames.shape[1:], milliseconds)
    with replacing_file(path) as temporary:
        if path.suffix.lower() == MP4:
            _with_ffmpeg(path, temporary, frames, milliseconds[0])
            return
        form = PILLOWS[path.suffix.lower()]
        pictures = _pictures(frames)
        if form == "GIF" and pictures[0].mode == "RGB":
            pictures = share_palette(pictures)
        of_form: dict[str, dict[str, Any]] = {
            "GIF": {"palette": pictures[0].getpalette(), "optimize": False},  # once for all frames, not again in each
            "PNG": {},
            "WEBP": {"lossless": True, "method": 4},
        }
        pictures[0].save(
            temporary,
            format=form,
            save_all=True,
            append_images=pictures[1:],
            duration=list(milliseconds),
            loop=0,
            **of_form[form],
        )


def _pictures(frames: Pictures) -> list[Image.Image]:
    """Return the frames as Pillow has them, in grey or in RGB."""
    import numpy as np
    from PIL import Image

    if frames.shape[3] == 4:
        alpha = frames[..., 3:] / 255.0
        frames = np.rint(frames[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return [Image.fromarray(np.ascontiguousarray(frame if frames.shape[3] == 3 else frame[..., 0])) for frame in frames]


def share_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Choose 256 colours over the whole film: with a palette for each frame, they would flicker."""
    import numpy as np
    from PIL import Image

    # About 256 thousand pixels from all over the film decide; an odd step does not stay in one column of a grid.
    width, height = frames[0].size
    step = width * height * len(frames) // 256_000 | 1
    pixels = np.concatenate([np.asarray(frame).reshape(-1, 3)[i % step :: step] for i, frame in enumerate(frames)])
    colours = Image.fromarray(pixels[None]).quantize(255, Image.Quantize.MEDIANCUT).getpalette() or []
    # The ground between the pictures stays white: Pillow would take a colour that is almost white for it.
    others = [colour for colour in zip(*[iter(colours)] * 3, strict=True) if min(colour) < 248]
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *(level for colour in others for level in colour)])
    # Without dithering: its grain would move from frame to frame.
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _with_ffmpeg(path: Path, temporary: Path, frames: Pictures, milliseconds: int) -> None:
    """Write an MP4 that players and browsers show: H.264 with halved colours, so its sides are even."""
    height, width = frames.shape[1:3]
    command = [
        *("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-s", f"{width}x{height}", "-framerate", f"1000/{milliseconds}", "-i", "-"),
        *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "14"),
        *("-movflags", "+faststart", "-f", "mp4", str(temporary)),
    ]
    pixels = b"".join(picture.convert("RGB").tobytes() for picture in _pictures(frames))
    ended = subprocess.run(command, input=pixels, capture_output=True, check=False)
    if ended.returncode:
        said = one_line(ended.stderr.decode(errors="replace")) or f"it ended with {ended.returncode}"
        raise GanlabError(f"{path}: ffmpeg cannot write it: {said}")

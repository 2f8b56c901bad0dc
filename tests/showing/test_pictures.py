"""Pictures in a page: they are those of the files, and as small as they have to be."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ganlab.errors import DataError
from ganlab.showing import pictures
from ganlab.showing.account import Picture
from ganlab.showing.pictures import SIDE, WHOLE_BYTES, film, frame, whole


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    file = BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(file, "PNG")
    return file.getvalue()


def shown(picture: Picture, kind: str) -> Image.Image:
    start, data = picture.uri.split(",", 1)
    assert start == f"data:image/{kind};base64"
    image = Image.open(BytesIO(base64.b64decode(data)))
    image.load()
    return image


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_is_shown_as_it_is() -> None:
    data = png(noise(6, 9))
    picture = whole(data)
    assert picture[1:] == (9, 6)
    assert base64.b64decode(picture.uri.split(",")[1]) == data


def test_a_large_one_is_shown_smaller_and_keeps_its_shape() -> None:
    data = png(noise(1000, 2000))
    assert len(data) > WHOLE_BYTES
    picture = whole(data)
    assert picture[1:] == (2000, 1000)
    assert len(picture.uri) < len(data)
    assert shown(picture, "jpeg").size == (2000, 1000)


def test_frames_look_like_their_pictures_and_fit_together() -> None:
    grids = [frame(png(np.full((20, 30, 3), (level, 10, 200), np.uint8))) for level in (0, 128, 255)]
    for level, picture in zip((0, 128, 255), film(grids), strict=True):
        pixels = np.asarray(shown(picture, "jpeg"), int)
        assert np.abs(pixels - (level, 10, 200)).max() <= 4
    noisy = [frame(png(noise(200, 200)))] * 6
    fine = film(noisy)
    tight = film(noisy, 60_000)
    assert sum(len(one.uri) for one in tight) * 3 / 4 <= 60_000 < sum(len(one.uri) for one in fine) * 3 / 4
    assert film([]) == []
    assert len(film(noisy, 1)) == 6, "the coarsest, where nothing is small enough"


def test_a_frame_is_no_larger_than_a_film_needs() -> None:
    assert frame(png(np.zeros((10, 4000), np.uint8))).size == (SIDE, round(SIDE / 400))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_every_kind_of_png_is_shown(mode: str) -> None:
    assert frame(png(noise(4, 4), mode)).mode in ("L", "RGB")


def test_what_is_transparent_lies_on_white() -> None:
    assert frame(png(np.zeros((4, 4, 4), np.uint8))).getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture_is_refused_and_a_bomb_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    good = png(noise(8, 8))
    jpeg = BytesIO()
    Image.fromarray(noise(8, 8)).save(jpeg, "JPEG")
    for data in (b"", b"<svg onload=alert(1)>", jpeg.getvalue()):
        with pytest.raises(DataError, match="is no PNG"):
            whole(data)
    with pytest.raises(DataError, match="is damaged: OSError"):
        whole(good[:60])
    monkeypatch.setattr(pictures, "PIXELS", 63)
    with pytest.raises(DataError, match="claims 8 x 8 pixels, more than a page shows"):
        frame(good)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # at which PIL warns
    with pytest.raises(DataError, match="is damaged: DecompressionBombWarning"):
        frame(good)

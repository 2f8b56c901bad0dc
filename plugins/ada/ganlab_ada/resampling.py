"""Pictures read at other places. Beyond its edges a picture goes on as its mirror image, without end: nothing is black.

Not torch's grid_sample, which has no second derivative; gathers have all.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Daubechies' least asymmetric wavelet of 6 vanishing moments, as lowpass (Daubechies 1992, table 6.3; norm 1).
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
CENTRE = 5.098260899546
"""The filter's centre of mass: what it makes of a ramp is the ramp, moved by this."""
MARGIN = 3
"""Pixels beyond each edge that are doubled, too, since the last filter reaches so far."""


def copied(images: Tensor, matrices: Tensor) -> Tensor:
    """Return pictures of pixels that lie nearest to where `matrices` `(N, 3, 3)` point: no value is new."""
    count, channels, height, width = images.shape
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    x, y = _sources(images, matrices, columns, rows)
    x, y = mirrored(x, width), mirrored(y, height)
    index = (y.round().long() * width + x.round().long()).view(count, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view(images.shape)


def interpolated(images: Tensor, matrices: Tensor, lowpass: Tensor) -> Tensor:
    """Return pictures with values from where `matrices` `(N, 3, 3)` point.

    As in appendix B: the picture is doubled in size by the filter `lowpass`, read there between four values, and halved
    by the same filter, so that neither the stretched nor the shrunk have steps. What is not moved is not changed.
    """
    count, channels, height, width = images.shape
    lowpass = lowpass.to(images.dtype)
    large = _doubled(images, lowpass).flatten(2)
    # Where the values lie that the last filter makes the pixels of, and then where they come from.
    rows, columns = ((torch.arange(2 * side + 10, device=images.device) - CENTRE) / 2 for side in (height, width))
    x, y = _sources(images, matrices, columns, rows)
    x, y = 2 * _within(x, width) + CENTRE + 1, 2 * _within(y, height) + CENTRE + 1
    left, top = x.floor(), y.floor()
    made = torch.zeros((), device=images.device)
    for below, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - (x - left - right).abs()) * (1 - (y - top - below).abs())
        index = (top + below).long() * (2 * width + 4 * MARGIN) + (left + right).long()
        value = large.gather(2, index.view(count, 1, -1).expand(-1, channels, -1))
        made = made + value * share.view(count, 1, -1)
    return _halved(made.view(count, channels, len(rows), len(columns)), lowpass)


def _sources(images: Tensor, matrices: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return x and y `(N, rows, columns)`, in pixels of the picture, of what comes to these columns and rows."""
    _, _, height, width = images.shape
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x, y = columns - middle_x, (rows - middle_y)[:, None]
    # Written out: as a product of matrices it would be rounded to 10 bits where tf32 is allowed.
    (xx, xy, x0), (yx, yy, y0) = (matrices[:, row, :, None, None].unbind(1) for row in (0, 1))
    return xx * x + xy * y + x0 + middle_x, yx * x + yy * y + y0 + middle_y


def mirrored(places: Tensor, length: int) -> Tensor:
    """Return places from 0 to `length - 1` that have the same values, where a picture ends in mirrors."""
    last = length - 1
    return last - (places.remainder(2 * last) - last).abs() if last else torch.zeros_like(places)


def _within(places: Tensor, length: int) -> Tensor:
    """Return places that have been doubled: those beyond the margin among the pixels."""
    doubled = (places >= -MARGIN) & (places <= length - 1 + MARGIN)
    return places.where(doubled, mirrored(places, length))


def _doubled(images: Tensor, lowpass: Tensor) -> Tensor:
    """Return `(N, C, 2 H + 12, 2 W + 12)`: value i lies at pixel (i - 1 - CENTRE) / 2."""
    for axis in (2, 3):
        length = images.shape[axis]
        places = torch.arange(-2 * MARGIN, length + 2 * MARGIN, device=images.device)
        images = images.index_select(axis, mirrored(places, length))
    count, channels, height, width = images.shape
    single = images.reshape(count * channels, 1, height, width)
    single = functional.conv_transpose2d(single, lowpass.view(1, 1, -1, 1), stride=(2, 1), padding=(11, 0))
    single = functional.conv_transpose2d(single, lowpass.view(1, 1, 1, -1), stride=(1, 2), padding=(0, 11))
    return single.view(count, channels, single.shape[2], single.shape[3])


def _halved(images: Tensor, lowpass: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    single = images.reshape(count * channels, 1, height, width)
    single = functional.conv2d(single, lowpass.view(1, 1, -1, 1), stride=(2, 1))
    single = functional.conv2d(single, lowpass.view(1, 1, 1, -1), stride=(1, 2))
    return single.view(count, channels, single.shape[2], single.shape[3])

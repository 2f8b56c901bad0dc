"""What the pictures of a snapshot show: a collapse, saturation, the grid of upsampling, copies of the data."""

from __future__ import annotations

from ganlab.health.pictures import Copies, Pictures, apartness, extremes, grid_pattern, spread
from ganlab.health.signs import LONG, Sign

LEAST_SPREAD = 0.01
"""Samples that differ among each other by less than this share of what the data do are one picture."""
LEAST_APART = 0.1
"""Samples nearer to each other than this share of how near real ones are, in the median, are a few pictures."""
LOOKED_AT = 64
"""So many samples are looked at."""
ENOUGH = 16
"""From so many pictures on, distances among them tell something."""

SATURATED = 0.5
"""Of the numbers that are neither black nor white in the data, which part may become so."""
HALFTONES = 0.02
"""Data with a smaller part of numbers that are neither are black and white by themselves."""

GRID = 8.0
"""How many times the power of the frequencies beside it a pattern of a period of upsampling may have."""
GRID_SHARE = 0.005
"""And which part of the pictures' variance: what is weaker cannot be seen."""
GRID_OF_REALS = 4.0
"""And how many times what the data have: some data have a pattern of their own."""

COPIES = 0.25
"""Which part of the samples may be copies of pictures of the data, beyond the copies that the data themselves have."""
SNAPSHOTS = 2
"""What is seen in so many snapshots in succession is a finding, and ends with so many in which it is not."""


class Looks:
    """Compares the samples of snapshots with pictures of the data."""

    def __init__(self, reals: Pictures, images: Pictures | None) -> None:
        """`reals` `(N, H, W, C)` are some pictures of the data, `images` `(N, C, H, W)` all of them, where they are few
        enough to look for copies of them."""
        self._reals = reals = reals[:LOOKED_AT]
        self._extremes, self._grid = extremes(reals), grid_pattern(reals)
        self._images = None if images is None or len(images) < ENOUGH else images
        self._copies: Copies | None = None  # made when it is wanted: it takes some time
        self._copies_of_reals: float | None = None
        self._seen: dict[str, tuple[bool, int, int]] = {}
        """Whether a sign is one of presence, since which iteration, and in how many snapshots."""

    def snapshot(self, iteration: int, samples: Pictures) -> dict[str, Sign]:
        """Return what is seen, and what has not been seen for some snapshots, by the names of the findings."""
        samples = samples[:LOOKED_AT]
        if iteration < LONG or len(samples) < 2 or samples.shape[1:] != self._reals.shape[1:]:
            return {}
        signs = {
            "generator_collapse": sign_of_collapse(iteration, samples, self._reals, "samples"),
            "saturation": self._saturation(iteration, samples),
            "checkerboard": self._checkerboard(iteration, samples),
            "memorisation": self._memorisation(iteration, samples),
        }
        return {name: told for name, sign in signs.items() if sign is not None and (told := self._again(name, sign))}

    def _again(self, name: str, sign: Sign) -> Sign | None:
        """Return a sign that has been seen in enough snapshots, from the first of them on."""
        present, since, times = self._seen.get(name, (sign.present, sign.since, 0))
        if present != sign.present:
            since, times = sign.since, 0
        self._seen[name] = (sign.present, since, times + 1)
        return sign._replace(since=since) if times + 1 >= SNAPSHOTS else None

    def _saturation(self, iteration: int, samples: Pictures) -> Sign | None:
        halftones = 1.0 - self._extremes
        if halftones < HALFTONES:
            return None
        found = extremes(samples)
        lost = (found - self._extremes) / halftones
        words = f"{found:.0%} of the numbers in the samples of iteration {iteration:,} are black or white"
        words = f"{words}, and {self._extremes:.0%} of those in the data"
        return Sign(lost > SATURATED, iteration, words, {"samples": found, "data": self._extremes})

    def _checkerboard(self, iteration: int, samples: Pictures) -> Sign:
        found = grid_pattern(samples)
        seen = found.excess > max(GRID, GRID_OF_REALS * self._grid.excess) and found.share > GRID_SHARE
        words = (
            f"the samples of iteration {iteration:,} have a pattern of every {found.period} pixels, {found.excess:.1f} "
            f"times as strong as what is beside it and {found.share:.1%} of their variance"
        )
        numbers = {"period": float(found.period), "excess": found.excess, "share": found.share}
        return Sign(seen, iteration, words, numbers | {"excess_of_data": self._grid.excess})

    def _memorisation(self, iteration: int, samples: Pictures) -> Sign | None:
        if self._images is None or len(samples) < ENOUGH:
            return None
        if self._copies is None or self._copies_of_reals is None:
            self._copies = Copies(self._images)
            self._copies_of_reals = self._copies.share_among_reals(LOOKED_AT)
        return sign_of_copies(iteration, self._copies.share(samples), self._copies_of_reals, "samples")


def sign_of_collapse(iteration: int, samples: Pictures, reals: Pictures, what: str) -> Sign | None:
    """Return what samples say, beside pictures of the data, both `(N, H, W, C)`; nothing where the data are alike."""
    usual = spread(reals)
    if usual == 0.0:
        return None
    share = spread(samples) / usual
    numbers = {"spread": share}
    if share < LEAST_SPREAD:
        words = f"all but the same picture; they differ among each other by {share:.1%} of what the data's do"
        return Sign(True, iteration, f"the {what} of iteration {iteration:,} are {words}", numbers)
    count = min(len(samples), len(reals))
    if count >= ENOUGH and (usual := apartness(reals[:count])) > 0.0:
        numbers["apart"] = apart = apartness(samples[:count]) / usual
        if apart < LEAST_APART:
            words = (
                f"copies of a few: half of them are nearer to another one than {apart:.1%} of what pictures of the "
                "data are"
            )
            return Sign(True, iteration, f"the {what} of iteration {iteration:,} are {words}", numbers)
    words = f"the {what} of iteration {iteration:,} differ by {share:.0%} of what the data's do"
    return Sign(False, iteration, words, numbers)


def sign_of_copies(iteration: int, share: float, of_reals: float, what: str) -> Sign:
    """Return what a share of copies says, beside that of real pictures."""
    words = f"{share:.0%} of the {what} of iteration {iteration:,} are copies of pictures of the data"
    words = f"{words}, and {of_reals:.0%} of those are copies of each other"
    return Sign(share > of_reals + COPIES, iteration, words, {"copies": share, "copies_of_data": of_reals})

"""The checks of metrics: what they return, what they leave alone, and that they know noise from pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import Comparison, FeatureNetwork, ImageSpec, Metric, PublishedWeights, better_of
from ganlab.judging.moments import moments_of
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject
from ganlab.testing.surroundings import moved, random_states

IMAGES = (ImageSpec(3, 16, 16), ImageSpec(1, 20, 32))
"""Colour, and grey that is not square."""
COUNT = 64
"""Pictures of each set."""
FEATURES = 8
"""How many a picture has: fewer than there are pictures, as covariances need."""
ROUNDING = 1e-6
"""What sums in another order may change of a number."""
DIGEST = "[0-9a-f]{64}"
"""SHA-256, in hexadecimal digits."""

CHANCE = 0.05
"""How much worse than others of their kind pictures may be by chance, as a part of how much worse noise is."""

Pictures = np.ndarray[Any, np.dtype[np.uint8]]


def returns_numbers(subject: Subject[Metric]) -> None:
    """Compare real pictures with other real ones, grey and coloured, and look at what is returned."""
    for images in IMAGES:
        for name, value in _numbers(subject, images, "others").items():
            if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{1,64}", name):
                raise ContractError(f"a number is called {name!r}: take up to 64 of a-z, 0-9 and _")
            if better_of(subject.make(), name) is None:
                raise ContractError(f"it returns {name}, of which `better` says nothing: state it there")
            if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
                raise ContractError(f"{name} is {value!r}: return a number")
            if not math.isfinite(value):
                raise ContractError(f"{name} is {value} for real pictures: return finite numbers")


def repeats_itself(subject: Subject[Metric]) -> None:
    """Compare the same pictures twice."""
    for images in IMAGES:
        first, second = (_computed(subject, images, "others") for _ in range(2))
        if first != second:
            raise ContractError(
                "the same pictures and the same seed give other numbers the second time: draw from "
                "numpy.random.default_rng(comparison.seed), and remember nothing"
            )


def takes_any_order(subject: Subject[Metric]) -> None:
    """Compare the same pictures in another order."""
    for images in IMAGES:
        numbers, again = _numbers(subject, images, "others"), _computed(subject, images, "others", shuffled=True)
        for name, value in numbers.items():
            if name not in again or not math.isclose(value, again[name], rel_tol=ROUNDING, abs_tol=ROUNDING):
                raise ContractError(
                    f"{name} is {value} or {again.get(name)}, depending on the order in which the same pictures come: "
                    "use all of them, or sort them before some are drawn"
                )


def leaves_the_pictures(subject: Subject[Metric]) -> None:
    """Look at the arrays afterwards, and at the random states."""
    for images in IMAGES:
        comparison = _comparison(images, "others")
        arrays: list[np.ndarray[Any, Any]] = [comparison.real, comparison.fake, *comparison.features()]
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = True
        states = random_states()
        subject.make().compute(comparison)
        if any(not np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True)):
            raise ContractError("it writes into the arrays that it compares, which others compare after it: copy them")
        if found := moved(states, torch_may_draw=False):
            raise ContractError(
                f"it draws from or seeds {' and '.join(found)}: draw from numpy.random.default_rng(comparison.seed)"
            )


def knows_noise(subject: Subject[Metric]) -> str | None:
    """Compare real pictures with noise, and with other real ones: the first must not look better."""
    metric = subject.make()
    if all(better_of(metric, name) == "neither" for name in _numbers(subject, IMAGES[0], "others")):
        raise NotRunError("of none of its numbers it says which are better")
    tells = False
    for images in IMAGES:
        real, noise = _numbers(subject, images, "others"), _numbers(subject, images, "noise")
        for name, gain in _gains(subject, real, noise).items():
            if gain > ROUNDING:
                raise ContractError(
                    f"{name} is {noise[name]} for noise and {real[name]} for real pictures, so noise is the better: "
                    'turn `better` round, or state "neither" where no number is good by itself'
                )
            tells |= gain < -ROUNDING
    return None if tells else "noise has the numbers of real pictures: say in its docstring what it is blind to"


def knows_real_pictures(subject: Subject[Metric]) -> str | None:
    """Compare real pictures with themselves, and with other real ones."""
    for images in IMAGES:
        others, itself, noise = (_numbers(subject, images, fake) for fake in ("others", "itself", "noise"))
        scale = _gains(subject, others, noise)
        gains = _gains(subject, others, itself)
        worse = [name for name, gain in gains.items() if gain < -max(ROUNDING, CHANCE * abs(scale.get(name, 0.0)))]
        if worse:
            name = worse[0]
            return (
                f"{name} is {itself[name]} for the real pictures themselves and {others[name]} for other real ones: "
                "right where it looks for copies, else look at its formula"
            )
    return None


def states_what_it_needs(subject: Subject[Metric]) -> None:
    """Look at how many pictures it takes at least, and at the weights that it says are published."""
    metric = subject.make()
    if type(metric.least_pictures) is not int or metric.least_pictures < 1:
        raise ContractError(f"least_pictures is {metric.least_pictures!r}: state a whole number from 1")
    weights: object = metric.published
    if weights is None:
        return
    if not isinstance(weights, PublishedWeights):
        raise ContractError(f"published is {weights!r}: state ganlab.PublishedWeights, or nothing")
    if Path(weights.file).name != weights.file or not weights.url.startswith("https://"):
        raise ContractError("published has a file without folders, and an address that begins with https://")
    if not re.fullmatch(DIGEST, weights.sha256) or weights.size < 1:
        raise ContractError("published has the SHA-256 of the file, 64 digits of 0-9 and a-f, and its size in bytes")


def brings_its_network(subject: Subject[Metric]) -> None:
    """Open the network that it brings, if it does, and let pictures of two sizes through it."""
    metric = subject.make()
    if not metric.brings_network:
        return
    try:
        network: object = metric.network("cpu")
    except PluginError:
        raise
    except GanlabError as error:
        raise NotRunError(f"its network is not here: {error}") from error
    if not isinstance(network, FeatureNetwork):
        raise ContractError(f"network() returns {network!r}: return ganlab.FeatureNetwork")
    if not re.fullmatch(r"[a-z0-9_]{1,64}", network.name) or not re.fullmatch(DIGEST, network.digest):
        raise ContractError("a network's name is of a-z, 0-9 and _, and its digest the SHA-256 of its weights")
    for images in IMAGES:
        pixels = np.ascontiguousarray(_pictures(images, range(2)).transpose(0, 3, 1, 2))
        pixels = np.repeat(pixels, 3 // images.channels, 1)
        made, again = (network.compute(pixels.copy()) for _ in range(2))
        if not isinstance(made, np.ndarray) or made.dtype != np.float32 or made.ndim != 2 or len(made) != 2:
            raise ContractError(f"its network makes {made!r} of 2 pictures: make float32 (N, D)")
        if not np.isfinite(made).all() or not np.array_equal(made, again):
            raise ContractError("its network makes other features the second time, or such that are not finite")
        if made[:, network.columns].shape[1] == 0:
            raise ContractError(f"columns is {network.columns!r}, and its network makes {made.shape[1]} features")


CHECKS = (
    Check("needs", "What it says it needs can be had.", states_what_it_needs, ("defaults",)),
    Check("network", "The network that it brings makes the same finite features.", brings_its_network, ("defaults",)),
    Check(
        "numbers", "It returns finite numbers by name, of grey and coloured pictures.", returns_numbers, ("defaults",)
    ),
    Check("repeatable", "The same pictures and seed give the same numbers.", repeats_itself, ("numbers",)),
    Check("order", "The order of the pictures does not matter.", takes_any_order, ("repeatable",)),
    Check("reads", "It writes into no array and moves no random state.", leaves_the_pictures, ("numbers",)),
    Check("noise", "Noise is not better than real pictures.", knows_noise, ("numbers",)),
    Check("real", "Real pictures are as good as others of their kind.", knows_real_pictures, ("noise",)),
)


def _gains(subject: Subject[Metric], usual: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Return by how much the other numbers are better than the usual ones, of those that have a better end."""
    signs = {"lower": -1.0, "higher": 1.0}
    metric = subject.make()
    return {
        name: sign * (other[name] - value)
        for name, value in usual.items()
        if name in other and (sign := signs.get(better_of(metric, name) or "")) is not None
    }


@lru_cache(maxsize=64)
def _numbers(subject: Subject[Metric], images: ImageSpec, fake: str) -> Mapping[str, float]:
    return _computed(subject, images, fake)


def _computed(subject: Subject[Metric], images: ImageSpec, fake: str, shuffled: bool = False) -> Mapping[str, float]:
    """Return what the metric says, given arrays that refuse to be written."""
    comparison = _comparison(images, fake, shuffled)
    try:
        made: object = subject.make().compute(comparison)
    except ValueError as error:
        raise ContractError(f"it refuses {COUNT} pictures of {images[1]} x {images[2]}: {error}") from error
    if not isinstance(made, Mapping) or not made:
        raise ContractError(f"compute() returns {made!r}: return numbers by name")
    return made


def _comparison(images: ImageSpec, fake: str, shuffled: bool = False) -> Comparison:
    real = _pictures(images, range(COUNT))
    match fake:
        case "itself":
            made = real.copy()
        case "others":
            made = _pictures(images, range(COUNT, 2 * COUNT))
        case _:
            made = np.random.default_rng(0).integers(0, 256, real.shape, np.uint8)
    if shuffled:
        order = np.random.default_rng(1).permutation(COUNT)
        real, made = real[order], made[order[::-1]]
    features = _features(real), _features(made)
    moments = moments_of(features[0]), moments_of(features[1])
    for one in moments:
        one.mean.flags.writeable = one.covariance.flags.writeable = False
    for array in (real, made, *features):
        array.flags.writeable = False
    return Comparison(real, made, 0, "contract", lambda: features, lambda: moments)


def _pictures(images: ImageSpec, numbers: range) -> Pictures:
    """Return soft spots of light, one a picture: pictures have contours, and noise has none."""
    rows, columns = np.mgrid[: images.height, : images.width]
    made = np.empty((len(numbers), images.height, images.width, images.channels), np.uint8)
    for place, number in enumerate(numbers):
        drawn = np.random.default_rng(number)
        y, x = drawn.uniform(0.25, 0.75, 2) * images[1:3]
        spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2.0 * drawn.uniform(2.0, 4.0) ** 2))
        colour = drawn.uniform(100.0, 255.0, images.channels)
        made[place] = np.rint(spot[..., None] * colour)
    return made


def _features(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return means of patches in fixed mixtures, which is what a feature network of one layer computes."""
    count, height, width, _ = pictures.shape
    grey = pictures.mean(3) / 255.0
    patches = grey.reshape(count, 4, height // 4, 4, width // 4).std((2, 4)).reshape(count, 16)
    # One row at a time: the order of the rows must not change how any is rounded.
    mixture = np.random.default_rng(0).standard_normal((16, FEATURES))
    return np.stack([row @ mixture for row in patches])

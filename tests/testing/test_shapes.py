"""Which pictures a model is checked with: some of each usual size that it accepts, or those that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from breaking import Good

from ganlab import ImageSpec
from ganlab.testing.shapes import shapes


def accepting(rule: Callable[[ImageSpec], bool], conditional: bool = False) -> Good:
    """Return a model that accepts pictures by this rule."""

    class Choosy(Good):
        """Accepts some."""

        api = 1

        def check(self, images: ImageSpec) -> None:
            if not rule(images):
                raise ValueError("not these")

    class Labelled(Choosy):
        """Accepts some, and draws what it is told."""

        api = 1
        conditional: ClassVar[bool] = True

    return Labelled() if conditional else Choosy()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda images: True, [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 48, 64)]),
        (lambda images: images.channels == 3, [(3, 28, 28), (3, 32, 32), (3, 48, 64), (3, 64, 64)]),
        (lambda images: images.height == images.width == 64, [(1, 64, 64)]),
        (lambda images: images.height in (8, 128), [(1, 8, 8), (1, 128, 128)]),
    ],
    ids=["all", "colour", "one", "unusual"],
)
def test_grey_and_colour_take_turns_and_unusual_sizes_are_for_need(rule: Any, expected: list[tuple[int, ...]]) -> None:
    assert [images[:3] for images in shapes(accepting(rule))] == expected


def test_pictures_that_are_asked_for_are_the_only_ones_and_come_smallest_first() -> None:
    wanted = [ImageSpec(3, 20, 20), ImageSpec(1, 12, 16)]
    assert shapes(accepting(lambda images: True), wanted) == (wanted[1], wanted[0])


def test_a_conditional_model_gets_pictures_with_labels() -> None:
    model = accepting(lambda images: images.height == 28, conditional=True)
    assert [images.classes for images in shapes(model)] == [3]
    assert [images.classes for images in shapes(model, [ImageSpec(1, 28, 28, 7)])] == [7]

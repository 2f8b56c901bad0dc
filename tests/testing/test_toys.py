"""What components are tried with: pictures that differ, and models whose every part can be seen in what they make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ganlab import ImageSpec
from ganlab.testing.toys import CLASSES, IMAGES, Tiny, TinyLabelled, waves


@pytest.mark.parametrize("images", [ImageSpec(1, 8, 8), ImageSpec(3, 12, 20, 3)])
def test_pictures_are_all_different_and_the_same_in_every_call(images: ImageSpec) -> None:
    packed = waves(images, 40)
    assert packed.images.shape == (40, *images[:3])
    assert len(np.unique(packed.images.reshape(40, -1), axis=0)) == 40
    assert np.array_equal(packed.images, waves(images, 40).images)
    if images.classes:
        assert packed.labels is not None
        assert set(packed.labels.tolist()) == set(range(images.classes))
    else:
        assert packed.labels is None


def test_a_generator_without_its_batchnorm_s_statistics_makes_other_pictures() -> None:
    torch.manual_seed(0)
    generator = Tiny().build(IMAGES)["generator"].eval()
    z = torch.randn(3, 4)
    made = generator(z)
    (norm,) = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    norm.reset_parameters()
    assert (made - generator(z)).abs().max() > 0.01


def test_a_labelled_generator_draws_what_it_is_told() -> None:
    torch.manual_seed(0)
    generator = TinyLabelled().build(IMAGES._replace(classes=CLASSES))["generator"].eval()
    z = torch.randn(1, 4).expand(CLASSES, -1)
    made = generator(z, torch.arange(CLASSES))
    assert made.shape == (CLASSES, *IMAGES[:3])
    assert all((made[one] - made[two]).abs().max() > 0.01 for one, two in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("model", [Tiny(), TinyLabelled()])
def test_odd_sides_are_refused(model: Tiny | TinyLabelled) -> None:
    model.check(ImageSpec(2, 6, 10))
    with pytest.raises(ValueError, match="pictures of 8x9 cannot be made; both sides must be even"):
        model.check(ImageSpec(1, 8, 9))

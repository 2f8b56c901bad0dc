"""FID: the Fréchet distance of its own network's features, refused of few pictures before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab import GanlabError
from ganlab.judging.evaluation import evaluate
from ganlab.judging.moments import moments_of
from ganlab.judging.reals import Reals
from ganlab.standard.metrics.fid import FID
from ganlab.standard.metrics.frechet import frechet_distance


def test_it_is_the_frechet_distance_under_its_own_name() -> None:
    real, fake = normal(40, 5, 0), normal(30, 5, 1) + 0.3
    assert FID().compute(of_features(real, fake)) == {"fid": frechet_distance(moments_of(real), moments_of(fake))}
    with pytest.raises(ValueError, match=r"^5 pictures are too few for the 5 features of net: take more than 5, or "):
        FID().compute(of_features(real, fake[:5]))


def test_2048_pictures_are_refused_before_anything_is_computed() -> None:
    pictures = np.zeros((2048, 1, 1, 1), np.uint8)

    def found(asked: bool) -> dict[str, str]:
        reals = Reals(pictures, pictures, "none")
        return dict(evaluate((), reals, ("none", {}), {"fid": FID()}, None, 1, print, asked=asked).left_out)

    with pytest.raises(GanlabError) as caught:
        found(asked=True)
    assert str(caught.value) == (
        "fid: 2,048 pictures are too few: it takes at least 2,049 generated ones, and as many real ones twice; ask for "
        "more, --count or evaluate.count, or leave it out"
    )
    assert found(asked=False) == {
        "fid": "2,048 pictures are too few: it takes at least 2,049 generated ones, and as many real ones twice"
    }

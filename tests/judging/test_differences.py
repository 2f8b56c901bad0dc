"""What two generators differ in: chance is told from a difference, and unlike ways of judging are refused."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparable import ORIGIN, RECIPE, evaluation

from ganlab import GanlabError
from ganlab.judging.differences import Contrast, Differences, Side, compare
from ganlab.judging.report import Evaluation, Score

GOOD = {"kid": (0.10, 0.11, 0.12), "recall": (0.50, 0.52, 0.51), "ms_ssim": (0.2, 0.21, 0.22)}
BAD = {"kid": (0.30, 0.32, 0.31), "recall": (0.30, 0.31, 0.32), "ms_ssim": (0.3, 0.31, 0.33)}


def side(found: Evaluation, called: str = "a.json") -> Side:
    return Side(called, found, found.columns[0])


def compared(a: Evaluation, b: Evaluation) -> Differences:
    return compare(side(a), side(b, "b.json"))


def refusal(a: Evaluation, b: Evaluation) -> str:
    with pytest.raises(GanlabError) as caught:
        compared(a, b)
    return str(caught.value)


def test_the_better_one_is_told_for_scores_of_each_kind() -> None:
    found = compared(evaluation(GOOD), evaluation(BAD, digest="sha256:1"))
    assert {name: score.verdict for name, score in found.scores.items()} == {
        "kid": "A",
        "recall": "A",
        "ms_ssim": "differ",
    }
    kid = found.scores["kid"].difference
    pairs = [a - b for a, b in zip(GOOD["kid"], BAD["kid"], strict=True)]
    assert (kid.mean, kid.spread) == (statistics.fmean(pairs), statistics.stdev(pairs))
    other = compared(evaluation(BAD), evaluation(GOOD))
    assert [score.verdict for score in other.scores.values()] == ["B", "B", "differ"]


def test_a_difference_that_all_blocks_have_counts_and_one_that_they_do_not_have_does_not() -> None:
    """The spread of each is large; that of the difference decides."""
    together = compared(evaluation({"kid": (0.1, 0.2, 0.3)}), evaluation({"kid": (0.11, 0.212, 0.309)}))
    apart = compared(evaluation({"kid": (0.1, 0.2, 0.3)}), evaluation({"kid": (0.311, 0.109, 0.212)}))
    assert (together.scores["kid"].verdict, apart.scores["kid"].verdict) == ("A", "none")


def test_equal_numbers_are_no_difference_and_constant_ones_are() -> None:
    same = compared(evaluation({"ms_ssim": (0.0, 0.0, 0.0)}), evaluation({"ms_ssim": (0.0, 0.0, 0.0)}))
    assert same.scores["ms_ssim"].verdict == "none"
    constant = compared(evaluation({"recall": (0.0, 0.0, 0.0)}), evaluation({"recall": (0.5, 0.5, 0.5)}))
    assert constant.scores["recall"].verdict == "B"


@pytest.mark.parametrize(("blocks", "shared"), [(2, 0.0), (3, 0.0), (3, 5.0), (8, 1.0)])
def test_of_equal_generators_one_score_in_twenty_shows_a_difference(blocks: int, shared: float) -> None:
    """Whatever the blocks have in common, such as the metric's own draws."""
    drawn = np.random.default_rng(blocks)
    common = shared * drawn.standard_normal((4000, 1, blocks))
    pairs = common + drawn.standard_normal((4000, 2, blocks))
    verdicts = [Contrast("lower", Score(tuple(a)), Score(tuple(b))).verdict for a, b in pairs.tolist()]
    assert len(verdicts) - verdicts.count("none") == pytest.approx(200, abs=45)  # three standard deviations
    assert verdicts.count("A") == pytest.approx(verdicts.count("B"), abs=60)


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "pictures": (
        {"fingerprint": "ef" * 32, "dataset": "shoes"},
        "the real pictures are clothes abababababab and shoes efefefefefef",
    ),
    "count": ({"real": 50, "fake": 60}, "100 and 50 real pictures; 100 and 60 generated pictures in a block"),
    "seeds": ({"seeds": 4}, "3 and 4 blocks of seeds"),
    "network": (
        {"network": "net", "network_digest": "ef" * 32},
        "the feature networks are lite0 (SHA-256 cdcdcdcdcdcd) and net (SHA-256 efefefefefef)",
    ),
    "resizer": (
        {"resizer": "none"},
        "the pictures were resized by bicubic to 96 x 96, Pillow 11.0 and none",
    ),
    "options": (
        {"metrics": {"kid": {"subsets": 5}, "prdc": {"k": 3, "new": 1}}},
        "kid.subsets is 10 and 5; prdc.k is 5 and 3; prdc.new is unset and 1",
    ),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_unlike_protocols_are_refused_and_each_difference_is_named(what: str) -> None:
    changes, sentence = UNLIKE[what]
    values = {"kid": tuple(map(float, range(changes.get("seeds", 3))))}
    assert refusal(evaluation(GOOD), evaluation(values, **changes)) == (
        "a.json and b.json were not judged in the same way, so their scores cannot be compared: "
        f"{sentence}. Evaluate both with the same options"
    )


def test_networks_that_metrics_bring_must_be_the_same() -> None:
    values = {"kid": (1.0, 2.0, 3.0)}
    own = {"network": "inception_2015", "network_digest": "ab" * 32, "resizer": "bilinear by 1"}

    def judged(**changes: str) -> Evaluation:
        return evaluation(values, metrics={"kid": {}}, own_networks={"kid": own | changes})

    assert list(compared(judged(), judged()).scores) == ["kid"]
    assert "the network_digest of kid is " in refusal(judged(), judged(network_digest="cd" * 32))
    assert 'the resizer of kid is "bilinear by 1" and "bilinear by 2"' in refusal(
        judged(), judged(resizer="bilinear by 2")
    )
    # What only one of them brings does not matter to scores that both have.
    other = evaluation(values, metrics={"kid": {}}, own_networks={"kid": own, "is": own})
    assert list(compared(judged(), other).scores) == ["kid"]


def test_all_differences_of_protocols_are_named_at_once() -> None:
    changes = {key: value for what in UNLIKE if what != "seeds" for key, value in UNLIKE[what][0].items()}
    said = refusal(evaluation(GOOD), evaluation(GOOD, **changes))
    assert all(sentence in said for what, (_, sentence) in UNLIKE.items() if what != "seeds")


def test_what_only_one_has_is_left_out_and_said() -> None:
    """A network that only one of them had does not matter to scores that both have."""
    none: dict[str, Any] = {"network": None, "network_digest": None, "resizer": None}
    without = evaluation({"ms_ssim": (0.2, 0.3, 0.4)}, metrics={"ms_ssim": {"pairs": 50}}, **none)
    found = compared(evaluation(GOOD), without)
    assert list(found.scores) == ["ms_ssim"]
    assert "only A has kid and recall" in found.remarks
    assert refusal(evaluation({"kid": (1.0, 2.0, 3.0)}), without) == (
        "a.json and b.json have no score in common: kid and ms_ssim; evaluate both with the same metrics"
    )


def test_one_block_is_refused() -> None:
    one = evaluation({"kid": (0.1,)}, seeds=1)
    assert refusal(one, one).startswith("one block of pictures shows no spread, so that no difference can be told from")


def test_what_the_recipes_differ_in_is_named_by_key() -> None:
    table = json.loads(json.dumps(RECIPE))
    table["model"]["base_channels"] = 32
    table["optimizer"]["lr"]["to"] = 1e-5
    table["train"] = {"iterations": 7}
    table["observers"] = {"gif": False}
    table["augmentation"] = {"name": "flip"}
    other = replace(ORIGIN, recipe=table, images=500, fingerprint="ef" * 32)
    found = compared(evaluation(GOOD), evaluation(BAD, origin=other, ganlab="1.1"))
    assert found.recipe == {
        "model.base_channels": (64, 32),
        "optimizer.lr": ({"from": 2e-4, "to": 0.0, "progress": 1.0}, {"from": 2e-4, "to": 1e-5, "progress": 1.0}),
        "train.epochs": (30, None),
        "train.iterations": (None, 7),
        "augmentation.name": (None, "flip"),
    }
    assert found.others == {
        "images seen": (1000, 500),
        "trained on": ("clothes abababababab", "clothes efefefefefef"),
        "judged by ganlab": ("1.0", "1.1"),
    }


def test_of_files_the_models_are_compared_and_of_old_evaluations_nothing() -> None:
    file = replace(ORIGIN, recipe=None, model={"name": "dcgan", "base_channels": 8})
    found = compared(evaluation(GOOD), evaluation(BAD, origin=file))
    assert found.recipe == {"model.base_channels": (64, 8)}
    assert found.remarks == (
        "of the recipe of B no more than the model is known: only a run has all of it",
        "A and B are the same generator",
    )
    old = compared(evaluation(GOOD, origin=None), evaluation(BAD, origin=None, digest="sha256:1"))
    assert (old.recipe, old.others) == ({}, {})
    assert old.remarks == ("the recipe of A and B is not known: its evaluation is of an older ganlab",)


def test_the_json_object_holds_what_was_found() -> None:
    found = json.loads(json.dumps(compared(evaluation(GOOD), evaluation(BAD)).as_json(), allow_nan=False))
    assert found["scores"]["kid"] == {
        "better": "lower",
        "A": pytest.approx(0.11),
        "B": pytest.approx(0.31),
        "difference": pytest.approx(-0.2),
        "spread": pytest.approx(0.01),
        "verdict": "A",
    }
    assert found["rule"] == {"test": "paired t", "level": 0.05, "blocks": 3, "factor": pytest.approx(2.4841, abs=1e-4)}
    assert (found["format"], found["A"]["name"], found["protocol"]["real"]) == (1, "runs/clothes/0001", 100)

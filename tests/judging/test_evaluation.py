"""Generators against real pictures: good ones, bad ones of two kinds, and metrics that misbehave."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from comparisons import of_pictures
from judged import Spots, generator_of, spots, write_features

import ganlab
from ganlab import Comparison, GanlabError, Metric, PluginError
from ganlab.data.packing import pack
from ganlab.judging.evaluation import evaluate
from ganlab.judging.features import load_network
from ganlab.judging.reals import Reals, choose_reals
from ganlab.judging.report import Evaluation
from ganlab.registry import registry
from ganlab.run.scores import candidate_of

COUNT = 200


def quiet(*_: object) -> None:
    pass


@pytest.fixture
def reals() -> Reals:
    return choose_reals(pack(Spots(), "spots", quiet), COUNT, "spots")


def made(reals: Reals, *candidates: Path, names: str, seeds: int = 2, asked: bool = True, folder: Path) -> Evaluation:
    """Judge files by metrics, with the feature network of the tests."""
    network = load_network(write_features(folder / "net.onnx"))
    judged = [candidate_of(ganlab.load_generator(path), path.stem, None) for path in candidates]
    metrics: dict[str, Metric] = {name: registry.get("metric", name)() for name in names.split(",")}
    return evaluate(judged, reals, ("spots", {}), metrics, network, seeds, quiet, asked=asked)


def test_a_memorising_and_a_collapsed_generator_are_exposed(reals: Reals, tmp_path: Path) -> None:
    good = generator_of(tmp_path / "good.onnx", spots(range(1000, 2000)))
    copying = generator_of(tmp_path / "copying.onnx", reals.first[:12])
    collapsed = generator_of(tmp_path / "collapsed.onnx", spots(range(1000, 1003)))
    names = "kid,mind,prdc,frechet,sliced_wasserstein,ms_ssim,neighbours"
    found = made(reals, good, copying, collapsed, names=names, folder=tmp_path)
    new, copies, few = ({name: score.mean for name, score in column.scores.items()} for column in found.columns)
    real = {name: score.mean for name, score in found.reference.scores.items()}

    # A generator that draws what the data is drawn from is as good as more of the data.
    assert list(new) == list(real) == list(found.better)
    assert abs(new["kid"] - real["kid"]) < 0.1 * few["kid"]
    for name in ("precision", "recall", "density", "coverage"):
        assert new[name] == pytest.approx(real[name], abs=0.15)
    assert new["copies"] == pytest.approx(real["copies"], abs=0.1)

    # Copies of some real pictures are perfectly real, and named.
    assert copies["precision"] == 1
    assert copies["copies"] == 1
    assert copies["nearness"] == 0
    assert copies["recall"] < 0.6 * real["recall"]
    assert copies["coverage"] < 0.9 * real["coverage"]

    # A collapse is not seen by precision alone.
    assert few["precision"] > 0.5
    assert few["recall"] < 0.1
    assert few["coverage"] < 0.15
    assert few["ms_ssim"] > real["ms_ssim"] + 0.1
    for name in ("kid", "mind", "fd_net", "sliced_wasserstein"):
        assert few[name] > 3 * new[name]
        assert few[name] > 3 * real[name]


def test_each_block_of_seeds_is_drawn_as_sample_draws_it(reals: Reals, tmp_path: Path) -> None:
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1400)))
    found = made(reals, path, names="ms_ssim", seeds=3, folder=tmp_path)
    (column,) = found.columns
    expected = []
    for block in range(3):
        fake = ganlab.load_generator(path).sample(range(block * COUNT, (block + 1) * COUNT))
        comparison = of_pictures(reals.first, fake, block)
        expected.append(registry.get("metric", "ms_ssim")().compute(comparison)["ms_ssim"])
    assert column.scores["ms_ssim"].values == tuple(expected)
    assert column.scores["ms_ssim"].mean == pytest.approx(statistics.fmean(expected))
    assert column.scores["ms_ssim"].spread == pytest.approx(statistics.stdev(expected))
    again = made(reals, path, names="ms_ssim", seeds=3, folder=tmp_path)
    assert again == found


def test_every_score_carries_its_protocol(reals: Reals, tmp_path: Path) -> None:
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1400)))
    found = json.loads(json.dumps(made(reals, path, names="prdc", seeds=1, folder=tmp_path).as_json()))
    assert found["format"] == 1
    protocol = found["protocol"]
    network = load_network(tmp_path / "net.onnx")
    assert protocol == {
        "dataset": "spots",
        "options": {},
        "fingerprint": pack(Spots(), "spots", quiet).fingerprint,
        "pictures": [1, 16, 16],
        "real": COUNT,
        "fake": COUNT,
        "seeds": 1,
        "network": "net",
        "network_digest": network.digest,
        "resizer": network.resizer(16, 16),
        "metrics": {"prdc": {"k": 5}},
        "ganlab": protocol["ganlab"],
        "own_networks": {},
    }
    (generator,) = found["generators"]
    assert generator["digest"] == ganlab.read_metadata(path).digest
    assert generator["trained_on_these"] is False
    assert generator["averaged_weights"] is None
    recall = generator["scores"]["recall"]
    assert recall == {"mean": recall["values"][0], "spread": None, "values": recall["values"]}
    assert found["better"] == dict.fromkeys(("precision", "recall", "density", "coverage"), "higher")


class Made(Metric):
    """Returns what it is told to."""

    api = 1
    better: ClassVar = "lower"
    numbers: ClassVar[Callable[[Comparison], Any]] = lambda comparison: {}

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        numbers: Mapping[str, float] = type(self).numbers(comparison)
        return numbers


@pytest.fixture
def _made() -> Iterator[None]:
    registry.add("metric", "made", Made)
    yield
    registry.remove("metric", "made")


def refusing(comparison: Comparison) -> Mapping[str, float]:
    raise ValueError("take more pictures")


def writing(comparison: Comparison) -> Mapping[str, float]:
    comparison.fake[0] = 0
    return {"n": 1.0}


def failing(comparison: Comparison) -> Mapping[str, float]:
    return {"n": 1 / 0}


WRONG: dict[str, tuple[Callable[[Comparison], Any], str]] = {
    "nothing": (lambda _: {}, "returns {}: it must return numbers by name"),
    "a number": (lambda _: 3.0, "returns 3.0: it must return numbers by name"),
    "a text": (lambda _: {"n": "1"}, "returns n = '1', which is no number"),
    "true": (lambda _: {"n": True}, "returns n = True, which is no number"),
    "nan": (lambda _: {"n": float("nan")}, "returns n = nan, which is not finite"),
    "a name": (lambda _: {"N\x1b": 1.0}, r"returns a number called 'N\x1b': a name is of a-z, 0-9 and _"),
    "an error": (failing, "cannot compare pictures: ZeroDivisionError: division by zero"),
}


@pytest.mark.usefixtures("_made")
@pytest.mark.parametrize(("numbers", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_metric_that_misbehaves_is_named(
    numbers: Callable[[Comparison], Any], sentence: str, reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Made, "numbers", numbers)
    with pytest.raises(PluginError) as caught:
        made(reals, names="made", folder=tmp_path)
    assert str(caught.value) == f'metric "made" (this process) {sentence}'


@pytest.mark.usefixtures("_made")
def test_what_refuses_is_left_out_unless_it_was_asked_for(
    reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Made, "numbers", refusing)
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1400)))
    found = made(reals, path, names="made,prdc", asked=False, folder=tmp_path)
    assert found.left_out == {"made": "take more pictures"}
    assert list(found.better) == ["precision", "recall", "density", "coverage"]
    assert list(found.protocol.metrics) == ["prdc"]
    with pytest.raises(GanlabError, match=r"^made: take more pictures$"):
        made(reals, path, names="made,prdc", folder=tmp_path)


@pytest.mark.usefixtures("_made")
@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (failing, 'metric "made" (this process) cannot compare pictures: ZeroDivisionError: division by zero'),
        (lambda comparison: comparison.features(), "no network makes features; name one"),
        (lambda comparison: comparison.moments(), "no network makes features; name one"),
    ],
)
def test_a_broken_metric_harms_only_who_names_it(
    numbers: Callable[[Comparison], Any], reason: str, reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Made, "numbers", numbers)
    metrics: dict[str, Metric] = {"made": Made(), "ms_ssim": registry.get("metric", "ms_ssim")()}
    found = evaluate([], reals, ("spots", {}), metrics, None, 1, quiet, asked=False)
    assert found.left_out == {"made": reason}
    assert list(found.reference.scores) == ["ms_ssim"]
    with pytest.raises(GanlabError) as caught:
        evaluate([], reals, ("spots", {}), metrics, None, 1, quiet, asked=True)
    assert reason in str(caught.value)


@pytest.mark.usefixtures("_made")
def test_two_metrics_with_one_name_are_told_apart(
    reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Made, "numbers", lambda _: {"recall": 1.0})
    with pytest.raises(PluginError, match=r"returns recall, and so does the metric prdc: leave out one of them$"):
        made(reals, names="prdc,made", folder=tmp_path)


@pytest.mark.usefixtures("_made")
def test_no_metric_can_change_what_others_compare(
    reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Made, "numbers", writing)
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1400)))
    with pytest.raises(GanlabError, match=r"^made: assignment destination is read-only$"):
        made(reals, path, names="made", folder=tmp_path)


@pytest.mark.usefixtures("_made")
def test_features_are_computed_once_for_all_metrics(
    reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def noting(comparison: Comparison) -> Mapping[str, float]:
        seen.append((id(comparison.features()[0]), id(comparison.features()[1])))
        assert comparison.features()[1].dtype == np.float64
        return {"n": 0.0}

    monkeypatch.setattr(Made, "numbers", noting)
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1400)))
    fed: list[int] = []
    network = load_network(write_features(tmp_path / "net.onnx"))

    def counted(pixels: np.ndarray) -> np.ndarray:
        fed.append(len(pixels))
        return network.compute(pixels)

    candidate = candidate_of(ganlab.load_generator(path), "good", None)
    metrics: dict[str, Metric] = {"made": Made(), "prdc": registry.get("metric", "prdc")()}
    evaluate([candidate], reals, ("spots", {}), metrics, network._replace(compute=counted), 2, quiet, asked=True)
    assert sum(fed) == 2 * COUNT + 2 * COUNT
    assert len({real for real, _ in seen}) == 1


@pytest.mark.usefixtures("_made")
def test_moments_are_those_of_the_features_and_of_real_pictures_computed_once(
    reals: Reals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def noting(comparison: Comparison) -> Mapping[str, float]:
        moments = comparison.moments()
        seen.append((id(moments[0]), id(moments[1])))
        for rows, known in zip(comparison.features(), moments, strict=True):
            assert known.pictures == len(rows)
            np.testing.assert_allclose(known.mean, rows.mean(0))
            np.testing.assert_allclose(known.covariance, np.cov(rows, rowvar=False), atol=1e-9)
            assert not known.mean.flags.writeable
            assert not known.covariance.flags.writeable
        return {"n": 0.0}

    monkeypatch.setattr(Made, "numbers", noting)
    paths = [generator_of(tmp_path / f"{name}.onnx", spots(range(1000, 1400))) for name in ("one", "two")]
    made(reals, *paths, names="made", folder=tmp_path)
    assert len(seen) == 1 + 2 * 2
    assert len({real for real, _ in seen}) == 1


def test_pictures_of_another_shape_are_refused(reals: Reals, tmp_path: Path) -> None:
    small = generator_of(tmp_path / "small.onnx", spots(range(5))[:, :8])
    sentence = (
        r"^small draws pictures of 1 x 8 x 16, and the data has 1 x 16 x 16: name data of its shape, --data RECIPE$"
    )
    with pytest.raises(GanlabError, match=sentence):
        made(reals, small, names="ms_ssim", folder=tmp_path)

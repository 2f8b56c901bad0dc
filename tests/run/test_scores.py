"""Scores while a run trains: nothing of the training changes, the best generator is kept, and patience ends."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from command_line import Command
from judged import write_features
from toys import tiny

import ganlab
from ganlab import Comparison, FeatureNetwork, GanlabError, Interrupted, Metric, Observer, Scores, hookimpl
from ganlab.recipe.recipe import parse_recipe
from ganlab.recipe.toml import dumps
from ganlab.registry import registry
from ganlab.run.directory import RunDirectory
from ganlab.run.owed import NOTE
from ganlab.run.preview import preview
from ganlab.run.standing import read_score

NUMBERS: list[float] = []
"""What the stand-in says next, of real pictures first: each process of a run looks at these once."""
JUDGED: list[Scores] = []
NOTES: list[str] = []
SIGNAL = -1.0
END = -3.0
REFUSED = -2.0


class Told(Metric):
    """Says what the test wants, and disturbs whatever it can."""

    api = 1
    better: ClassVar = {"told": "lower", "shade": "neither"}

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # what a careless plugin does
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_autocast_enabled("cpu", True)
        number = NUMBERS.pop(0)
        if number == SIGNAL:
            os.kill(os.getpid(), signal.SIGINT)
        if number == END:
            raise KeyboardInterrupt
        if number == REFUSED:
            raise ValueError("these pictures are too alike")
        return {"told": number, "shade": float(comparison.fake.mean())}


class Higher(Told):
    """Says the same, and more is better."""

    api = 1
    better: ClassVar = {"told": "higher", "shade": "neither"}


class Weighed(Metric):
    """Brings a network of its own, and has an option."""

    api = 1
    better: ClassVar = "lower"
    brings_network: ClassVar[bool] = True

    weight: int = 1
    """Times."""
    place: Path = Path("nowhere")
    """Where something lies."""

    def network(self, device: str) -> FeatureNetwork:
        return FeatureNetwork("means", "0" * 64, "not at all", lambda pixels: pixels.mean((2, 3)).astype(np.float32))

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        return {"weighed": self.weight * float(comparison.features()[1].mean())}


class Diary(Observer):
    """Writes down what was scored and said."""

    api = 1

    @hookimpl
    def scored(self, scores: Scores) -> None:
        JUDGED.append(scores)

    @hookimpl
    def note(self, text: str) -> None:
        NOTES.append(text)


@pytest.fixture(autouse=True)
def _components() -> Iterator[None]:
    registry.add("metric", "told", Told)
    registry.add("metric", "more", Higher)
    registry.add("metric", "weighed", Weighed)
    registry.add("observer", "diary", Diary)
    yield
    registry.remove("metric", "told")
    registry.remove("metric", "more")
    registry.remove("metric", "weighed")
    registry.remove("observer", "diary")


def recipe(*numbers: float, **evaluate: Any) -> dict[str, Any]:
    """Return a recipe of four snapshots whose generators get these numbers, real pictures the first."""
    NUMBERS[:], JUDGED[:], NOTES[:] = numbers, [], []
    table = {"metrics": ["told"], "count": 20, "best": "told"} | evaluate
    given = {key: value for key, value in table.items() if value is not None}
    return tiny(snapshot={"every_iterations": 3}, observers={"diary": True}, evaluate=given)


def best(run: ganlab.Run) -> tuple[int, str, float]:
    about = ganlab.read_metadata(f"{run.directory}@best")
    assert about.score is not None
    return about.training.iterations, about.score.name, about.score.value


def states(run: ganlab.Run) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in Path(run).glob("checkpoints/*/state.safetensors")}


def test_the_best_generator_is_kept_with_its_score_and_not_the_last() -> None:
    run = ganlab.train(recipe(0.5, 5.0, 3.0, 4.0, 6.0), out="run")
    assert best(run) == (6, "told", 3.0)
    assert ganlab.read_metadata(run.generator).training.iterations == 12
    assert ganlab.read_metadata(run.generator).score is None
    assert [(one.iteration, one.images, one.values["told"], one.best) for one in JUDGED] == [
        (3, 24, 5.0, True),
        (6, 48, 3.0, True),
        (9, 72, 4.0, False),
        (12, 96, 6.0, False),
    ]
    assert JUDGED[0].reference["told"] == 0.5

    # It is the generator of that moment, to the last bit of its pictures: that of a run that ends there.
    shorter = ganlab.train(tiny(train={"iterations": 6}), out="shorter")
    here, there = (ganlab.load_generator(place).sample(9) for place in (f"{run.directory}@best", shorter))
    assert np.array_equal(here, there)
    # What was judged are the pictures that it draws.
    assert JUDGED[1].values["shade"] == pytest.approx(ganlab.load_generator(shorter).sample(20).mean())

    about = ganlab.read_metadata(run.directory / "generator-best.safetensors").score
    assert about is not None
    assert about.better == "lower"
    assert {key: about.protocol[key] for key in ("dataset", "real", "fake", "seeds", "network")} == {
        "dataset": "stripes",
        "real": 20,
        "fake": 20,
        "seeds": 1,
        "network": None,
    }
    lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    scored = {line["iteration"]: (line["scores"]["told"], line["best"]) for line in lines if "scores" in line}
    assert scored == {3: (5.0, True), 6: (3.0, True), 9: (4.0, False), 12: (6.0, False)}
    assert "scores of iteration 6: told 3.000, shade" in (run.directory / "log.txt").read_text()


def test_what_a_list_of_runs_says_is_the_last_score_and_the_best() -> None:
    run = RunDirectory(Path(ganlab.train(recipe(0.5, 5.0, 3.0, 4.0, 6.0), out="run")))
    assert read_score(run) == (12, "told", 6.0, 3.0)
    other = RunDirectory(Path(ganlab.train(recipe(0.5, 5.0, 3.0, 4.0, 2.0, best=None), out="other")))
    assert read_score(other) == (12, "told", 2.0, None)
    refused = RunDirectory(Path(ganlab.train(recipe(0.5, 5.0, 3.0, REFUSED, REFUSED), out="refused")))
    assert read_score(refused) == (6, "told", 3.0, 3.0)
    assert read_score(RunDirectory(Path(ganlab.train(tiny(), out="plain")))) is None


def test_the_score_of_a_generator_whose_training_is_lost_is_forgotten() -> None:
    run = RunDirectory(Path(ganlab.train(recipe(0.0, 4.0, 3.0, 2.0, 1.0), out="run")))
    shutil.rmtree(run.checkpoints / "00000012")
    ganlab.train(tiny(snapshot={"every_iterations": 3}), out="run")  # judged no more
    assert read_score(run) is None


def test_where_more_is_better_the_highest_is_kept() -> None:
    run = ganlab.train(recipe(9.0, 5.0, 7.0, 7.0, 6.0, metrics=["more"]), out="run")
    assert best(run) == (6, "told", 7.0)


def test_the_training_has_the_same_bits_with_and_without() -> None:
    plain = ganlab.train(tiny(snapshot={"every_iterations": 3, "keep": 9}), out="plain")
    table = recipe(0.0, 4.0, 3.0, 2.0, 1.0, metrics=["told", "ms_ssim", "neighbours", "sliced_wasserstein"])
    table["snapshot"]["keep"] = 9
    judged = ganlab.train(table, out="judged")
    assert len(states(plain)) == 5
    assert states(judged) == states(plain)
    assert judged.generator.read_bytes() == plain.generator.read_bytes()
    assert {"told", "ms_ssim", "copies", "sliced_wasserstein"} <= JUDGED[0].values.keys()


def test_every_how_many_snapshots_and_always_the_last() -> None:
    ganlab.train(recipe(0.0, 1.0, 2.0, every=3), out="run")
    assert [one.iteration for one in JUDGED] == [9, 12]
    ganlab.train(recipe(0.0, 1.0, 2.0, every=2), out="other")
    assert [one.iteration for one in JUDGED] == [6, 12]


def test_without_a_best_score_nothing_is_kept() -> None:
    run = ganlab.train(recipe(0.0, 4.0, 3.0, 2.0, 1.0, best=None), out="run")
    assert [one.best for one in JUDGED] == [False] * 4
    assert not (run.directory / "generator-best.safetensors").exists()
    sentence = r"^run has no generator-best\.safetensors: only a run whose recipe names a score, \[evaluate\] best = "
    with pytest.raises(GanlabError, match=sentence):
        ganlab.load_generator("run@best")


def test_patience_ends_the_training_and_more_of_it_goes_on() -> None:
    run = ganlab.train(recipe(0.0, 3.0, 4.0, 5.0, patience=2), out="run")
    assert (run.iterations, run.already_done, run.out_of_patience) == (9, False, True)
    assert "finished" in (run.directory / "log.txt").read_text().splitlines()[-1]
    assert any(note.startswith("no better told in 2 evaluations: the training has ended; ") for note in NOTES)
    again = ganlab.train(recipe(0.0, patience=2), out="run")
    assert (again.iterations, again.already_done, again.out_of_patience) == (9, True, True)
    longer = ganlab.train(recipe(0.0, 6.0, patience=4), out="run")
    assert (longer.iterations, longer.already_done, longer.out_of_patience) == (12, False, False)
    assert states(longer).items() <= states(ganlab.train(recipe(0.0, *[1.0] * 4), out="undisturbed")).items()
    assert best(longer) == (3, "told", 3.0)


@pytest.mark.parametrize(("next_number", "expected"), [(4.0, (3, "told", 3.0)), (2.0, (9, "told", 2.0))])
def test_a_run_that_goes_on_knows_its_best_so_far(next_number: float, expected: tuple[int, str, float]) -> None:
    half = recipe(0.0, 3.0, 5.0)
    ganlab.train(half | {"train": {**half["train"], "iterations": 6}}, out="run")
    run = ganlab.train(recipe(0.0, next_number, 9.0), out="run")
    assert best(run) == expected


def test_the_best_of_another_protocol_is_judged_anew() -> None:
    half = recipe(0.0, 3.0, 2.0, count=20)
    ganlab.train(half | {"train": {**half["train"], "iterations": 6}}, out="run")
    # 18 pictures fewer show it to be worse than the next ones: of the two that are judged then, the new one is first.
    run = ganlab.train(recipe(0.0, 4.0, 5.0, 6.0, metrics=["told", "ms_ssim"]), out="run")
    assert best(run) == (9, "told", 4.0)
    half = recipe(0.0, 3.0, 2.0)
    ganlab.train(half | {"train": {**half["train"], "iterations": 6}}, out="other")
    run = ganlab.train(recipe(0.0, 4.0, 1.0, 0.5, metrics=["told", "ms_ssim"]), out="other")
    assert best(run) == (12, "told", 0.5)
    assert [one.best for one in JUDGED] == [False, True]


@pytest.mark.parametrize("at", [2, 4])
def test_a_signal_breaks_an_evaluation_off_which_is_made_when_the_run_goes_on(at: int) -> None:
    undisturbed = ganlab.train(recipe(0.0, 4.0, 3.0, 2.0, 1.0), out="undisturbed")
    numbers = [4.0, 3.0, 2.0, 1.0]
    broken = f"at iteration {3 * at}; everything is saved in run; its snapshot was broken off and is made when the run"
    with pytest.raises(Interrupted, match=broken):
        ganlab.train(recipe(0.0, *numbers[: at - 1], SIGNAL), out="run")
    assert len(JUDGED) == at - 1
    run = ganlab.train(recipe(0.0, *numbers[at - 1 :]), out="run")
    assert [one.iteration for one in JUDGED] == [3 * number for number in range(at, 5)]
    assert best(run) == (12, "told", 1.0)
    assert states(run) == states(undisturbed)
    assert not (run.directory / NOTE).exists()
    lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "scores" in line] == [3, 6, 9, 12]


def test_an_evaluation_in_which_the_process_ends_is_made_when_the_run_goes_on() -> None:
    undisturbed = ganlab.train(recipe(0.0, 4.0, 3.0, 2.0, 1.0), out="undisturbed")
    with pytest.raises(KeyboardInterrupt):
        ganlab.train(recipe(0.0, 4.0, END), out="run")
    run = ganlab.train(recipe(0.0, 3.0, 2.0, 1.0), out="run")
    assert [one.iteration for one in JUDGED] == [6, 9, 12]
    assert states(run) == states(undisturbed)


def test_the_command_says_what_goes_on_when_patience_has_ended_a_run(command: Command) -> None:
    for numbers in ((0.0, 3.0, 4.0), (0.0,)):
        Path("toy.toml").write_text(dumps(recipe(*numbers, patience=1)))
        ended = command("run", "toy.toml", "--out", "run")
        assert ended.code == 0
    assert ended.out.startswith(
        "The run in run was finished before: 6 iterations. Train it longer with a larger --set evaluate.patience=..., "
    )
    assert "the best" in ended.out


def test_a_metric_that_cannot_judge_a_generator_does_not_end_the_run() -> None:
    run = ganlab.train(recipe(0.0, 3.0, REFUSED, 2.0, 4.0), out="run")
    assert [one.values.get("told") for one in JUDGED] == [3.0, None, 2.0, 4.0]
    assert best(run) == (9, "told", 2.0)
    assert "told cannot be computed of the generator of iteration 6: these pictures are too alike" in NOTES


def test_a_damaged_best_generator_is_named_before_the_training() -> None:
    half = recipe(0.0, 3.0, 5.0)
    run = ganlab.train(half | {"train": {**half["train"], "iterations": 6}}, out="run")
    path = run.directory / "generator-best.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GanlabError, match=r"generator-best\.safetensors: is cut short.*Remove it to go on"):
        ganlab.train(recipe(0.0), out="run")
    path.unlink()
    assert best(ganlab.train(recipe(0.0, 7.0, 8.0), out="run")) == (9, "told", 7.0)


def test_the_features_of_a_network_can_be_judged_by() -> None:
    write_features(Path("net.onnx"))
    table = recipe(metrics=["kid", "prdc"], features="net.onnx", best="coverage")
    ganlab.train(table, out="run")
    assert {"kid", "kid_std", "precision", "recall", "density", "coverage"} == JUDGED[0].values.keys()
    about = ganlab.read_metadata("run@best").score
    assert about is not None
    assert (about.name, about.better, about.protocol["network"]) == ("coverage", "higher", "net")


def test_it_is_what_evaluate_says_of_the_generator() -> None:
    table = recipe(metrics=["sliced_wasserstein"], best="sliced_wasserstein")
    run = ganlab.train(table, out="run")
    from ganlab.data.packing import pack
    from ganlab.judging.evaluation import evaluate
    from ganlab.judging.reals import choose_reals
    from ganlab.run.scores import candidate_of

    reals = choose_reals(pack(parse_recipe(table).dataset, "stripes", lambda *_: None), 20, "stripes")
    candidate = candidate_of(ganlab.load_generator(run, "cpu"), "it", None)
    metrics = {"sliced_wasserstein": registry.get("metric", "sliced_wasserstein")()}
    found = evaluate([candidate], reals, ("stripes", {}), metrics, None, 1, lambda *_: None, asked=True)
    assert found.columns[0].scores["sliced_wasserstein"].mean == JUDGED[-1].values["sliced_wasserstein"]


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown metric": ({"metrics": ["tol"]}, r'evaluate\.metrics = \["tol"\]: .*did you mean told\?'),
    "no metric": ({"metrics": []}, r"evaluate\.metrics = \[\]: must be "),
    "an unknown score": (
        {"best": "tolld"},
        r'evaluate\.best = "tolld": is none of the scores of evaluate\.metrics; did you mean told\?; those that have a '
        r"better and a worse are told$",
    ),
    "a score without direction": (
        {"best": "shade"},
        r'evaluate\.best = "shade": no number of it is better than another; those that have a better and a worse are ',
    ),
    "no best to wait for": (
        {"best": None, "patience": 3},
        r"evaluate\.patience = 3: stands without best, which says what a better score is",
    ),
    "too few": ({"count": 19}, r"evaluate\.count = 19: must be a whole number of at least 20"),
    "a misspelt option": (
        {"patiense": 3},
        r"evaluate\.patiense is not an option of \[evaluate\]; did you mean patience",
    ),
    "no such network": ({"features": "no.onnx"}, r"no\.onnx: cannot be read: No such file or directory"),
    "a metric that needs features": (
        {"metrics": ["kid"]},
        "kid compares features of a network, and there is none: pip",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("dry", [False, True])
def test_what_cannot_be_judged_by_is_refused_before_the_training(
    name: str, dry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.judging.lite0.MODULES", ("no_such_module",))
    changes, sentence = REFUSALS[name]
    with pytest.raises(GanlabError, match=sentence):
        preview(parse_recipe(recipe(0.0, **changes))) if dry else ganlab.train(recipe(0.0, **changes))
    assert not Path("runs").exists()


def test_too_few_pictures_are_refused_and_fewer_than_wanted_are_said() -> None:
    few = recipe(0.0) | {"dataset": {"name": "stripes", "count": 39}}
    with pytest.raises(GanlabError, match='dataset "stripes" has 39 pictures, too few to judge a generator by'):
        ganlab.train(few, out="few")
    assert not Path("few").exists()
    ganlab.train(recipe(0.0, 4.0, 3.0, 2.0, 1.0, count=500), out="run")
    assert "the generator is judged with 20 pictures, not 500: the data has no more" in NOTES


def test_the_table_may_come_and_go_when_a_run_goes_on() -> None:
    half = tiny(snapshot={"every_iterations": 3}, train={"iterations": 6})
    ganlab.train(half, out="run")
    run = ganlab.train(recipe(0.0, 4.0, 3.0), out="run")
    assert [one.iteration for one in JUDGED] == [9, 12]
    longer = tiny(snapshot={"every_iterations": 3}, train={"iterations": 15})
    assert best(ganlab.train(longer, out="run")) == best(run)


def test_a_new_run_can_begin_with_the_best_generator() -> None:
    ganlab.train(recipe(0.0, 4.0, 1.0, 2.0, 3.0), out="run")
    begun = ganlab.train(tiny(train={"iterations": 1}), out="begun", init="run@best")
    log = (begun.directory / "log.txt").read_text()
    assert "tensors from run/generator-best.safetensors" in log


def test_a_metric_has_the_options_of_the_recipe_and_a_network_of_its_own() -> None:
    table = recipe(metrics=["weighed"], best="weighed", weighed={"weight": 3, "place": "here"})
    run = ganlab.train(table, out="run")
    last = ganlab.load_generator(run).sample(20)
    assert JUDGED[-1].values["weighed"] == pytest.approx(3 * last.mean(), rel=1e-5)
    about = ganlab.read_metadata(f"{run.directory}@best").score
    assert about is not None
    assert about.protocol["metrics"] == {"weighed": {"weight": 3}}
    own = {"network": "means", "network_digest": "0" * 64, "resizer": "not at all"}
    assert about.protocol["own_networks"] == {"weighed": own}
    # The run's own recipe says all of it, and a run without a list computes what has a table.
    assert '[evaluate.weighed]\nweight = 3\nplace = "here"\n' in (run.directory / "recipe.toml").read_text()
    unlisted = recipe(metrics=None, best=None, weighed={"weight": 2})
    other = ganlab.train(unlisted, out="other", overrides={"evaluate.weighed.weight": 5})
    assert {"weighed", "ms_ssim"} <= JUDGED[-1].values.keys()
    assert JUDGED[-1].values["weighed"] == pytest.approx(5 * ganlab.load_generator(other).sample(20).mean(), rel=1e-5)

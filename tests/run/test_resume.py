"""Which directory a run uses, and whether what is in it may go on with this recipe: decided without training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toys import tiny

from ganlab import GanlabError
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.run.directory import RunDirectory, enter_in_index, new_directory
from ganlab.run.resume import LISTED, check_directory, chosen_directory, note_of_extension, refuse_changes
from ganlab.training.checkpoint import Manifest, Provenance
from ganlab.training.schedule import Schedule, learning_rate
from ganlab.training.state import State


def recipe(**tables: Any) -> Recipe:
    return parse_recipe(tiny(**tables), "faces")


def begun(old: Recipe, iteration: int = 0, drawn: int = 0) -> Manifest:
    """Return the manifest of a run of that recipe at that place."""
    provenance = Provenance(old.table, "0" * 64, {"ganlab": "0.1.0"}, ranks=1, threads=1, device="cpu")
    return Manifest(provenance, iteration, drawn, rollbacks=0, sha256="0" * 64, bytes=1)


# Which directory


def test_a_directory_that_is_named_is_the_runs() -> None:
    assert chosen_directory(recipe(), "there", resume=False) == RunDirectory(Path("there"))
    assert chosen_directory(recipe(), "~/there", resume=False) == RunDirectory(Path.home() / "there")
    assert chosen_directory(recipe(), None, resume=False) is None
    with pytest.raises(GanlabError, match="--out and --resume exclude each other: --out DIR continues the run in DIR"):
        chosen_directory(recipe(), "there", resume=True)


def test_the_newest_run_of_the_recipe_that_can_go_on_is_continued() -> None:
    assert chosen_directory(recipe(), None, resume=True) is None
    runs = []
    for name, trained in (("faces", True), ("faces", True), ("shoes", True), ("faces", False)):
        run = new_directory(name)
        enter_in_index(run, name, pytest.fail)
        runs.append(run)
        if trained:
            run.checkpoints.mkdir()
    assert chosen_directory(recipe(), None, resume=True) == runs[1]


def test_what_is_no_run_is_left_alone() -> None:
    check_directory(recipe(), RunDirectory(Path("new")))
    assert not Path("new").exists()
    Path("holiday").mkdir()
    check_directory(recipe(), RunDirectory(Path("holiday")))
    Path("holiday/.ganlab/tmp").mkdir(parents=True)  # what a run leaves that was killed over its first file
    check_directory(recipe(), RunDirectory(Path("holiday")))
    Path("holiday/beach.jpg").touch()
    with pytest.raises(
        GanlabError, match="--out holiday is not empty and holds no run of ganlab; name a new directory"
    ):
        check_directory(recipe(), RunDirectory(Path("holiday")))
    with pytest.raises(GanlabError, match=r"--out holiday/beach\.jpg is a file; name a directory"):
        check_directory(recipe(), RunDirectory(Path("holiday/beach.jpg")))
    assert sorted(os.listdir("holiday")) == [".ganlab", "beach.jpg"]


def test_a_run_of_another_recipe_is_refused_before_its_state_is_read() -> None:
    run = RunDirectory(Path("run"))
    checkpoint = run.checkpoints / "00000004"
    checkpoint.mkdir(parents=True)
    run.recipe.touch()
    (checkpoint / "manifest.json").write_text(begun(recipe(), 4, 4).to_json())
    check_directory(recipe(), run)
    with pytest.raises(GanlabError, match="seed was 0 and is now 1"):
        check_directory(recipe(seed=1), run)


# Whether it may go on


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"observers": {"plot": False}, "snapshot": {"every_iterations": 5, "keep": 9}},
        {"train": {"tick_seconds": 7.0, "threads": 3, "rank_timeout_seconds": 9.0, "on_nonfinite": "rollback"}},
        {"train": {"iterations": 13}},
    ],
)
def test_how_a_run_is_watched_and_how_long_it_is_may_change(tables: dict[str, Any]) -> None:
    refuse_changes(recipe(**tables), begun(recipe()), Path("run"))


@pytest.mark.parametrize(
    ("tables", "lines"),
    [
        (
            {"optimizer": {"lr": 1e-3, "betas": [0.0, 0.9]}, "train": {"batch_size": 4}},
            [
                "optimizer.betas was [0.5, 0.999] and is now [0.0, 0.9]",
                "optimizer.lr was 0.0002 and is now 0.001",
                "train.batch_size was 8 and is now 4",
            ],
        ),
        ({"train": {"iterations": 11}}, ["train.iterations was 12 and is now 11"]),
        ({"augmentation": {"name": "identity"}}, ['augmentation.name was unset and is now "identity"']),
        ({"optimizer": {"generator": {"lr": 0.1}}}, ["optimizer.generator.lr was unset and is now 0.1"]),
    ],
)
def test_what_a_run_computes_may_not(tables: dict[str, Any], lines: list[str]) -> None:
    old, new = recipe(), recipe(**{name: table for name, table in tables.items() if name != "augmentation"})
    if "augmentation" in tables:
        new = Recipe(**{**vars(new), "table": {**new.table, "augmentation": tables["augmentation"]}})
    with pytest.raises(GanlabError) as caught:
        refuse_changes(new, begun(old), Path("runs/faces/0001"))
    assert str(caught.value).splitlines() == [
        "the run in runs/faces/0001 was begun with another recipe:",
        *(f"  {line}" for line in lines),
        "Put the values back, or start a new run with another --out directory",
    ]


def test_of_many_changes_a_few_are_shown() -> None:
    old = recipe()
    table = {**old.table, "future": {f"option_{number}": number for number in range(LISTED + 3)}}
    with pytest.raises(GanlabError) as caught:
        refuse_changes(Recipe(**{**vars(old), "table": table}), begun(old), Path("run"))
    shown = str(caught.value).splitlines()[1:-1]
    assert len(shown) == LISTED + 1
    assert shown[-1] == "  and 3 more"


# Whether an extension changes the bits


@pytest.mark.parametrize("decay_from", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("length", "before", "after"), [("iterations", 20, 35), ("epochs", 4.0, 7.0)])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_extension_is_noted_where_a_rate_has_begun_to_fall(
    decay_from: float, length: str, before: float, after: float, steps: int
) -> None:
    """It has where any iteration so far had another rate than it would have had in the longer run."""
    base = tiny(optimizer={"lr": 0.01, "decay_from": decay_from}, loss={"discriminator_steps": steps})
    old, new = (parse_recipe(base | {"train": {"batch_size": 8, length: value}}) for value in (before, after))

    def rate(run: Recipe, iteration: int) -> float:
        place = State({}, {}, None, {}, iteration=iteration, drawn=steps * iteration)
        return learning_rate(run.optimizer["generator"], Schedule(run, per_epoch=15).progress(place))

    notes = []
    for done in range((20 if length == "iterations" else 60 // steps) + 1):
        notes.append(note_of_extension(new, begun(old, done, steps * done), per_epoch=15))
        same = all(rate(old, iteration) == rate(new, iteration) for iteration in range(done))
        assert (notes[-1] is None) == same, done
    assert notes[0] is None
    assert notes[-1] == (
        f"the run was begun with train.{length} = {before} and goes on with {after}: since {decay_from:.0%} of the "
        f"shorter one its learning rate had been falling, so it will not have the same bits as a run that had {after} "
        f"from the start"
    )


def test_an_extension_of_a_constant_rate_or_of_nothing_is_not_noted() -> None:
    constant, longer = recipe(), recipe(train={"iterations": 24})
    assert note_of_extension(longer, begun(constant, 12, 12), per_epoch=5) is None
    falling = recipe(optimizer={"decay_from": 0.25})
    assert note_of_extension(falling, begun(falling, 12, 12), per_epoch=5) is None

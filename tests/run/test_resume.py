"""Which directory a run uses, and whether what is in it may go on with this recipe: decided without training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toys import falling, tiny

import ganlab
from ganlab import GanlabError
from ganlab.interfaces import Position
from ganlab.recipe.recipe import Recipe, load_recipe, parse_recipe
from ganlab.recipe.toml import dumps
from ganlab.run.directory import RunDirectory, enter_in_index, new_directory
from ganlab.run.preview import preview
from ganlab.run.resume import (
    LISTED,
    check_directory,
    chosen_directory,
    compare_pictures,
    note_of_choice,
    notes_of_extension,
    refuse_changes,
    with_pictures_found,
)
from ganlab.training.checkpoint import Manifest, Provenance
from ganlab.training.plan import Plan
from ganlab.training.record import Record
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
    with pytest.raises(GanlabError, match=r"^out=\.{3} and resume=\.{3} exclude each other"):
        chosen_directory(recipe(), "there", resume=True)


@pytest.mark.parametrize("out", ["x" * 300, "a\0b", "~/" + "x" * 300, 5])
def test_what_can_be_no_directory_is_refused_by_a_run_and_a_dry_run(out: str) -> None:
    for begin in (lambda: ganlab.train(recipe(), out=out), lambda: preview(recipe(), out)):
        with pytest.raises(GanlabError, match=r"longer than a path can be|holds what no path can hold|is no path"):
            begin()
    assert os.listdir() == []


@pytest.mark.parametrize("root", ["x" * 300, "a\0b", "no/" + "x" * 300])
def test_what_can_be_no_path_of_pictures_is_refused(root: str) -> None:
    for name in ("image_folder", "mnist", "celeba", "cifar10"):
        tables = tiny() | {"dataset": {"name": name, "root": root, "resolution": 8}}
        with pytest.raises(GanlabError, match=r"longer than a path can be|holds what no path can hold"):
            preview(parse_recipe(tables))


def entered(of: Recipe, checkpoint: bool = True) -> RunDirectory:
    """Return a run that was begun with a recipe in this folder."""
    run = new_directory(of.name)
    enter_in_index(run, of.name, pytest.fail, of.file)
    if checkpoint:
        with run.locked(of.name):
            pass
        (run.checkpoints / "00000004").mkdir(parents=True)
        (run.checkpoints / "00000004/manifest.json").write_text(begun(of, 4, 4).to_json())
        Record(run.path).add("checkpoints/00000004")
    return run


def written(path: str, **tables: Any) -> Recipe:
    """Return a recipe from a file."""
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(dumps(tiny(**tables)))
    return load_recipe(Path(path))


def resumed(of: Recipe) -> Path | None:
    chosen = chosen_directory(of, None, resume=True)
    return None if chosen is None else chosen.path


def test_the_newest_run_of_the_recipe_that_can_go_on_is_continued() -> None:
    assert resumed(recipe()) is None
    runs = [entered(recipe()), entered(recipe()), entered(parse_recipe(tiny(), "shoes"))]
    entered(recipe(), checkpoint=False)
    entered(recipe(seed=1))
    assert resumed(recipe()) == runs[1].path
    assert resumed(recipe(seed=2)) is None, "without a file, a recipe is what it says"


def test_a_recipe_of_the_same_name_in_another_folder_is_another_recipe() -> None:
    mine, other = written("mine/train.toml"), written("other/train.toml")
    of_mine = entered(mine)
    assert resumed(other) is None
    of_other = entered(other)
    assert (resumed(mine), resumed(other)) == (of_mine.path, of_other.path)
    Path("link.toml").symlink_to("mine/train.toml")
    assert resumed(load_recipe(Path("link.toml"))) == of_mine.path
    os.chdir("mine")
    os.rename("../runs", "runs")
    os.chdir("..")
    assert resumed(mine) is None, "the list of runs is that of the folder"


def test_a_recipe_that_was_moved_is_known_by_what_it_says() -> None:
    run = entered(written("mine/train.toml"))
    entered(written("other/train.toml", seed=1))
    Path("mine/train.toml").rename("mine/moved.toml")
    assert resumed(load_recipe(Path("mine/moved.toml"))) == run.path
    assert resumed(written("mine/moved.toml", seed=1)) is None, "it is that of other/train.toml, which is still there"
    os.mkdir("elsewhere")
    for name in ("mine", "other", "runs"):
        os.rename(name, f"elsewhere/{name}")
    os.chdir("elsewhere")
    os.rename("mine/moved.toml", "mine/train.toml")
    assert resumed(written("mine/train.toml")) == Path("runs/train/0001"), "a folder with its runs can be moved"


def test_a_run_of_an_index_without_files_is_known_by_name_and_by_what_it_says() -> None:
    run = entered(parse_recipe(tiny(), "train"))
    assert resumed(written("mine/train.toml")) == run.path
    assert resumed(written("mine/train.toml", seed=1)) is None
    assert resumed(written("mine/other.toml")) is None


def test_of_runs_of_one_file_the_newest_that_fits_is_taken_else_the_newest_which_says_why_not() -> None:
    first = entered(written("train.toml"))
    second = entered(written("train.toml", seed=1))
    assert resumed(written("train.toml", seed=0)) == first.path
    changed = written("train.toml", seed=2)
    assert resumed(changed) == second.path
    with pytest.raises(GanlabError, match="seed was 1 and is now 2"):
        check_directory(changed, second)


def test_it_is_said_which_run_was_taken() -> None:
    mine = written("mine/train.toml")
    assert note_of_choice(mine, None) == "there is no run of mine/train.toml here to go on with; a new one begins"
    run = RunDirectory(Path("runs/train/0001"))
    assert note_of_choice(mine, run) == "going on with runs/train/0001, the newest run of mine/train.toml"
    assert note_of_choice(recipe(), run) == "going on with runs/train/0001, the newest run of faces"


def test_what_is_no_run_is_left_alone() -> None:
    check_directory(recipe(), RunDirectory(Path("new")))
    assert not Path("new").exists()
    Path("holiday").mkdir()
    check_directory(recipe(), RunDirectory(Path("holiday")))
    Path("holiday/.ganlab/tmp").mkdir(parents=True)  # what a run leaves that was killed over its first file
    check_directory(recipe(), RunDirectory(Path("holiday")))
    Path("holiday/beach.jpg").touch()
    with pytest.raises(
        GanlabError, match='out="holiday" is not empty and holds no run of ganlab; name a new directory'
    ):
        check_directory(recipe(), RunDirectory(Path("holiday")))
    with pytest.raises(GanlabError, match=r'out="holiday/beach\.jpg" is a file; name a directory'):
        check_directory(recipe(), RunDirectory(Path("holiday/beach.jpg")))
    assert sorted(os.listdir("holiday")) == [".ganlab", "beach.jpg"]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("link", 'out="link": link is a link to there, where nothing is; make that directory, or name another one'),
        ("link/run", 'out="link/run": link is a link to there, where nothing is; make that directory'),
        ("file/run", 'out="file/run": file is a file; name another directory'),
        ("file/no/run", 'out="file/no/run": file is a file; name another directory'),
    ],
)
def test_what_cannot_be_made_a_directory_is_refused_before_pictures_are_packed(out: str, said: str) -> None:
    Path("link").symlink_to("there")
    Path("file").touch()
    for begin in (lambda: ganlab.train(tiny(), out=out), lambda: preview(recipe(), out)):
        with pytest.raises(GanlabError, match=f"^{said}"):
            begin()
    assert sorted(os.listdir()) == ["file", "link"]
    check_directory(recipe(), RunDirectory(Path("no/where")))


def test_a_run_of_another_recipe_is_refused_before_its_state_is_read() -> None:
    run = RunDirectory(Path("run"))
    with run.locked("toy"):
        Record(run.path).add("checkpoints/00000004")
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
        "Put the values back, or start a new run in another directory, out=..., with the weights of this one, "
        'init="runs/faces/0001"',
    ]


def test_of_many_changes_a_few_are_shown() -> None:
    old = recipe()
    table = {**old.table, "future": {f"option_{number}": number for number in range(LISTED + 3)}}
    with pytest.raises(GanlabError) as caught:
        refuse_changes(Recipe(**{**vars(old), "table": table}), begun(old), Path("run"))
    shown = str(caught.value).splitlines()[1:-1]
    assert len(shown) == LISTED + 1
    assert shown[-1] == "  and 3 more"


# Where the pictures lie


def faces(root: str, **tables: Any) -> Recipe:
    return recipe(dataset={"name": "image_folder", "root": root, "resolution": 8}, **tables)


def test_where_the_pictures_lie_is_compared_only_when_it_is_known_what_they_are() -> None:
    old, run = begun(faces("a")), Path("run")
    refuse_changes(faces("b.zip"), old, run)
    assert compare_pictures(faces("a"), old, run, "0" * 64) is None
    assert compare_pictures(faces("b.zip"), old, run, "0" * 64) == (
        'dataset.root was "a" and is now "b.zip"; the pictures are the same, and the run goes on'
    )
    with pytest.raises(GanlabError) as caught:
        compare_pictures(faces("b.zip"), old, run, "1" * 64)
    assert str(caught.value).splitlines() == [
        "the pictures have changed since run was begun:",
        '  dataset.root was "a" and is now "b.zip"',
        'put them back, or start a new run in another directory, out=..., with the weights of this one, init="run"',
    ]
    with pytest.raises(GanlabError) as caught:
        refuse_changes(faces("b.zip", seed=1), old, run)
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:3]] == ["dataset.root", "seed"]


def test_pictures_that_are_not_here_are_sought_where_the_run_was_begun(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    assert run.begun_in is None
    with run.locked("faces"):
        pass
    assert run.begun_in == tmp_path
    Path("pictures").mkdir()
    there = faces("pictures")
    assert with_pictures_found(there, run) == (there, [])
    (tmp_path / "elsewhere").mkdir()
    os.chdir("elsewhere")
    found, notes = with_pictures_found(there, run)
    assert found.table == there.table
    assert dict(found.dataset)["root"] == tmp_path / "pictures"
    assert notes == [
        f"there is no pictures here; dataset.root is {tmp_path}/pictures, for the run was begun in {tmp_path}"
    ]
    for root in ("nowhere", str(tmp_path / "nowhere")):
        assert with_pictures_found(faces(root), run) == (faces(root), [])
    Path("pictures").mkdir()
    assert with_pictures_found(there, run) == (there, []), "what is here is meant"


# Whether an extension changes the bits


@pytest.mark.parametrize("shape", ["linear", "cosine", "step"])
@pytest.mark.parametrize("after", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("length", "before", "longer"), [("iterations", 20, 35), ("epochs", 4.0, 7.0)])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_extension_is_noted_where_a_rate_has_begun_to_change_with_the_progress(
    shape: str, after: float, length: str, before: float, longer: float, steps: int
) -> None:
    """It has where any iteration so far had another rate than it would have had in the longer run."""
    lr = {"from": 0.01, "to": 0.0, "shape": shape, "after": after, "progress": 0.08}
    base = tiny(optimizer={"lr": lr}, loss={"discriminator_steps": steps})
    old, new = (parse_recipe(base | {"train": {"batch_size": 8, length: value}}) for value in (before, longer))

    def rate(run: Recipe, iteration: int) -> float:
        place = State({}, {}, None, {}, iteration=iteration, drawn=steps * iteration)
        progress = Plan(run, per_epoch=15).progress(place)
        schedule: Any = run.optimizer["generator"].lr
        return schedule.at(Position(0, 0, 0, progress))

    notes = []
    for done in range((20 if length == "iterations" else 60 // steps) + 1):
        notes.append(list(notes_of_extension(new, begun(old, done, steps * done), per_epoch=15)))
        same = all(rate(old, iteration) == rate(new, iteration) for iteration in range(done))
        assert (notes[-1] == []) == same, done
    assert notes[0] == []
    assert notes[-1] in ([], [
        f"the run was begun with train.{length} = {before} and goes on with {longer}: optimizer.lr had been changing "
        f"with the progress of the shorter one, so it will not have the same bits as a run that had {longer} from the "
        "start"
    ])  # fmt: skip


def test_an_extension_of_what_does_not_go_with_the_progress_is_not_noted() -> None:
    for lr in (1e-3, {"from": 1e-3, "to": 0.0, "iterations": 6}, {"from": 1e-3, "to": 1e-3, "progress": 1.0}):
        run, longer = recipe(optimizer={"lr": lr}), recipe(optimizer={"lr": lr}, train={"iterations": 24})
        assert list(notes_of_extension(longer, begun(run, 12, 12), per_epoch=5)) == []
    changing = recipe(optimizer={"lr": falling(0.25)})
    assert list(notes_of_extension(changing, begun(changing, 12, 12), per_epoch=5)) == []


def test_a_schedule_may_be_made_longer_with_the_training_and_nothing_else_of_it_changed() -> None:
    def with_betas(train: int, **schedule: Any) -> Recipe:
        beta = {"from": 0.9, "to": 0.99, "after": 4, "iterations": 4} | schedule
        return recipe(optimizer={"betas": [0.0, beta]}, train={"iterations": train})

    old, path = with_betas(12), Path("run")
    new = with_betas(24, iterations=8)
    refuse_changes(new, begun(old, 12, 12), path)
    note = (
        "the run was begun with optimizer.betas[1] = "
        '{ from = 0.9, to = 0.99, shape = "linear", after = 4.0, iterations = 4 } and goes on with '
        '{ from = 0.9, to = 0.99, shape = "linear", after = 4.0, iterations = 8 }: a run that had this from the start '
        "would have had other numbers by now, so this one will not have the same bits"
    )
    # The iteration that begins at 4 is the last one that is the same.
    notes = [list(notes_of_extension(new, begun(old, done, done), per_epoch=5)) for done in range(13)]
    assert notes == [[]] * 6 + [[note]] * 7
    for changed in (with_betas(12, iterations=8), with_betas(24, to=0.95), with_betas(24, iterations=3)):
        with pytest.raises(GanlabError, match=r"optimizer\.betas was \[0\.0, \{ from = 0\.9, to = .* and is now"):
            refuse_changes(changed, begun(old, 12, 12), path)

"""What a run's directory tells, and the sentence for each thing that it does not."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from left_runs import left_run
from PIL import Image
from toys import tiny

import ganlab
from ganlab.run.account import read_account
from ganlab.run.directory import RunDirectory
from ganlab.showing.account import Account
from ganlab.showing.page import page


def told(path: Path) -> Account:
    return read_account(RunDirectory(path), "the run")


def level(uri: str) -> int:
    """Return how bright a picture is in its middle."""
    with Image.open(BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        middle = image.convert("L").getpixel((image.width // 2, image.height // 2))
    assert isinstance(middle, int)
    return middle


def test_a_whole_run_lacks_nothing(tmp_path: Path) -> None:
    scores = [{"kid": 0.5}, {"kid": 0.25}]
    run = left_run(tmp_path / "r", rows=["cat", "dog"], scores=scores, overrides=["seed=3"], note="dark")
    found = told(run)
    assert found.lacking == []
    assert (found.name, found.state, found.images, found.note) == ("the run", "finished", 25_600, "dark")
    assert (found.changes, found.rows, found.recipe["model"]["name"]) == (["seed=3"], ["cat", "dog"], "dcgan")
    assert list(found.curves) == ["loss_discriminator", "loss_generator", "D(x)", "images_per_second"]
    assert [one.values["kid"] for one in found.judged] == [0.5, 0.25]
    assert found.facts == {"device": "cpu", "threads": "1", "packages.torch": "2.11.0"}
    assert found.log == "2026-01-01 00:00:00 the last line"
    assert found.findings is None
    places = [(one.iteration, one.place and one.place.images) for one in found.frames]
    assert places == [(0, 0), (100, 6400), (200, 12_800), (300, 19_200), (400, 25_600)]
    assert [abs(level(one.picture.uri) - 255 * step // 4) <= 4 for step, one in enumerate(found.frames)] == [True] * 5
    assert found.frames[-1].picture.uri.startswith("data:image/png;")
    assert found.reals is not None
    assert level(found.reals.uri) == 128


def test_of_many_snapshots_some_are_shown_and_the_newest_always(tmp_path: Path) -> None:
    found = told(left_run(tmp_path / "r", snapshots=70, epochs=69))
    assert (len(found.frames), found.snapshots) == (25, 70)
    assert (found.frames[0].iteration, found.frames[-1].iteration) == (0, 6900)


def test_what_is_missing_is_said_and_the_rest_is_told(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r")
    for name in ("recipe.toml", "metrics.jsonl", "reals.png", "environment.json", "log.txt"):
        (run / name).unlink()
    shutil.rmtree(run / "samples")
    found = told(run)
    assert found.lacking == [
        "recipe.toml is missing, so there is no recipe to show.",
        "metrics.jsonl is missing, so there are no curves.",
        "samples/ has no pictures, so there are no snapshots to show.",
        "reals.png is missing, so there are no pictures of the data.",
    ]
    assert (found.curves, found.frames, found.reals, found.recipe, found.images) == ({}, [], None, {}, None)
    assert found.state == "finished"


def test_what_is_damaged_is_said_and_the_rest_is_told(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r")
    (run / "recipe.toml").write_text("[model\n<script>")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 401, "im')
    (run / "samples" / "00000100.png").write_bytes(b"<svg>")
    (run / "samples" / "00000400.png").write_bytes((run / "samples" / "00000400.png").read_bytes()[:50])
    (run / "reals.png").write_bytes(b"")
    (run / "environment.json").write_text("[]")
    (run / ".ganlab" / "session.json").write_text("[" * 100_000)
    found = told(run)
    assert [one.iteration for one in found.frames] == [0, 200, 300]
    assert len(found.curves) == 4
    assert found.recipe_text == "[model\n<script>"
    assert found.state == "unknown"
    expected = [
        r"recipe\.toml is not TOML: .+\.",
        r"1 line of metrics\.jsonl is damaged and left out\.",
        r"00000100\.png is no PNG, and is left out\.",
        r"00000400\.png is damaged: .+, and is left out\.",
        r"environment\.json is damaged, so what the run was computed with is not known\.",
        r"reals\.png is no PNG, and is left out\.",
    ]
    assert all(re.fullmatch(*pair) for pair in zip(expected, found.lacking, strict=True)), found.lacking


def test_links_pipes_and_folders_in_place_of_files_are_not_followed_and_keep_nobody_waiting(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    run = left_run(tmp_path / "r")
    for name in ("log.txt", "recipe.toml", "reals.png", "metrics.jsonl", "environment.json"):
        (run / name).unlink()
    (run / "log.txt").symlink_to(secret)
    os.mkfifo(run / "recipe.toml")
    (run / "reals.png").mkdir()
    os.mkfifo(run / "metrics.jsonl")
    (run / "environment.json").symlink_to(secret)
    (run / "samples" / "00000150.png").symlink_to(secret)
    found = told(run)
    assert "secret" not in repr(found)
    said = " ".join(found.lacking)
    for name in ("log.txt", "recipe.toml", "reals.png", "metrics.jsonl", "environment.json", "00000150.png"):
        assert f"{name} cannot be read" in said
    shutil.move(run / "samples", tmp_path / "elsewhere")
    (run / "samples").symlink_to(tmp_path / "elsewhere")
    assert told(run).frames == []


def test_a_run_that_failed_shows_what_its_error_has_left(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r", ended="failed")
    (run / "error.txt").write_text("Traceback\n\x1b[2J<b>")
    found = told(run)
    assert (found.state, found.error) == ("failed", "Traceback\n\\x1b[2J<b>")


def test_how_it_has_just_ended_counts_before_it_is_noted(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r", ended=None)
    assert read_account(RunDirectory(run), "r", ended="failed").state == "failed"
    assert told(run).state == "stopped", "killed, for nothing was noted"


@pytest.mark.parametrize("best", [True, False])
def test_scores_come_with_what_they_were_computed_from(tmp_path: Path, best: bool) -> None:
    asked = {"metrics": ["sliced_wasserstein"], "count": 20, **({"best": "sliced_wasserstein"} if best else {})}
    run = ganlab.train({**tiny(), "evaluate": asked}, out=tmp_path / "run")
    found = told(run.directory)
    assert found.lacking == []
    assert found.judged
    if best:
        assert found.protocol["real"] == "20"
        assert found.protocol["dataset"] == "stripes"
        assert re.fullmatch(r"\S+ \(lower is better\)", found.protocol["best sliced_wasserstein"])
        (run.directory / "generator-best.safetensors").write_bytes(b"x")
        found = told(run.directory)
        assert len(found.lacking) == 1
        assert found.lacking[0].startswith("generator-best.safetensors cannot be read: ")
    assert found.protocol["count"] == "20"


def test_json_that_is_no_object_or_hostile_stays_text(tmp_path: Path) -> None:
    run = left_run(tmp_path / "r")
    (run / "environment.json").write_text(json.dumps({"<script>": "<b>\u2028\x1b", "deep": {"a": {"b": 1}}}))
    assert told(run).facts == {"<script>": "<b> \\x1b", "deep.a.b": "1"}
    (run / "environment.json").write_text('{"a": ' * 5000 + "1" + "}" * 5000)
    (run / "recipe.toml").write_text("when = 2026-01-01\nwhat = [{}, [nan, 1979-05-27T07:32:00Z]]\n")
    found = told(run)
    assert found.lacking == ["environment.json is damaged, so what the run was computed with is not known."]
    assert page([found, replace(found, name="other", recipe={"what": 1})], 0.0)

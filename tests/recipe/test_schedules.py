"""Schedules in recipes: written, refused at their place, changed by upper layers, dumped and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up import SMALLEST

from ganlab import Schedule
from ganlab.errors import RecipeError
from ganlab.recipe.recipe import Recipe, load_recipe, parse_recipe
from ganlab.recipe.schedules import in_order, is_schedule, lasts_longer, merged_schedule, schedules_of
from ganlab.registry import Registry

LR = "{ from = 1e-3, to = 0.0, epochs = 3 }"


def schedule(**table: Any) -> Schedule[float]:
    return Schedule[float].model_validate({"from": 1e-3, "to": 0.0, **table})


def test_a_schedule_is_written_where_a_number_could_be_and_comes_back(components: Registry) -> None:
    beta = '{ from = 0.9, to = 0.99, shape = "cosine", after = 1_000, images = 2_000_000 }'
    text = SMALLEST + f"[optimizer]\nlr = {LR}\nbetas = [0.0, {beta}]\n[optimizer.generator]\nlr = 1e-4\n"
    recipe = parse_recipe(text, components=components)
    generator, discriminator = (dict(recipe.optimizer[name]) for name in ("generator", "discriminator"))
    cosine = schedule(**{"from": 0.9, "to": 0.99, "shape": "cosine", "after": 1000.0, "images": 2_000_000})
    assert (generator["lr"], discriminator["lr"]) == (1e-4, schedule(epochs=3.0))
    assert generator["betas"] == discriminator["betas"] == (0.0, cosine)
    assert recipe.dump().split("[optimizer]\n")[1].split("\n[train]")[0] == (
        'name = "adam"\n'
        'lr = { from = 0.001, to = 0.0, shape = "linear", after = 0.0, epochs = 3.0 }\n'
        'betas = [0.0, { from = 0.9, to = 0.99, shape = "cosine", after = 1000.0, images = 2000000 }]\n'
        "eps = 1e-08\n\n[optimizer.generator]\nlr = 0.0001\n"
    )
    again = parse_recipe(recipe.dump(), components=components)
    assert again == recipe
    assert again.sha256 == recipe.sha256
    assert [name for name, _ in schedules_of(recipe.optimizer["discriminator"])] == ["lr", "betas[1]"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('lr = "fast"', ['5: optimizer.lr = "fast": must be a number above 0, or a schedule']),
        ("lr = 0", ["5: optimizer.lr = 0: must be a number above 0, or a schedule"]),
        (
            "lr = { from = 1e-3, to = 0.0, epochs = -3 }",
            ["5: optimizer.lr.epochs = -3: must be a number above 0 up to 1000000000"],
        ),
        (
            "lr = { from = 1, to = 0, iterations = 0 }",
            ["5: optimizer.lr.iterations = 0: must be a whole number above 0"],
        ),
        ("lr = { from = 1, to = 0, progress = 2 }", ["5: optimizer.lr.progress = 2: must be a number above 0 up to 1"]),
        (
            "lr = { from = 1, to = 0, after = -1, images = 3 }",
            ["5: optimizer.lr.after = -1: must be a number of at least 0"],
        ),
        (
            "lr = { from = 1, to = 0 }",
            ["5: optimizer.lr: has no length; say over how many images, epochs or iterations, or over what "
             "progress"],
        ),
        (
            "lr = { from = 1, to = 0, epochs = 3, images = 9 }",
            ["5: optimizer.lr: has several lengths, images and epochs; write one of them"],
        ),
        (
            "lr = { frmo = 1, to = -1, epochs = 3 }",
            [
                "5: optimizer.lr.frmo is not an option of a schedule; did you mean from?",
                "5: optimizer.lr.from is missing; it must be a number of at least 0",
                "5: optimizer.lr.to = -1: must be a number of at least 0",
            ],
        ),
        (
            'betas = [0.0, { from = 0.9, to = 1, shape = "cosin", images = 9 }]',
            [
                "5: optimizer.betas[1].to = 1: must be a number from 0 to below 1",
                '5: optimizer.betas[1].shape = "cosin": must be "linear", "cosine" or "step"; did you mean "cosine"?',
            ],
        ),
        (
            "betas = [0.0, 1.0]",
            ["5: optimizer.betas = [0.0, 1.0]: must be an array of two values, each a number from 0 to below 1, or a "
             "schedule"],
        ),
        (f"eps = {LR}", ["5: optimizer.eps: must be a number above 0"]),
        (f"lrr = {LR}", ['5: optimizer.lrr is not an option of optimizer "adam"; did you mean lr?']),
        (f"[optimizer.generator]\nlr = {LR.replace('to', 'too')}", [
            "6: optimizer.generator.lr.too is not an option of a schedule; did you mean to?",
            "6: optimizer.generator.lr.to is missing; it must be a number of at least 0",
        ]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_schedule_is_named_at_its_place(text: str, sentences: list[str], components: Registry) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"{SMALLEST}[optimizer]\n{text}\n", "r.toml", components=components)
    assert sorted(caught.value.problems) == sorted(f"r.toml:{sentence}" for sentence in sentences)


def test_an_upper_layer_changes_a_schedule_or_replaces_it(tmp_path: Path, components: Registry) -> None:
    (tmp_path / "base.toml").write_text(f"{SMALLEST}[optimizer]\nlr = {LR}\n")

    def lr(text: str, *overrides: str) -> Any:
        (tmp_path / "top.toml").write_text(f"extends = 'base.toml'\n[optimizer]\n{text}\n")
        recipe: Recipe = load_recipe(tmp_path / "top.toml", overrides, components=components)
        return recipe.optimizer["generator"].lr

    assert lr("lr = 1e-4") == 1e-4
    assert lr("lr = { from = 0.5, to = 0.25, iterations = 9 }") == schedule(
        **{"from": 0.5, "to": 0.25, "iterations": 9}
    )
    assert lr("lr = { to = 1e-5 }") == schedule(to=1e-5, epochs=3.0)
    assert lr("", "optimizer.lr.images=500", "optimizer.lr.shape=step") == schedule(images=500, shape="step")
    assert lr("lr = 1e-4", f"optimizer.lr={LR}") == schedule(epochs=3.0)


def test_what_is_a_schedule_and_what_only_lasts_longer() -> None:
    begun = {"from": 1, "to": 0, "after": 2, "epochs": 3}
    assert [is_schedule(value) for value in (begun, {"to": 1}, {"name": "adam"}, {}, 3, [begun])] == [True, True] + [
        False
    ] * 4
    assert lasts_longer(begun, begun | {"epochs": 4})
    assert lasts_longer([0, begun], [0, begun | {"after": 4}])
    for other in (begun | {"to": 2}, begun | {"epochs": 2}, {"from": 1, "to": 0, "after": 2, "images": 9}, 3, [begun]):
        assert not lasts_longer(begun, other)
    assert list(in_order([{"epochs": 3, "from": 1, "to": 0}])[0]) == ["from", "to", "epochs"]
    assert merged_schedule(begun, {"images": 7}) == {"from": 1, "to": 0, "after": 2, "images": 7}

"""Every option that an advice names exists, and may have the value that is named, in every recipe that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import tiny

from ganlab.health.advice import Options, advice
from ganlab.health.diseases import DISEASES
from ganlab.recipe.recipe import Recipe, find_recipe, load_recipe, parse_recipe, shipped_recipes

RECIPES = [path.stem for path in shipped_recipes()]


def options(recipe: Recipe) -> Options:
    return Options(recipe.table, tuple(recipe.optimizer))


def settings(finding: str, recipe: Recipe) -> list[str]:
    return [one.setting for one in advice(finding, options(recipe)) if one.setting]


@pytest.mark.parametrize("finding", DISEASES)
@pytest.mark.parametrize("name", RECIPES)
def test_what_is_advised_can_be_set(name: str, finding: str) -> None:
    path = find_recipe(name)
    before = load_recipe(path)
    assert advice(finding, options(before)), "there is always something to try"
    for setting in settings(finding, before):
        after = load_recipe(path, [setting])
        assert after.table != before.table, f"{setting} is so already"


def test_every_finding_has_an_advice_and_no_advice_is_for_none() -> None:
    for finding in DISEASES:
        assert advice(finding, options(parse_recipe(tiny())))


def test_a_learning_rate_that_changes_is_halved_from_end_to_end() -> None:
    rate = {"from": 1e-3, "to": 2e-4, "shape": "cosine", "progress": 1.0}
    recipe = parse_recipe(tiny(optimizer={"lr": rate}))
    (halved,) = [one for one in settings("discriminator_wins", recipe) if one.startswith("optimizer")]
    after = parse_recipe(tiny(optimizer={"lr": rate}), overrides=[halved])
    assert after.table["optimizer"]["discriminator"]["lr"] == rate | {"from": 5e-4, "to": 1e-4, "after": 0.0}
    assert after.table["optimizer"]["lr"] == recipe.table["optimizer"]["lr"]


def test_the_networks_own_rate_is_halved_where_it_has_one() -> None:
    recipe = parse_recipe(tiny(optimizer={"lr": 1e-3, "discriminator": {"lr": 4e-3}}))
    assert settings("discriminator_wins", recipe)[0] == "optimizer.discriminator.lr = 0.002"
    assert settings("generator_collapse", recipe)[0] == "optimizer.lr = 0.0005"


def test_where_each_network_has_a_rate_of_its_own_each_is_halved() -> None:
    own = {"generator": {"lr": 1e-3}, "discriminator": {"lr": 2e-4}}
    recipe = parse_recipe(tiny(optimizer=own))
    assert settings("generator_collapse", recipe)[:2] == [
        "optimizer.generator.lr = 0.0005",
        "optimizer.discriminator.lr = 0.0001",
    ]
    recipe = parse_recipe(tiny(optimizer={"lr": 4e-3, "generator": {"lr": 1e-3}}))
    assert settings("generator_collapse", recipe)[:2] == ["optimizer.lr = 0.002", "optimizer.generator.lr = 0.0005"]


def test_a_generator_that_is_beaten_learns_five_times_as_fast_where_it_is_not_the_faster_one() -> None:
    def rates(optimizer: dict[str, Any]) -> list[str]:
        found = settings("discriminator_wins", parse_recipe(tiny(optimizer=optimizer)))
        return [one for one in found if one.startswith("optimizer.generator")]

    assert rates({"lr": 2e-4}) == ["optimizer.generator.lr = 0.001"]
    assert rates({"lr": 1e-3, "generator": {"lr": 3e-5}}) == ["optimizer.generator.lr = 0.00015"]
    assert rates({"lr": 2e-4, "generator": {"lr": 1e-3}}) == []
    assert rates({"lr": {"from": 1e-3, "to": 0.0, "progress": 1.0}}) == [], "halved for the discriminator, no more"


def test_no_option_is_advised_that_the_loss_lacks_or_that_says_so_already() -> None:
    smooth = parse_recipe(tiny(loss={"real_label": 0.9}))
    assert "loss.real_label = 0.9" in settings("discriminator_wins", parse_recipe(tiny()))
    assert not [one for one in settings("discriminator_wins", smooth) if one.startswith("loss")]
    table = {**smooth.table, "loss": {"name": "other"}}
    bare = advice("discriminator_wins", options(smooth)._replace(recipe=table))
    assert not [one for one in bare if one.setting.startswith("loss")]


def test_an_augmentation_is_advised_where_there_is_none() -> None:
    plain = options(parse_recipe(tiny()))
    assert advice("few_pictures", plain)[0].setting == 'augmentation.name = "diffaugment"'
    augmented = plain._replace(recipe={**plain.recipe, "augmentation": {"name": "ada"}})
    assert not [one for one in advice("few_pictures", augmented) if "augmentation" in one.setting]


def test_scores_advise_to_keep_the_best_one_and_then_to_stop() -> None:
    recipe = parse_recipe(tiny(evaluate={"metrics": ["sliced_wasserstein"]}))
    assert "evaluate.best names the score" in advice("worse_score", options(recipe))[0].text
    kept = tiny(evaluate={"metrics": ["sliced_wasserstein"], "best": "sliced_wasserstein"})
    (patience, *_) = settings("worse_score", parse_recipe(kept))
    assert parse_recipe(kept, overrides=[patience]).evaluate.patience == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("plugins/gan-losses/recipes/*.toml")), ids=lambda path: path.stem
)
def test_the_losses_of_a_plugin_are_advised_their_own_options(path: Path) -> None:
    import ganlab_gan_losses

    from ganlab.testing.tiny import isolated

    losses = {
        name: getattr(ganlab_gan_losses, name)
        for name in ("Hinge", "LeastSquares", "Logistic", "Relativistic", "Wasserstein")
    }
    with isolated(
        {
            "hinge": losses["Hinge"],
            "least_squares": losses["LeastSquares"],
            "logistic": losses["Logistic"],
            "relativistic": losses["Relativistic"],
            "wasserstein": losses["Wasserstein"],
        }
    ):
        for finding in DISEASES:
            for setting in settings(finding, load_recipe(path)):
                load_recipe(path, [setting])

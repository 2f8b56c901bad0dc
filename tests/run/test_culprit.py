"""Whose code broke down: told from the traceback, for each place where a plugin's code runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broken_plugins import AUGMENTATION, LOSS, Plugin, install
from toys import tiny

import ganlab
from ganlab.errors import PluginError, RunError
from ganlab.interfaces import Loss
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.run.preview import preview

DATASET = """
    from ganlab import Dataset

    class Toy(Dataset):
        api = 1
        resolution: int = 8
        channels: int = 1

        def sources(self):
            return []

        def open(self):
            return {}["pictures"]
"""
MODEL = """
    from ganlab import Model
    from ganlab_dcgan import DCGAN

    class Toy(Model):
        api = 1
        where: str = "build"

        def check(self, images):
            pass

        def build(self, images):
            networks = DCGAN(base_channels=4, latent_dim=self.latent_dim).build(images)
            if self.where == "build":
                raise ZeroDivisionError("in build")
            if self.where == "forward":
                networks["generator"].register_forward_hook(_fail)
            return networks

    def _fail(module, inputs, output):
        if module.training:
            raise ZeroDivisionError("in forward")
"""
INPLACE = LOSS.replace(
    'yield Update("discriminator", -networks["discriminator"](batch.real).mean())',
    'logits = networks["discriminator"](batch.real).sigmoid()\n'
    "            y = logits * logits\n"
    "            logits += 1\n"
    '            yield Update("discriminator", y.mean())',
)
EXITING = LOSS.replace("batch = next", "raise SystemExit(0)\n            batch = next")
ALL_IN_ONE = """
    from ganlab import Loss, Model
    from ganlab_dcgan import DCGAN

    def fail():
        raise ZeroDivisionError("in a function")

    class Networks(Model):
        api = 1
        where: str = ""

        def check(self, images):
            pass

        def build(self, images):
            if self.where == "build":
                fail()
            networks = DCGAN(base_channels=4, latent_dim=self.latent_dim).build(images)
            if self.where == "forward":
                networks["generator"].register_forward_hook(lambda *_: fail())
            return networks

    class Steps(Loss):
        api = 1

        def updates(self, networks, batches, iteration):
            networks["generator"](next(batches).inputs["z"])
            fail()
            yield
"""
OFFERS = """
[ganlab.models]
one = all_in_one:Networks
[ganlab.losses]
one = all_in_one:Steps
"""
PLUGINS = [
    Plugin("data-plugin", "dataset", "theirs", DATASET),
    Plugin("model-plugin", "model", "theirs", MODEL),
    Plugin("loss-inplace", "loss", "inplace", INPLACE),
    Plugin("loss-exiting", "loss", "exiting", EXITING),
    Plugin("change-plugin", "augmentation", "theirs", AUGMENTATION.replace("return images", "return images.blur()")),
    Plugin("all-in-one", "model", "one", ALL_IN_ONE, entry_points=OFFERS),
]


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(install(tmp_path / "site", *PLUGINS))
    registry.scan()
    yield
    monkeypatch.undo()
    registry.scan(lambda distribution: True)
    for plugin in PLUGINS:
        sys.modules.pop(plugin.module, None)


CASES: list[tuple[dict[str, Any], str, bool]] = [
    ({"dataset": {"name": "theirs"}}, "dataset \"theirs\" (data-plugin 1.0) broke down: KeyError: 'pictures'", False),
    (
        {"model": {"name": "theirs", "where": "build"}},
        'model "theirs" (model-plugin 1.0) broke down: ZeroDivisionError: in build',
        False,
    ),
    (
        {"model": {"name": "theirs", "where": "forward"}},
        'model "theirs" (model-plugin 1.0) broke down at iteration 0: ZeroDivisionError: in forward',
        True,
    ),
    (
        {"loss": {"name": "inplace"}},
        'loss "inplace" (loss-inplace 1.0) broke down at iteration 0: RuntimeError: one of the variables needed for',
        True,
    ),
    (
        {"loss": {"name": "exiting"}},
        'loss "exiting" (loss-exiting 1.0) broke down at iteration 0: SystemExit: 0',
        True,
    ),
    (
        {"augmentation": {"name": "theirs"}},
        "augmentation \"theirs\" (change-plugin 1.0) broke down at iteration 0: AttributeError: 'Tensor' object has no",
        True,
    ),
]


@pytest.mark.parametrize(("tables", "sentence", "begun"), CASES, ids=[row[1].partition(":")[0] for row in CASES])
def test_the_plugin_whose_code_raised_is_named(tables: dict[str, Any], sentence: str, begun: bool) -> None:
    recipe = tiny(**tables)
    if tables.get("model") or tables.get("dataset", {}).get("name"):
        recipe |= {"model": {"latent_dim": 6, **tables.get("model", {})}}
    with pytest.raises(PluginError) as caught:
        ganlab.train(recipe, out="run")
    text = str(caught.value)
    assert text.startswith(sentence)
    assert caught.value.exit_code == 1
    assert caught.value.__cause__ is not None
    distribution = sentence.partition("(")[2].partition(" ")[0]
    assert text.endswith(f"or ganlab plugins disable {distribution}")
    assert ("The checkpoint of iteration 0 is kept" in text) == begun
    assert (Path("run/error.txt")).exists() == begun
    if begun:
        assert (
            (Path("run/error.txt"))
            .read_text()
            .startswith(f"{text.splitlines()[0]}\n\nTraceback (most recent call last):")
        )


@pytest.mark.parametrize(("where", "kind"), [("build", "model"), ("forward", "model"), ("", "loss")])
def test_a_function_of_a_package_with_several_components_is_that_of_the_one_that_called_it(
    where: str, kind: str
) -> None:
    one = {"name": "one"}
    tables: dict[str, Any] = tiny(loss=one) | {"model": one | {"latent_dim": 6, "where": where}}
    with pytest.raises(PluginError, match=rf'^{kind} "one" \(all-in-one 1\.0\) broke down') as caught:
        ganlab.train(tables, out="run")
    assert "ZeroDivisionError: in a function" in str(caught.value)


def test_what_keeps_a_dry_run_from_building_is_named_too() -> None:
    with pytest.raises(
        PluginError, match=r'model "theirs" \(model-plugin 1\.0\) broke down: ZeroDivisionError: in build'
    ):
        preview(parse_recipe(tiny() | {"model": {"name": "theirs"}}))


class Wrong(Loss):
    """Raises what it has been given."""

    api = 1

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        raise RAISED[0]
        yield


RAISED: list[Exception] = []


@pytest.mark.parametrize("error", [ValueError("mine"), RunError("a sentence of its own")])
def test_what_is_no_plugins_comes_through_as_it_is(error: Exception) -> None:
    RAISED[:] = [error]
    registry.add("loss", "wrong", Wrong)
    try:
        with pytest.raises(type(error)) as caught:
            ganlab.train(tiny(loss={"name": "wrong"}), out="run")
        assert caught.value is error
        assert not (Path("run/error.txt")).exists()
    finally:
        registry.remove("loss", "wrong")

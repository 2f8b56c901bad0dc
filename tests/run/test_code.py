"""A run that goes on notices that a plugin's code is not what it was begun with."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributions import put
from toys import tiny

import ganlab
from ganlab import PluginError
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.run.preview import preview

ENTRY = """
[ganlab.losses]
toy = edited_toy:Toy
"""
CODE = """
from ganlab import Loss, Update

class Toy(Loss):
    api = 1

    def updates(self, networks, batches, iteration):
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake = G(*batch.inputs.values())
        yield Update("discriminator", D(fake.detach()).mean() - D(batch.real).mean())
        yield Update("generator", -D(fake).mean())
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that installs `edited-toy` with this code, as another process would find it."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)

    def again(code: str) -> None:
        site.mkdir(exist_ok=True)
        if not (site / "edited_toy.py").exists():
            put(site, "edited-toy", ENTRY, CODE)
        (site / "edited_toy.py").write_text(code)
        for cached in site.glob("__pycache__/*"):
            cached.unlink()
        sys.modules.pop("edited_toy", None)
        importlib.invalidate_caches()
        registry.scan()

    yield again
    monkeypatch.undo()
    sys.modules.pop("edited_toy", None)
    registry.scan()


def recipe(iterations: int) -> dict[str, object]:
    return tiny(loss={"name": "toy"}, train={"iterations": iterations})


def warnings(run: Path) -> list[str]:
    return [line.split("  ", 1)[1] for line in (run / "log.txt").read_text().splitlines() if "the code of" in line]


SENTENCE = (
    "warning: the code of edited-toy has changed since the run was begun: same data and order, but not the same bits"
)


def test_an_edited_plugin_is_named_once_and_refused_where_that_is_strict(
    install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(CODE)
    run = ganlab.train(recipe(2), out="run").directory
    manifest = json.loads((run / "checkpoints/00000002/manifest.json").read_text())
    assert list(manifest["code"]) == ["edited-toy"], "ganlab's own is told by its version"
    ganlab.train(recipe(3), out="run")
    assert warnings(run) == []
    install(CODE.replace("-D(fake)", "-2 * D(fake)"))
    monkeypatch.setenv("GANLAB_STRICT_PLUGINS", "1")
    for attempt in (lambda: ganlab.train(recipe(4), out="run"), lambda: preview(parse_recipe(recipe(4)), "run")):
        with pytest.raises(PluginError, match=r"^the code of edited-toy has changed since the run was begun"):
            attempt()
    monkeypatch.delenv("GANLAB_STRICT_PLUGINS")
    ganlab.train(recipe(4), out="run")
    assert warnings(run) == [SENTENCE]
    ganlab.train(recipe(5), out="run")
    assert warnings(run) == [SENTENCE], "what has been said is in the checkpoint"

"""Tiny runs: recipes that change a table at a time, and a folder in which nothing stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from breaking import Energy, Good

import ganlab
from ganlab import PluginError
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.testing import isolated, tiny_recipe


def test_a_table_extends_the_recipe_s_or_replaces_that_of_another_component() -> None:
    plain = tiny_recipe()
    changed = tiny_recipe({"train": {"iterations": 3}, "model": {"latent_dim": 2}}, {"train": {"batch_size": 4}})
    assert changed["train"] == {**plain["train"], "iterations": 3, "batch_size": 4}
    assert changed["model"] == {"name": "dcgan", "base_channels": 4, "latent_dim": 2}
    assert tiny_recipe({"model": {"name": "waves"}})["model"] == {"name": "waves"}
    assert tiny_recipe({"loss": {"name": "bce", "real_label": 0.9}})["loss"] == {"name": "bce", "real_label": 0.9}
    new: dict[str, Any] = {"augmentation": {"name": "other"}, "seed": 3}
    assert tiny_recipe(new) == plain | new
    assert tiny_recipe(new, {"augmentation": None})["augmentation"] is None
    assert tiny_recipe() == plain, "what is handed out is the caller's own"


def test_a_component_is_trained_without_leaving_a_trace() -> None:
    before = (dict(os.environ), Path.cwd(), torch.get_num_threads(), registry.names("model"))
    with isolated({"good": Good}) as folder:
        assert Path.cwd() == folder
        run = ganlab.train(tiny_recipe({"model": {"name": "good"}, "train": {"iterations": 2}}), out="run")
        assert run.iterations == 2
        assert {path.name for path in folder.iterdir()} >= {"run", "cache"}
        assert ganlab.load_generator("run", device="cpu").sample([0]).shape == (1, 8, 8, 1)
    assert not folder.exists()
    assert (dict(os.environ), Path.cwd(), torch.get_num_threads(), registry.names("model")) == before


def test_what_had_a_name_before_has_it_again() -> None:
    def named_good() -> Any:
        return parse_recipe(tiny_recipe({"model": {"name": "good"}})).model

    with isolated({"good": Good}):
        with isolated({"good": Energy}):
            assert registry.get("model", "good") is Energy
        assert named_good() == Good()
        with isolated({"good": Good}):
            assert named_good() == Good()
        assert named_good() == Good()


def test_a_name_that_another_installed_component_has_is_refused() -> None:
    installed = registry.get("model", "dcgan")
    with isolated({"dcgan": installed}):
        pass
    folder = Path.cwd()
    refused = r'model "dcgan" is already offered by ganlab .*; add yours under another name'
    with pytest.raises(PluginError, match=refused), isolated({"dcgan": Good}):
        pass
    assert registry.get("model", "dcgan") is installed
    assert Path.cwd() == folder

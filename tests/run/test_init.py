"""Fine-tuning: what a run begins with instead of fresh weights, and what of that a run that goes on still needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import tiny

import ganlab
from ganlab import ArtefactError, GanlabError
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.run.preview import preview


def first(run: Path) -> dict[str, torch.Tensor]:
    """Return the state before the first iteration."""
    return load_file(run / "checkpoints/00000000/state.safetensors")


def tuned(init: Path | str, out: str = "tuned", **tables: Any) -> ganlab.Run:
    return ganlab.train(tiny(train={"iterations": 2}, **tables), init=init, out=out)


def log(run: Path) -> str:
    return (run / "log.txt").read_text()


@pytest.fixture
def before() -> Path:
    """Return a run of four iterations, whose average is not its weights."""
    return ganlab.train(tiny(train={"iterations": 4}), out="before").directory


def test_a_run_begins_with_all_networks_of_another_and_its_generator_as_it_was_shown(before: Path) -> None:
    run = tuned(before, seed=7).directory
    saved, now = load_file(before / "checkpoints/00000004/state.safetensors"), first(run)
    averaged = [name for name in saved if name.startswith("average/")]
    assert averaged
    for name in averaged:
        weight = name.replace("average/", "networks/generator/")
        assert torch.equal(now[name], saved[name])
        assert torch.equal(now[weight], saved[name])
        assert not torch.equal(saved[weight], saved[name])
    for name in saved:
        if name.startswith("networks/discriminator/"):
            assert torch.equal(now[name], saved[name]), name
        if name.startswith("optimizers/"):
            assert not now[name].any(), "an optimizer begins anew"
    for network in ("generator", "discriminator"):
        count = sum(name.startswith(f"networks/{network}/") for name in saved)
        assert f"{network} begins with {count} of {count} tensors from before" in log(run)


def test_a_generators_file_gives_the_generator_alone(before: Path) -> None:
    run = tuned(before / "generator.safetensors", seed=7).directory
    fresh, now = first(tuned_without_init()), first(run)
    shipped = load_file(before / "generator.safetensors")
    for name, tensor in shipped.items():
        assert torch.equal(now[f"networks/generator/{name}"], tensor), name
    for name in fresh:
        if name.startswith("networks/discriminator/"):
            assert torch.equal(now[name], fresh[name]), name
    assert "discriminator begins with 0 of 8 tensors from before/generator.safetensors; the rest is fresh" in log(run)


def tuned_without_init() -> Path:
    return ganlab.train(tiny(train={"iterations": 2}, seed=7), out="fresh").directory


def test_what_has_another_shape_is_fresh(before: Path) -> None:
    run = tuned(before, seed=7, model={"latent_dim": 5}).directory
    saved, now = load_file(before / "checkpoints/00000004/state.safetensors"), first(run)
    unlike = [name for name in now if name.startswith("networks/") and now[name].shape != saved[name].shape]
    assert len(unlike) == 1
    assert "generator begins with 12 of 13 tensors from before; the rest is fresh" in log(run)
    assert now[unlike[0]].std() > 0


def test_the_file_decides_and_not_its_place(before: Path) -> None:
    one = tuned(before, "one").directory
    shutil.move(before, "elsewhere")
    other = tuned("elsewhere", "other").directory
    for name in ("generator.safetensors", "checkpoints/00000002/state.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    digest = json.loads(Path("elsewhere/checkpoints/00000004/manifest.json").read_text())["sha256"]
    environment = json.loads((one / "environment.json").read_text())
    assert environment["init"] == {"from": "before", "sha256": digest}
    assert ganlab.read_metadata(one).training.init_sha256 == digest
    assert ganlab.read_metadata("elsewhere").training.init_sha256 is None


def test_a_run_goes_on_without_the_file_and_refuses_another(before: Path) -> None:
    shutil.copy(before / "generator.safetensors", "mine.safetensors")
    whole = ganlab.train(tiny(train={"iterations": 6}), init="mine.safetensors", out="whole").directory
    tuned("mine.safetensors")
    longer = tiny(train={"iterations": 6})
    shutil.copy("tuned/generator.safetensors", "mine.safetensors")
    with pytest.raises(GanlabError, match=r"(?s)train\.init_from was .*mine.*SHA-256 .* and is now .*SHA-256"):
        ganlab.train(longer, init="mine.safetensors", out="tuned")
    with pytest.raises(GanlabError, match=r"train\.init_from was .* and is now unset"):
        ganlab.train(longer, out="tuned")
    Path("mine.safetensors").unlink()
    assert preview(parse_recipe(longer).with_init("mine.safetensors"), "tuned")
    run = ganlab.train(longer, init="mine.safetensors", out="tuned")
    assert (run.iterations, run.already_done) == (6, False)
    assert (run.generator).read_bytes() == (whole / "generator.safetensors").read_bytes()
    assert ganlab.read_metadata(run).training.init_sha256 == ganlab.read_metadata(whole).training.init_sha256


def test_a_run_that_was_begun_with_one_that_trains_on_goes_on(before: Path) -> None:
    tuned(before)
    ganlab.train(tiny(train={"iterations": 5}), out="before")
    again = ganlab.train(tiny(train={"iterations": 3}), init="before", out="tuned")
    assert again.iterations == 3


def test_a_run_that_began_with_fresh_weights_does_not_go_on_with_others(before: Path) -> None:
    with pytest.raises(GanlabError, match=r"train\.init_from was unset and is now .*generator"):
        ganlab.train(tiny(train={"iterations": 9}), init=before / "generator.safetensors", out="before")


def test_a_runs_own_recipe_begins_with_the_very_same_weights(before: Path) -> None:
    run = tuned(before)
    again = ganlab.train(run.directory / "recipe.toml", out="again")
    assert again.generator.read_bytes() == run.generator.read_bytes()
    ganlab.train(tiny(train={"iterations": 5}), out="before")
    with pytest.raises(ArtefactError, match=r"train\.init_from: before is not what train\.init_sha256 asks for"):
        ganlab.train(run.directory / "recipe.toml", out="third")


def recipe(init: object, **tables: Any) -> Recipe:
    return parse_recipe(tiny(train={"init_from": str(init)}, **tables))


def refused(init: object, match: str, **tables: Any) -> None:
    """Expect a sentence, of a run and of a dry run alike, before anything is made."""
    for attempt in (lambda of: ganlab.train(of, out="none"), preview):
        with pytest.raises(GanlabError, match=match):
            attempt(recipe(init, **tables))
    assert not Path("none").exists()


def test_what_cannot_be_begun_with_is_refused_before_anything_is_made(before: Path) -> None:
    other = {"base_channels": 8, "latent_dim": 5}
    refused(before, r"^train\.init_from: no weight of before fits a network of this recipe", model=other, seed=1)
    refused("nowhere", r"^train\.init_from: there is no nowhere; name a run, or a generator\.safetensors$")
    Path("empty").mkdir()
    refused("empty", r"^train\.init_from: empty holds no checkpoint of a run; name a run, or a generator\.safetensors")
    save_file({"0.weight": torch.ones(3)}, "foreign.safetensors")
    refused("foreign.safetensors", r"^train\.init_from: foreign.*ganlab did not write it")
    Path("model.pt").write_bytes(b"PK\3\4")
    refused("model.pt", r"^train\.init_from: model\.pt: is a PyTorch pickle")
    with pytest.raises(GanlabError, match=r"train\.init_sha256 = .*: stands without init_from"):
        parse_recipe(tiny(train={"init_sha256": "0" * 64}))


def test_a_hostile_file_is_refused_by_what_it_claims(before: Path) -> None:
    state = before / "checkpoints/00000004/state.safetensors"
    data, manifest = state.read_bytes(), json.loads(state.with_name("manifest.json").read_text())
    state.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    run = tuned(before)
    assert "the checksum of state.safetensors does not fit; looking for the one before" in log(run.directory)
    assert manifest["iteration"] == 4
    assert first(run.directory).keys() == load_file(before / "checkpoints/00000000/state.safetensors").keys()
    refused("/dev/zero", r"^train\.init_from: /dev/zero: is not a regular file")


def test_a_length_in_epochs_stays_one() -> None:
    of = parse_recipe(tiny(train={"epochs": 0.5, "iterations": None}))
    again = parse_recipe(of.with_init("before", "0" * 64).dump())
    assert (again.train.epochs, again.train.iterations) == (0.5, None)
    assert (again.train.init_from, again.train.init_sha256) == (Path("before"), "0" * 64)
    assert again.sha256 == of.with_init("elsewhere", "0" * 64).sha256 != of.sha256


def test_a_dry_run_says_what_fits(before: Path) -> None:
    shown = preview(recipe(before / "generator.safetensors"))
    assert "generator begins with 13 of 13 tensors from before/generator.safetensors" in shown
    assert "discriminator begins with 0 of 8 tensors" in shown

"""The generator that is shipped, and its pictures: the same from the same weights, whatever goes on beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_conditional import ConditionalDCGAN
from toys import tiny

import ganlab
from ganlab import ImageSpec
from ganlab.data.pictures import to_uint8
from ganlab.distributed.ranks import Place, Ranks
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.registry import registry
from ganlab.testing.tiny import isolated, tiny_recipe
from ganlab.testing.toys import TinyVaried
from ganlab.training.sampling import BATCH, BrokenOffError, draw_samples, sample_columns, sample_rows, shipped_generator
from ganlab.training.state import State, buffer_rows, build_state

CPU = torch.device("cpu")
IMAGES = ImageSpec(1, 8, 8)
LABELLED = ImageSpec(1, 16, 16, 3)


def begun(**tables: Any) -> tuple[Recipe, State]:
    """Return a state whose average and BatchNorm statistics are no longer those of its weights."""
    recipe = parse_recipe(tiny(**tables))
    state = build_state(recipe, IMAGES, CPU)
    with torch.no_grad():
        for parameter in state.networks["generator"].parameters():
            parameter.mul_(1.5)
        for buffer in state.buffers():
            buffer.add_(3)
    return recipe, state


def shipped(recipe: Recipe, state: State) -> torch.nn.Module:
    return shipped_generator(recipe, state, buffer_rows(state, Ranks(Place(0, 1, 0), CPU))[0], IMAGES, CPU)


def test_without_an_average_it_has_the_weights_and_the_statistics_it_is_given() -> None:
    recipe, state = begun(moving_average={"enabled": False})
    state.networks = dict(reversed(state.networks.items()))  # the generator's buffers come last
    rows = buffer_rows(state, Ranks(Place(0, 1, 0), CPU))[0] + 1.0  # as another rank's would differ
    generator = shipped_generator(recipe, state, rows, IMAGES, CPU)
    assert not any(module.training for module in generator.modules())
    live = state.networks["generator"]
    assert all(torch.equal(one, other) for one, other in zip(generator.parameters(), live.parameters(), strict=True))
    for one, other in zip(generator.buffers(), live.buffers(), strict=True):
        np.testing.assert_allclose(one, other + 1, rtol=1e-6)


def test_with_an_average_it_has_statistics_that_fit_the_averaged_weights() -> None:
    recipe, state = begun(moving_average={"statistics_batches": 3}, train={"batch_size": 8})
    assert state.average is not None
    generator = shipped(recipe, state)
    averaged = dict(state.average.tensors())
    assert all(torch.equal(value, averaged[name]) for name, value in generator.named_parameters())
    counts = [value.item() for name, value in generator.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts
    assert set(counts) == {3}
    # The same numbers go into the first layer whatever the weights: their mean is near 0, and not the 3 of before.
    mean = next(value for name, value in generator.named_buffers() if name.endswith("running_mean"))
    assert mean.abs().max() < 1.0


def test_statistics_behind_a_linear_layer_are_those_of_all_latents() -> None:
    """Of z ~ N(0, 1), w z has the mean 0 and the variance |w|^2, at each place of the first map."""
    recipe, state = begun(moving_average={"statistics_batches": 8}, train={"batch_size": 16}, model={"latent_dim": 24})
    generator = shipped(recipe, state)
    buffers = dict(generator.named_buffers())
    first = next(name for name in buffers if name.endswith("running_mean"))
    weight = next(p for p in generator.parameters()).detach().double()  # (latent, channels, height, width)
    variance = weight.square().sum(0).mean((1, 2)).numpy()
    np.testing.assert_allclose(buffers[first].numpy() / np.sqrt(variance), 0.0, atol=1e-6)
    # The map's places have one mean, 0: the variance over them and over the batch is the mean of their variances.
    np.testing.assert_allclose(buffers[first.replace("mean", "var")].numpy(), variance, rtol=0.05)


def test_it_is_a_pure_function_that_leaves_the_training_alone() -> None:
    recipe, state = begun(model={"generator_dropout": 0.5})
    before = {name: tensor.clone() for name, tensor in state.tensors()}
    random = torch.get_rng_state()
    one = shipped(recipe, state)
    assert torch.equal(torch.get_rng_state(), random)
    torch.rand(7)
    other = shipped(recipe, state)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.tensors())
    assert state.networks["generator"].training


def test_seed_i_makes_picture_i_whatever_else_is_drawn() -> None:
    recipe, state = begun(snapshot={"samples": BATCH + 3})
    generator = shipped(recipe, state)
    samples = draw_samples(recipe, generator, IMAGES, CPU)
    assert samples.shape == (BATCH + 3, 8, 8, 1)
    assert samples.dtype == np.uint8
    for seed in (0, 1, BATCH, BATCH + 2):
        z = torch.tensor(np.random.RandomState(seed).standard_normal((1, recipe.model.latent_dim)), dtype=torch.float32)
        with torch.no_grad():
            alone = to_uint8(generator(z).numpy())[0]
        assert np.abs(samples[seed].astype(int) - alone).max() <= 1, "convolutions may add in another order"
    assert len({picture.tobytes() for picture in samples}) > BATCH


@pytest.mark.parametrize(("samples", "columns", "labels"), [(6, 2, "001122"), (7, 3, "0001112"), (3, 1, "012")])
def test_a_grid_with_labels_has_a_row_a_class(samples: int, columns: int, labels: str) -> None:
    registry.add("model", "with_labels", ConditionalDCGAN)
    try:
        recipe = parse_recipe(
            tiny(dataset={"classes": 3, "resolution": 16}, snapshot={"samples": samples})
            | {"model": {"name": "with_labels"}}
        )
    finally:
        registry.remove("model", "with_labels")
    seen = []

    class Labels(torch.nn.Module):
        def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            seen.extend(label.tolist())
            return torch.zeros(len(z), 1, 16, 16)

    draw_samples(recipe, Labels(), LABELLED, CPU)
    assert sample_columns(recipe, LABELLED) == columns
    assert seen == [int(label) for label in labels]
    rows = sample_rows(recipe, LABELLED, ["ant", "bee", "cat"])
    assert [row[0] for row in rows] == ["abc"[int(labels[start])] for start in range(0, samples, columns)]


def test_a_grid_with_a_category_has_a_row_a_category_whose_columns_share_the_rest() -> None:
    registry.add("model", "varied", TinyVaried)
    try:
        recipe = parse_recipe(tiny(snapshot={"samples": 5}) | {"model": {"name": "varied"}})
    finally:
        registry.remove("model", "varied")
    generator = TinyVaried().build(IMAGES)["generator"].eval()
    samples = draw_samples(recipe, generator, IMAGES, CPU)
    assert sample_columns(recipe, IMAGES) == 2
    assert sample_rows(recipe, IMAGES, ()) == ("category 0", "category 1", "category 2")
    for place, (seed, category) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]):
        stream = np.random.RandomState(seed)
        z, _, codes = stream.standard_normal((1, 4)), stream.randint(3), stream.uniform(-1, 1, (1, 2))
        arrays = [z, np.eye(3)[[category]], codes, stream.standard_normal((1, 1, 8, 8))]
        with torch.no_grad():
            alone = generator(*(torch.tensor(array, dtype=torch.float32) for array in arrays))
        assert np.abs(samples[place].astype(int) - to_uint8(alone.numpy())[0]).max() <= 1


def test_a_run_with_inputs_of_several_kinds_ships_a_generator_that_takes_them(tmp_path: Path) -> None:
    with isolated({"varied": TinyVaried}):
        made = {}
        for name, stops in (("whole", [6]), ("parts", [3, 6])):
            for iterations in stops:
                table = tiny_recipe({"model": {"name": "varied"}, "train": {"iterations": iterations}})
                run = ganlab.train(table, out=tmp_path / name)
            made[name] = run.generator.read_bytes()
        assert made["whole"] == made["parts"]
        generator = ganlab.load_generator(tmp_path / "whole", device="cpu")
        assert list(generator.metadata.kinds) == ["z", "category", "codes", "noise"]
        assert generator.sample(3, inputs={"category": [0, 1, 2]}).shape == (3, 8, 8, 1)


@pytest.mark.parametrize(("samples", "columns"), [(1, 1), (4, 2), (5, 3), (64, 8), (65, 9)])
def test_a_grid_without_labels_is_nearly_square(samples: int, columns: int) -> None:
    recipe = parse_recipe(tiny(snapshot={"samples": samples}))
    assert sample_columns(recipe, IMAGES) == columns
    assert sample_rows(recipe, LABELLED, ["ant", "bee", "cat"]) == (), "they say nothing, whatever the data has"


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_what_a_snapshot_computes_is_broken_off_between_two_batches(batches: int) -> None:
    recipe, state = begun(moving_average={"statistics_batches": 1000}, snapshot={"samples": 10_000})
    computed: list[object] = []

    def stop() -> bool:
        return len(computed) == batches

    state.networks["generator"].register_forward_pre_hook(lambda *_: computed.append(None))
    with pytest.raises(BrokenOffError):
        shipped_generator(recipe, state, buffer_rows(state, Ranks(Place(0, 1, 0), CPU))[0], IMAGES, CPU, stop)
    assert len(computed) == batches
    computed.clear()
    with pytest.raises(BrokenOffError):
        draw_samples(recipe, state.networks["generator"], IMAGES, CPU, stop)
    assert len(computed) == batches

"""Batches: every picture once an epoch, the same for the same seed, from any place at once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from ganlab.data.batches import Batches, Resident, Streamed, fits
from ganlab.data.packing import Packed
from ganlab.distributed.share import Share
from ganlab.interfaces import Categorical, ImageSpec, Input, Labels, Normal, Uniform
from ganlab.seeds import Stream, stream_seed

CPU = torch.device("cpu")


def packed(count: int = 23, classes: int = 0) -> Packed:
    """Pictures whose pixels all hold the picture's number, but for the left column, which holds 255."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(4, 3)
    images[:, :, :, 0] = 255
    labels = np.arange(count, dtype=np.int64) % classes if classes else None
    return Packed(images, labels, ImageSpec(1, 2, 4, classes), (), "fingerprint")


def batches(data: Packed | None = None, **options: Any) -> Batches:
    defaults: dict[str, Any] = {
        "batch_size": 5, "conditional": False, "flip": False, "seed": 0, "device": CPU,
    }  # fmt: skip
    return Batches(data or packed(), options.pop("inputs", {"z": Normal((3,))}), **(defaults | options))


def numbers(real: torch.Tensor) -> list[int]:
    """Recover which pictures a batch holds, from a column that flips do not reach."""
    return [round(value) for value in ((real[:, 0, 0, 1] + 1) * 127.5).tolist()]


def test_an_epoch_holds_every_picture_at_most_once_and_drops_the_partial_batch() -> None:
    source = batches()
    assert source.per_epoch == 4
    epochs = [[n for _ in range(4) for n in numbers(next(source).real)] for _ in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
        assert set(epoch) <= set(range(23))
    assert epochs[0] != epochs[1]


def test_pixels_are_scaled_to_minus_one_and_one_exactly() -> None:
    real = next(batches()).real
    assert real.dtype == torch.float32
    assert real[:, :, :, 0].eq(1.0).all()
    expected = np.float32(np.array(numbers(real), np.float64) / 127.5 - 1.0)
    np.testing.assert_allclose(real[:, 0, 0, 1].numpy(), expected, atol=1e-7)


def test_the_nth_batch_depends_on_seed_and_n_alone() -> None:
    walked, jumped, other = batches(flip=True), batches(flip=True), batches(flip=True, seed=1)
    for _ in range(9):
        next(walked)
        next(other)
    jumped.move_to(0, 9)
    a, b, c = next(walked), next(jumped), next(other)
    assert torch.equal(a.real, b.real)
    assert torch.equal(a.inputs["z"], b.inputs["z"])
    assert not torch.equal(a.real, c.real)
    assert not torch.equal(a.inputs["z"], c.inputs["z"])


def test_flips_mirror_about_half_of_the_pictures_anew_each_epoch() -> None:
    source = batches(packed(200), batch_size=200, flip=True)
    flipped = []
    for _ in range(2):
        real = next(source).real
        left, right = real[:, 0, 0, 0].eq(1.0), real[:, 0, 0, 3].eq(1.0)
        assert (left | right).all()
        by_number = dict(zip(numbers(real), (~left).tolist(), strict=True))
        flipped.append([by_number[n] for n in sorted(by_number)])
        assert 70 < sum(flipped[-1]) < 130
    assert flipped[0] != flipped[1]


@pytest.mark.parametrize(("distribution", "low", "high", "std"), [("normal", -6, 6, 1.0), ("uniform", -1, 1, 3**-0.5)])
def test_latents_have_their_distribution(distribution: str, low: float, high: float, std: float) -> None:
    source = batches(inputs={"z": Normal((3,)) if distribution == "normal" else Uniform((3,))})
    z = torch.cat([next(source).inputs["z"] for _ in range(400)])
    assert z.shape == (2000, 3)
    assert low <= z.min() < z.max() <= high
    assert z.mean().abs() < 0.05
    assert z.std().item() == pytest.approx(std, rel=0.05)


def test_labels_stay_with_their_pictures() -> None:
    batch = next(batches(packed(classes=7), conditional=True))
    (labels,) = batch.condition
    assert labels.dtype == torch.int64
    assert labels.tolist() == [n % 7 for n in numbers(batch.real)]
    assert next(batches(packed(classes=7))).condition == ()


@pytest.mark.parametrize(("count", "size"), [(23, 24), (20, 64), (16, 64), (3, 8), (1, 4), (7, 13)])
def test_few_pictures_fill_a_batch_in_turn(count: int, size: int) -> None:
    source = batches(packed(count, classes=7), batch_size=size, conditional=True)
    assert source.per_epoch == 1
    seen: Counter[int] = Counter()
    orders = []
    for _ in range(9):
        batch = next(source)
        orders.append(numbers(batch.real))
        assert batch.condition[0].tolist() == [number % 7 for number in orders[-1]]
        for often in (Counter(orders[-1]), seen := seen + Counter(orders[-1])):
            assert len(often) == count
            assert max(often.values()) - min(often.values()) <= 1
    assert seen.total() == 9 * size
    if count > 1:
        assert orders[0] != sorted(orders[0])
        assert orders[0] != orders[1]
    jumped = batches(packed(count), batch_size=size)
    jumped.move_to(0, 5)
    assert numbers(next(jumped).real) == orders[5], "the n-th batch depends on seed and n alone"
    assert numbers(next(batches(packed(count), batch_size=size, seed=1)).real) != orders[0] or count == 1


def test_pictures_that_come_twice_in_a_batch_are_flipped_each_by_itself() -> None:
    real = next(batches(packed(1), batch_size=400, flip=True)).real
    assert 150 < int(real[:, 0, 0, 0].eq(1.0).sum()) < 250, "of one picture, whose left column is white"


def test_the_mapping_of_the_cache_is_never_written() -> None:
    data = packed()
    before = data.images.copy()
    data.images.flags.writeable = False
    source = batches(dataclasses.replace(data), flip=True)
    for _ in range(8):
        next(source).real.zero_()
    assert np.array_equal(data.images, before)


def test_pictures_that_do_not_lie_on_the_device_are_gathered_the_same() -> None:
    data, order = packed(), torch.randperm(23)
    resident, streamed = Resident(data.images, CPU), Streamed(data.images, CPU)
    for source in (resident, streamed):
        source.start_epoch(order)
    for start in (0, 5, 18):
        window = slice(start, start + 5)
        expected = torch.from_numpy(data.images)[order[window]]
        for source in (resident, streamed):
            assert torch.equal(source.gathered(source.chosen(window)), expected)


def test_apple_s_gpus_hold_as_many_numbers_as_32_bits_count() -> None:
    mps = torch.device("mps")
    celeba = np.broadcast_to(np.zeros((), np.uint8), (202_599, 3, 64, 64))
    assert not fits(celeba, mps)
    assert fits(celeba[:100_000], mps)
    assert fits(celeba, CPU)


@pytest.mark.parametrize("ranks", [1, 2, 5])
@pytest.mark.parametrize("count", [23, 7])
def test_the_shares_of_all_processes_are_the_batches_of_one(ranks: int, count: int) -> None:
    options: dict[str, Any] = {"conditional": True, "flip": True, "batch_size": 10}
    whole = batches(packed(count, classes=7), **options)
    shares = [batches(packed(count, classes=7), share=Share(rank, ranks), **options) for rank in range(ranks)]
    for _ in range(5):  # over the end of an epoch
        batch, parts = next(whole), [next(source) for source in shares]
        assert torch.equal(torch.cat([part.real for part in parts]), batch.real)
        assert torch.equal(torch.cat([part.inputs["z"] for part in parts]), batch.inputs["z"])
        assert torch.equal(torch.cat([part.condition[0] for part in parts]), batch.condition[0])


def test_what_was_drawn_is_made_into_the_same_batch_in_other_memory() -> None:
    source = batches(packed(classes=7), conditional=True, flip=True)
    kept = source.draw().copy()  # as a captured graph reads it: always from the same memory
    for _ in range(6):
        source.draw_into(kept)
    expected, made = batches(packed(classes=7), conditional=True, flip=True), source.made_of(kept)
    expected.move_to(0, 6)
    batch = next(expected)
    assert source.drawn == 7
    for one, two in zip(
        (made.real, *made.inputs.values(), *made.condition),
        (batch.real, *batch.inputs.values(), *batch.condition),
        strict=True,
    ):
        assert torch.equal(one, two)


VARIED: dict[str, Input] = {
    "z": Normal((3,)),
    "classes": Labels(),
    "code": Categorical(4),
    "noise": Uniform((1, 2, 4)),
}


def test_every_declared_input_is_drawn_in_its_order_shape_and_distribution() -> None:
    source = batches(packed(classes=7), inputs=VARIED, conditional=True)
    drawn = [next(source) for _ in range(200)]
    assert all(list(batch.inputs) == list(VARIED) for batch in drawn)
    z, classes, code, noise = (torch.cat([batch.inputs[name] for batch in drawn]) for name in VARIED)
    assert [values.shape[1:] for values in (z, classes, code, noise)] == [(3,), (), (4,), (1, 2, 4)]
    assert [values.dtype for values in (z, classes, code, noise)] == [torch.float32, torch.int64, *[torch.float32] * 2]
    assert torch.equal(classes, torch.cat([batch.condition[0] for batch in drawn]))
    assert code.unique().tolist() == [0.0, 1.0]
    assert code.sum(1).eq(1).all()
    assert code.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.05)
    assert -1 <= noise.min() < -0.99 < 0.99 < noise.max() <= 1


def test_inputs_beside_z_leave_its_bits() -> None:
    more, alone = batches(packed(classes=7), inputs=VARIED, flip=True), batches(packed(classes=7), flip=True)
    for _ in range(6):
        one, other = next(more), next(alone)
        assert torch.equal(one.inputs["z"], other.inputs["z"])
        assert torch.equal(one.real, other.real)
    # By hand: the whole batch's z, from a generator with the seed of the 6th batch.
    whole = torch.randn(5, 3, generator=torch.Generator().manual_seed(stream_seed(0, Stream.LATENTS, 5)))
    torch.testing.assert_close(one.inputs["z"], whole, rtol=0.0, atol=0.0)


def test_labels_reach_a_generator_whose_discriminator_gets_none() -> None:
    batch = next(batches(packed(classes=7), inputs={"z": Normal((3,)), "labels": Labels()}))
    assert batch.inputs["labels"].tolist() == [number % 7 for number in numbers(batch.real)]
    assert batch.condition == ()


@pytest.mark.parametrize("ranks", [2, 5])
def test_the_shares_of_all_inputs_are_those_of_one_process(ranks: int) -> None:
    options: dict[str, Any] = {"inputs": VARIED, "batch_size": 10}
    whole = next(batches(packed(classes=7), **options))
    shares = [next(batches(packed(classes=7), share=Share(rank, ranks), **options)) for rank in range(ranks)]
    for name, values in whole.inputs.items():
        assert torch.equal(torch.cat([share.inputs[name] for share in shares]), values)


def test_all_inputs_are_kept_in_other_memory() -> None:
    source, other = (batches(packed(classes=7), inputs=VARIED) for _ in range(2))
    first, expected = other.draw(), other.draw()
    kept = source.draw().copy()
    source.draw_into(kept)
    for name, values in source.made_of(expected).inputs.items():
        assert torch.equal(source.made_of(kept).inputs[name], values)
        assert not torch.equal(source.made_of(first).inputs[name], values)

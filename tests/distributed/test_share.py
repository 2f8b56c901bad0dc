"""Which part of a batch each rank takes: every place once, and together the batch of one."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from ganlab import DataError, ImageSpec
from ganlab.data.batches import Batches
from ganlab.data.packing import Packed
from ganlab.distributed.share import Share
from ganlab.interfaces import Normal


def test_every_place_of_a_batch_belongs_to_exactly_one_of_1_to_4096_ranks() -> None:
    for ranks in range(1, 4097):
        for size in (ranks, 3 * ranks):
            shares = Share(np.arange(ranks), ranks).of(size)  # type: ignore[arg-type]  # all ranks at once
            assert np.array_equal(shares.start[1:], shares.stop[:-1])
            assert (shares.start[0], shares.stop[-1]) == (0, size)
            assert (shares.stop - shares.start == size // ranks).all()


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    for size, ranks in ((7, 2), (8, 3), (64, 4096)):
        sentence = f"train.batch_size = {size} cannot be shared evenly by {ranks} processes; set it to a multiple of "
        with pytest.raises(DataError, match=re.escape(f"{sentence}{ranks}")):
            Share(0, ranks).of(size)


@pytest.mark.parametrize("ranks", [2, 3, 4, 12])
def test_the_shares_of_all_ranks_are_the_batch_of_one(ranks: int) -> None:
    images = np.random.RandomState(0).randint(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    labels = np.arange(40, dtype=np.int64) % 7
    packed = Packed(images, labels, ImageSpec(1, 4, 4, 7), (), "fingerprint")

    def batches(share: Share) -> Batches:
        device = torch.device("cpu")
        return Batches(
            packed, {"z": Normal((5,))}, batch_size=12, conditional=True, flip=True, seed=1, device=device, share=share
        )

    whole, parts = batches(Share(0, 1)), [batches(Share(number, ranks)) for number in range(ranks)]
    for _ in range(7):  # more than two epochs
        batch, shares = next(whole), [next(part) for part in parts]
        assert torch.equal(batch.real, torch.cat([share.real for share in shares]))
        assert torch.equal(batch.inputs["z"], torch.cat([share.inputs["z"] for share in shares]))
        assert torch.equal(batch.condition[0], torch.cat([share.condition[0] for share in shares]))

"""When a longer run has other bits than one that was so long from the start."""

from __future__ import annotations

from typing import Any

import pytest
from toys import tiny

from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.run.resume import note_of_extension
from ganlab.training.checkpoint import Manifest, Provenance
from ganlab.training.schedule import Schedule, learning_rate
from ganlab.training.state import State


def recipe(**tables: Any) -> Recipe:
    return parse_recipe(tiny(**tables), "faces")


def begun(old: Recipe, iteration: int = 0, drawn: int = 0) -> Manifest:
    """Return the manifest of a run of that recipe at that place."""
    provenance = Provenance(old.table, "0" * 64, {"ganlab": "0.1.0"}, ranks=1, threads=1, device="cpu")
    return Manifest(provenance, iteration, drawn, rollbacks=0, sha256="0" * 64, bytes=1)


@pytest.mark.parametrize("decay_from", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("length", "before", "after"), [("iterations", 20, 35), ("epochs", 4.0, 7.0)])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_extension_is_noted_where_a_rate_has_begun_to_fall(
    decay_from: float, length: str, before: float, after: float, steps: int
) -> None:
    """It has where any iteration so far had another rate than it would have had in the longer run."""
    base = tiny(optimizer={"lr": 0.01, "decay_from": decay_from}, loss={"discriminator_steps": steps})
    old, new = (parse_recipe(base | {"train": {"batch_size": 8, length: value}}) for value in (before, after))

    def rate(run: Recipe, iteration: int) -> float:
        place = State({}, {}, None, {}, iteration=iteration, drawn=steps * iteration)
        return learning_rate(run.optimizer["generator"], Schedule(run, per_epoch=15).progress(place))

    notes = []
    for done in range((20 if length == "iterations" else 60 // steps) + 1):
        notes.append(note_of_extension(new, begun(old, done, steps * done), per_epoch=15))
        same = all(rate(old, iteration) == rate(new, iteration) for iteration in range(done))
        assert (notes[-1] is None) == same, done
    assert notes[0] is None
    assert notes[-1] == (
        f"the run was begun with train.{length} = {before} and goes on with {after}: since {decay_from:.0%} of the "
        f"shorter one its learning rate had been falling, so it will not have the same bits as a run that had {after} "
        f"from the start"
    )


def test_an_extension_of_a_constant_rate_or_of_nothing_is_not_noted() -> None:
    constant, longer = recipe(), recipe(train={"iterations": 24})
    assert note_of_extension(longer, begun(constant, 12, 12), per_epoch=5) is None
    falling = recipe(optimizer={"decay_from": 0.25})
    assert note_of_extension(falling, begun(falling, 12, 12), per_epoch=5) is None

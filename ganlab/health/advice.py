"""What may help against what was found, of the options that a recipe has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ganlab.events import Advice
from ganlab.recipe.schedules import is_schedule
from ganlab.recipe.toml import dump_value

AUGMENTATION = "diffaugment"
"""The one that comes with ganlab."""
SMOOTH = 0.9
"""Salimans et al. 2016, section 3.4: one-sided label smoothing."""
FASTER = 5
"""How many times as fast a generator learns that is beaten: docs/results-own-pictures.md."""
PATIENCE = 5
"""Evaluations without a better score after which a training may as well end."""
LEAST_CHANNELS = 8
"""Networks of fewer are not made smaller."""


class Options(NamedTuple):
    """What can be changed in a training."""

    recipe: Mapping[str, Any]
    """The resolved recipe as nested tables."""
    networks: Collection[str]
    """The names of those that are trained."""


def advice(finding: str, options: Options) -> tuple[Advice, ...]:
    """Return what may help against a finding, by its name; the first is the first to try.

    No option is named that the recipe does not have, and none with the value that it has already.
    """
    return tuple(_REMEDIES[finding](options))


def _against_a_win(options: Options) -> Iterator[Advice]:
    yield from _slower(options, "discriminator")
    yield from _faster_generator(options)
    yield from _smoothed(options)
    model, loss = options.recipe["model"], options.recipe["loss"]
    if model.get("discriminator_batchnorm") is False and loss.get("r1") == 0.0:
        yield Advice("a penalty on the discriminator's slope", "loss.r1 = 1.0")
    yield from _augmented(options)


def _against_a_collapse(options: Options) -> Iterator[Advice]:
    yield from _slower(options)
    yield from _smoothed(options)
    yield Advice("another seed", f"seed = {options.recipe['seed'] + 1}")


def _against_cycles(options: Options) -> Iterator[Advice]:
    yield from _slower(options)
    betas = options.recipe["optimizer"].get("betas")
    fixed = isinstance(betas, list | tuple) and all(isinstance(beta, float) for beta in betas)
    if fixed and betas[0] > 0.0:
        yield Advice("no momentum", f"optimizer.betas = [0.0, {betas[1]!r}]")
    yield from _averaged(options)


def _against_saturation(options: Options) -> Iterator[Advice]:
    yield from _slower(options, "generator")
    yield from _averaged(options)


def _against_a_grid(options: Options) -> Iterator[Advice]:
    yield from _averaged(options)
    yield from _slower(options, "generator")
    yield Advice("a model that enlarges pictures before it convolves them")


def _against_worse_scores(options: Options) -> Iterator[Advice]:
    evaluate = options.recipe.get("evaluate", {})
    if "best" not in evaluate:
        yield Advice("keep the best generator: evaluate.best names the score")
    elif "patience" not in evaluate:
        yield Advice("end the training in time", f"evaluate.patience = {PATIENCE}")
    yield from _slower(options)


def _against_copies(options: Options) -> Iterator[Advice]:
    yield from _augmented(options)
    if options.recipe["dataset"].get("flip") is False:
        yield Advice("pictures that may be mirrored count twice", "dataset.flip = true")
    channels = options.recipe["model"].get("base_channels")
    if isinstance(channels, int) and channels >= 2 * LEAST_CHANNELS:
        yield Advice("smaller networks", f"model.base_channels = {channels // 2}")
    yield Advice("more pictures")


_REMEDIES: Mapping[str, Callable[[Options], Iterator[Advice]]] = {
    "discriminator_wins": _against_a_win,
    "generator_collapse": _against_a_collapse,
    "oscillation": _against_cycles,
    "saturation": _against_saturation,
    "checkerboard": _against_a_grid,
    "worse_score": _against_worse_scores,
    "memorisation": _against_copies,
    "few_pictures": _against_copies,
}


def _slower(options: Options, network: str = "") -> Iterator[Advice]:
    """Yield half of the learning rate, of one network or of all; of one that changes, half of it from end to end."""
    optimizer = options.recipe["optimizer"]
    own = {name: optimizer[name]["lr"] for name in options.networks if "lr" in optimizer.get(name, {})}
    if network in options.networks:
        yield from _halved(f"optimizer.{network}.lr", f"the {network}'s", own.get(network, optimizer.get("lr")))
        return
    if set(options.networks) - own.keys() or not own:
        yield from _halved("optimizer.lr", "the", optimizer.get("lr"))
    for name, rate in own.items():
        yield from _halved(f"optimizer.{name}.lr", f"the {name}'s", rate)


def _halved(key: str, whose: str, rate: object) -> Iterator[Advice]:
    what = f"half of {whose} learning rate"
    if isinstance(rate, float | int):
        yield Advice(what, f"{key} = {dump_value(rate / 2)}")
    elif isinstance(rate, Mapping) and is_schedule(rate):
        halved = {**rate, "from": rate["from"] / 2, "to": rate["to"] / 2}
        yield Advice(what, f"{key} = {dump_value(halved)}")


def _faster_generator(options: Options) -> Iterator[Advice]:
    """Yield a larger learning rate of the generator where it is not larger than the discriminator's already."""
    optimizer = options.recipe["optimizer"]
    rates = [optimizer.get(network, {}).get("lr", optimizer.get("lr")) for network in ("generator", "discriminator")]
    numbers = all(isinstance(rate, float | int) for rate in rates)
    if "generator" in options.networks and numbers and rates[0] <= rates[1]:
        faster = dump_value(float(f"{FASTER * rates[0]:.3g}"))
        yield Advice("a generator that learns faster", f"optimizer.generator.lr = {faster}")


def _smoothed(options: Options) -> Iterator[Advice]:
    label = options.recipe["loss"].get("real_label")
    if isinstance(label, float | int) and label > SMOOTH:
        yield Advice("one-sided label smoothing", f"loss.real_label = {SMOOTH}")


def _averaged(options: Options) -> Iterator[Advice]:
    if options.recipe["moving_average"].get("enabled") is False:
        yield Advice("the average of the generator's weights", "moving_average.enabled = true")


def _augmented(options: Options) -> Iterator[Advice]:
    if "augmentation" not in options.recipe and "discriminator" in options.networks:
        yield Advice("let the discriminator see each picture changed", f'augmentation.name = "{AUGMENTATION}"')

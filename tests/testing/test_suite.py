"""The suite itself: how checks build on one another, what pytest gets to see, and expected failures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from breaking import Good
from torch import Tensor, nn

from ganlab import Augmentation, ImageSpec, Loss, PluginError, Update
from ganlab.registry.loading import BASES
from ganlab.testing import ContractError, Result, Subject, checks_of, contract, run_checks


class Bright(Augmentation):
    """Makes pictures brighter."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images + 0.1


class Undocumented(Bright):
    api = 1


class Cropped(Bright):
    """Cuts a row off."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images[:, :, 1:]


class Leaving(Bright):
    """Ends the process."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        raise SystemExit("enough")


for _cls in (Bright, Undocumented, Cropped, Leaving):
    _cls.__module__ = "ganlab.interfaces"  # for the check of imports: quick, without torch


def named(results: list[Result]) -> Mapping[str, Result]:
    return {result.name: result for result in results}


@pytest.mark.parametrize("kind", BASES)
def test_checks_have_names_of_their_own_and_build_on_earlier_ones(kind: str) -> None:
    seen: list[str] = []
    for check in checks_of(kind):  # type: ignore[arg-type]
        assert check.name not in seen
        assert set(check.needs) <= set(seen), check.name
        assert check.proves.endswith(".")
        assert (check.function.__doc__ or "").strip()
        seen.append(check.name)


def test_a_check_can_be_called_by_itself() -> None:
    check = {check.name: check for check in checks_of("augmentation")}["shape"]
    assert check.function(Subject("augmentation", Bright)) is None
    with pytest.raises(ContractError, match="give back the shape that came in"):
        check.function(Subject("augmentation", Cropped))


def test_options_and_images_may_be_given_alone() -> None:
    contract(Good, options={"latent_dim": 4}, images=ImageSpec(3, 12, 20))("shape")
    with pytest.raises(AssertionError, match=r"check\(\) refuses 1x9x9"):
        contract(Good, images=ImageSpec(1, 9, 9))("images")
    with pytest.raises(PluginError, match=r"and \[\] has none; leave it out, or give \[\{\}\]"):
        contract(Good, options=[])


def test_results_say_what_passed_what_failed_and_what_was_not_tried() -> None:
    results = run_checks(Cropped)
    assert [result.name for result in results] == [check.name for check in checks_of("augmentation")]
    found = named(results)
    assert found["documentation"] == Result("documentation", "passed", "")
    assert found["shape"].failed
    assert found["shape"].advice.startswith("of pictures (1, 1, 28, 28) it makes (1, 1, 27, 28)")
    assert not found["finite"].passed
    assert not found["finite"].failed
    assert found["finite"] == Result("finite", "not run", "not checked, because shape did not pass")


def test_an_expected_failure_passes_and_an_unexpected_success_fails() -> None:
    expected = {"documentation": "written next week", "round_trip": "was wrong once"}
    found = named(run_checks(Undocumented, expected_failures=expected))
    assert found["documentation"] == Result("documentation", "passed", "fails as expected: written next week")
    assert found["round_trip"] == Result(
        "round_trip",
        "failed",
        'passes, though it was expected to fail ("was wrong once"): take round_trip out of expected_failures',
    )
    assert all(result.passed for result in found.values() if result.name != "round_trip")


def test_what_is_no_check_cannot_be_expected_to_fail() -> None:
    with pytest.raises(PluginError, match=r'"shap" is no check of an augmentation; did you mean shape\?'):
        contract(Bright, expected_failures={"shap": "why not"})


@pytest.mark.parametrize("other", [Bright(), nn.Module, "bright", ImageSpec])
def test_what_is_no_component_class_is_refused(other: object) -> None:
    with pytest.raises(PluginError, match="a component is a class derived from one of Model, Dataset, Loss, Augment"):
        contract(other)  # type: ignore[arg-type]


def test_a_component_that_ends_the_process_has_failed() -> None:
    found = named(run_checks(Leaving))
    assert found["shape"].advice.startswith("SystemExit: enough (test_suite.py:")


def test_pytest_gets_one_case_a_check() -> None:
    test = contract(Undocumented)
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    assert mark.name == "parametrize"
    assert mark.args == ("check", [check.name for check in checks_of("augmentation")])


def test_in_pytest_a_check_passes_fails_is_skipped_or_fails_as_expected() -> None:
    contract(Bright)("shape")
    with pytest.raises(AssertionError, match=r"of pictures \(1, 1, 28, 28\) it makes"):
        contract(Cropped)("shape")
    with pytest.raises(pytest.skip.Exception, match="not checked, because shape did not pass"):
        contract(Cropped)("finite")
    with pytest.raises(pytest.xfail.Exception, match="it is meant to"):
        contract(Cropped, expected_failures={"shape": "it is meant to"})("shape")
    with pytest.raises(AssertionError, match="take shape out of expected_failures"):
        contract(Bright, expected_failures={"shape": "it is meant to"})("shape")
    with pytest.raises(AssertionError, match="SystemExit: enough") as caught:
        contract(Leaving)("shape")
    assert isinstance(caught.value.__cause__, SystemExit)


def test_a_check_runs_once_for_each_set_of_options_and_advice_is_a_skip() -> None:
    calls: list[float] = []

    class Counted(Bright):
        """Counts its calls."""

        api = 1
        share: float = 1.0
        """By how much."""

        def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
            calls.append(self.share)
            return images * self.share

    test = contract(Counted, options=[{"share": 0.5}, {"share": 2.0}])
    test("shape")
    once = list(calls)
    assert set(once) == {0.5, 2.0}
    test("shape")
    assert calls == once
    Counted.__module__ = "__notebook__"
    with pytest.raises(pytest.skip.Exception, match=r"^not checked: no other process can import __notebook__"):
        test("import")


def test_loss_and_model_may_be_given_as_classes() -> None:
    from ganlab.registry import registry

    loss: Any = registry.get("loss", "bce")
    contract(Good, loss=loss)("iteration")
    contract(Good, loss=loss(discriminator_steps=2))("iteration")
    contract(loss, model=Good)("updates")


def test_a_class_that_needs_options_is_refused_in_a_sentence() -> None:
    class Needing(Loss):
        """Needs to be told how much."""

        api = 1
        share: float
        """How much."""

        def updates(self, networks: object, batches: object, iteration: object) -> Iterator[Update]:
            yield from ()

    with pytest.raises(PluginError) as caught:
        contract(Good, loss=Needing)
    assert str(caught.value) == "Needing needs options: give Needing(...): share: Field required"


def test_checks_leave_random_states_and_modes_as_they_were() -> None:
    class Disturbing(Bright):
        """Changes whatever it can."""

        api = 1

        def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
            random.seed(0)
            np.random.seed(0)
            torch.manual_seed(0)
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            return images.float()

    Disturbing.__module__ = "ganlab.interfaces"
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
    run_checks(Disturbing)
    assert before == (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())
    assert torch.initial_seed() == 3
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()

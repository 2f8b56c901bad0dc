"""The contract suite: which checks a component has, what came of them, and how pytest runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from ganlab.errors import PluginError
from ganlab.interfaces import Component, ImageSpec, Loss, Model
from ganlab.messages import did_you_mean, with_article
from ganlab.registry.kinds import KINDS, Kind
from ganlab.registry.loading import BASES
from ganlab.testing.checks.rules import CHECKS as RULES
from ganlab.testing.subject import C, Check, NotRunError, Subject, described
from ganlab.testing.surroundings import undisturbed

DEFAULTS: tuple[Mapping[str, Any], ...] = ({},)
"""The options of a component that is checked as it stands."""
NOTHING: Mapping[str, str] = MappingProxyType({})


class Result(NamedTuple):
    """What came of a check."""

    name: str
    """The name of the check."""
    verdict: Literal["passed", "failed", "not run"]
    """"not run": another one that it needs did not pass, or there is nothing that it could find out."""
    advice: str = ""
    """What to change where it has failed, why it has not run; else empty, or something worth knowing."""

    @property
    def passed(self) -> bool:
        """Whether it has run and found nothing wrong."""
        return self.verdict == "passed"

    @property
    def failed(self) -> bool:
        """Whether something is to be changed."""
        return self.verdict == "failed"


class Outcome(NamedTuple):
    """What came of a check, before anyone has asked whether it was expected."""

    verdict: Literal["passed", "failed", "advice", "blocked", "unknown"]
    """"blocked": it was not tried, because one that it needs has not passed; "unknown": there is nothing to try."""
    advice: str = ""
    cause: BaseException | None = None


class Suite:
    """The checks of one component. Each is run once, when it is asked for, after those that it needs."""

    def __init__(self, subjects: Sequence[Subject[Any]], expected_failures: Mapping[str, str] = NOTHING) -> None:
        kind = subjects[0].kind
        self.checks = {check.name: check for check in checks_of(kind)}
        for name in expected_failures:
            if name not in self.checks:
                raise PluginError(
                    f'expected_failures: "{name}" is no check of {with_article(kind)}{did_you_mean(name, self.checks)} '
                    f"(its checks: {', '.join(self.checks)})"
                )
        self._subjects, self._expected = subjects, expected_failures
        self._outcomes: dict[str, Outcome] = {}

    def results(self) -> Iterator[Result]:
        """Run the checks one after the other."""
        for name in self.checks:
            yield self._result(name)

    def outcome(self, name: str) -> Outcome:
        """Run a check for each set of options, unless that has been done; return the first outcome that is not good."""
        if name not in self._outcomes:
            check = self.checks[name]
            blocking = [need for need in check.needs if self.outcome(need).verdict in ("failed", "blocked")]
            if blocking:
                self._outcomes[name] = Outcome("blocked", f"not checked, because {' and '.join(blocking)} did not pass")
            else:
                self._outcomes[name] = self._run(check)
        return self._outcomes[name]

    def _run(self, check: Check) -> Outcome:
        advice, unknown = "", ""
        for subject in self._subjects:
            where = f"with {dict(subject.options)}: " if len(self._subjects) > 1 else ""
            with undisturbed():
                try:
                    advice = check.function(subject) or advice
                except NotRunError as why:
                    unknown = f"not checked: {why}"
                # A stranger's code: whatever it raises is the outcome.
                except (Exception, SystemExit) as error:  # noqa: BLE001
                    return Outcome("failed", f"{where}{described(error, subject.cls)}", error)
        if unknown and not advice:
            return Outcome("unknown", unknown)
        return Outcome("advice", advice) if advice else Outcome("passed")

    def _result(self, name: str) -> Result:
        outcome, reason = self.outcome(name), self._expected.get(name)
        if outcome.verdict in ("blocked", "unknown"):
            return Result(name, "not run", outcome.advice)
        if reason is None:
            return Result(name, "failed" if outcome.verdict == "failed" else "passed", outcome.advice)
        if outcome.verdict == "failed":
            return Result(name, "passed", f"fails as expected: {reason}")
        return Result(name, "failed", unexpected(name, reason))


def unexpected(name: str, reason: str) -> str:
    """Return what to change about a check that passes although it was expected to fail."""
    return f'passes, though it was expected to fail ("{reason}"): take {name} out of expected_failures'


def run_checks(
    component_class: type[Component],
    *,
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]] = DEFAULTS,
    images: ImageSpec | Sequence[ImageSpec] = (),
    loss: Loss | type[Loss] | None = None,
    model: Model | type[Model] | None = None,
    expected_failures: Mapping[str, str] = NOTHING,
) -> list[Result]:
    """Run all checks of a component; the arguments, from `options` to `expected_failures`, are those of `contract`."""
    return list(Suite(subjects(component_class, options, images, loss, model), expected_failures).results())


def contract(
    component_class: type[Component],
    *,
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]] = DEFAULTS,
    images: ImageSpec | Sequence[ImageSpec] = (),
    loss: Loss | type[Loss] | None = None,
    model: Model | type[Model] | None = None,
    expected_failures: Mapping[str, str] = NOTHING,
) -> Callable[[str], None]:
    """Return a test for pytest that holds a component to its contract, one case a check.

    `options` are the sets of options to check with; one that names what has no default is enough. `images` are the
    pictures that a model must accept, by default whatever it accepts of those that are tried. `loss` trains a model,
    `model` is trained by a loss, where the networks are not a generator and a discriminator. `expected_failures` gives
    by check the reason why it fails; where it passes, that is a failure.
    """
    import pytest

    suite = Suite(subjects(component_class, options, images, loss, model), expected_failures)

    @pytest.mark.parametrize("check", list(suite.checks))
    def test_contract(check: str) -> None:
        outcome, reason = suite.outcome(check), expected_failures.get(check)
        match outcome.verdict:
            case "failed" if reason is not None:
                pytest.xfail(reason)
            case "failed":
                raise AssertionError(outcome.advice) from outcome.cause
            case "blocked" | "unknown":
                pytest.skip(outcome.advice)
            case _ if reason is not None:
                raise AssertionError(unexpected(check, reason))
            case "advice":
                pytest.skip(f"advice: {outcome.advice}")

    return test_contract


def subjects(
    component_class: type[Component],
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    images: ImageSpec | Sequence[ImageSpec],
    loss: Loss | type[Loss] | None,
    model: Model | type[Model] | None,
) -> list[Subject[Any]]:
    """Return the component with each set of options, and with what it is tried with as `contract` takes it."""
    kind, loss, model = kind_of(component_class), made(loss), made(model)
    tables = [options] if isinstance(options, Mapping) else options
    if not tables:
        raise PluginError("options are the sets of options to check with, and [] has none; leave it out, or give [{}]")
    pictures = (images,) if isinstance(images, ImageSpec) else tuple(images)
    return [Subject(kind, component_class, table, pictures, loss, model) for table in tables]


def made(component: C | type[C] | None) -> C | None:
    """Return the component itself where its class was given. Raise `PluginError` where that needs options."""
    if not isinstance(component, type):
        return component
    try:
        return component()
    except ValidationError as error:
        problems = described(error, component)
        raise PluginError(f"{component.__name__} needs options: give {component.__name__}(...): {problems}") from error


def kind_of(component_class: type[Component]) -> Kind:
    """Return the kind of a component class. Raise `PluginError` where it is none."""
    if isinstance(component_class, type):
        for kind, base in BASES.items():
            if issubclass(component_class, base):
                return kind
    bases = ", ".join(base.__name__ for base in BASES.values())
    raise PluginError(f"a component is a class derived from one of {bases}; {component_class!r} is not")


def checks_of(kind: Kind) -> tuple[Check, ...]:
    """Return the checks of a kind, in the order in which they build on one another."""
    # Imported when they are needed: most of them need torch.
    module = import_module(f"ganlab.testing.checks.{KINDS[kind].group.removeprefix('ganlab.')}")
    checks: tuple[Check, ...] = vars(module)["CHECKS"]
    return RULES + checks

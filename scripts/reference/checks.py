"""The page of every check that a component is held to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from text import cell

from ganlab.registry.loading import BASES
from ganlab.testing import Check, checks_of
from ganlab.testing.checks.rules import CHECKS as SHARED


def page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (
        "# The contract",
        "",
        "What `ganlab plugins check` and `ganlab.testing.contract` look at. A failure says what to change. "
        "The names are those of `expected_failures`. "
        "[Write a plugin](../plugins/index.md#check) shows how both are used.",
        "",
        "A check that needs another one is not tried where that has not passed.",
        "",
        "## Every kind",
        "",
    )
    yield from _rows(SHARED)
    for kind in BASES:
        yield from ("", f"## {kind}", "")
        yield from _rows(check for check in checks_of(kind) if check not in SHARED)


def _rows(checks: Iterable[Check]) -> Iterator[str]:
    yield from ("| check | what holds where it passes | needs |", "|---|---|---|")
    for name, proves, _, needs in checks:
        yield f"| `{name}` | {cell(proves)} | {', '.join(f'`{need}`' for need in needs)} |"

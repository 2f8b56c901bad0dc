"""An evaluation as `ganlab evaluate --json` wrote it, read with distrust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ganlab.errors import ArtefactError
from ganlab.interfaces import Better
from ganlab.judging.report import FORMAT, Column, Evaluation, Origin, Protocol, Score
from ganlab.messages import listed, shown
from ganlab.regular import read_regular

LARGEST = 16_000_000
"""Bytes; a longer file was not written by us."""

Count = Annotated[int, Field(ge=1, le=2**63)]
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class _OwnNetwork(_Record):
    network: Text
    network_digest: Text
    resizer: Text


class _Protocol(_Record):
    dataset: Text
    options: dict[str, JsonValue]
    fingerprint: Text
    pictures: tuple[Count, Count, Count]
    real: Count
    fake: Count
    seeds: Count
    network: Text | None
    network_digest: Text | None
    resizer: Text | None
    metrics: dict[str, dict[str, JsonValue]]
    ganlab: Text
    own_networks: dict[str, _OwnNetwork] = {}
    """Files of an older ganlab do not say it."""


class _Origin(_Record):
    model: dict[str, JsonValue]
    recipe: dict[str, JsonValue] | None
    images: Annotated[int, Field(ge=0, le=2**63)]
    dataset: Text
    fingerprint: Text


class _Score(_Record):
    values: Annotated[tuple[float, ...], Field(min_length=1)]


class _Column(_Record):
    name: Text
    digest: Text | None
    averaged_weights: bool | None
    trained_on_these: bool | None
    origin: _Origin | None = None
    """Files of an older ganlab do not say it."""
    scores: dict[Name, _Score]

    def column(self) -> Column:
        scores = {name: Score(score.values) for name, score in self.scores.items()}
        origin = None if self.origin is None else Origin(**self.origin.model_dump())
        return Column(self.name, scores, self.averaged_weights, self.digest, self.trained_on_these, origin)


class _Evaluation(_Record):
    format: Literal[1]
    protocol: _Protocol
    better: dict[Name, Better]
    reference: _Column
    generators: tuple[_Column, ...]
    left_out: dict[str, Text]


def read_evaluation(path: Path) -> Evaluation:
    """Read what `ganlab evaluate --json` wrote. Raise `ArtefactError` for what is no such file, with what is wrong."""
    try:
        data = read_regular(path, LARGEST)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        found = _Evaluation.model_validate_json(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise ArtefactError(f"{path}: is no evaluation that ganlab evaluate --json wrote: {_said(problems)}") from error
    for column in found.generators:
        _check(path, found, column)
    return Evaluation(
        Protocol(**found.protocol.model_dump()),
        found.better,
        found.reference.column(),
        tuple(column.column() for column in found.generators),
        found.left_out,
    )


def _check(path: Path, found: _Evaluation, column: _Column) -> None:
    """Refuse scores that do not fit what the file itself says of them."""
    for name, score in column.scores.items():
        if name not in found.better:
            raise ArtefactError(f"{path}: is damaged: it does not say which numbers of {name} are better")
        if len(score.values) != found.protocol.seeds:
            raise ArtefactError(
                f"{path}: is damaged: {name} has {len(score.values)} values for {found.protocol.seeds} blocks of seeds"
            )


def _said(problems: list[Any]) -> str:
    """Return what is wrong: that it is no JSON, that it is of another format, or key by key."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return f"{first['msg'][:100]}; it is cut short or damaged"
    for problem in problems:
        if problem["loc"] == ("format",) and problem["type"] == "literal_error":
            return f"it is of format {shown(problem['input'])}, and this ganlab reads {FORMAT}"
    return listed([f"{ascii('.'.join(map(str, one['loc'])))[1:-1][:80]}: {one['msg']}" for one in problems])

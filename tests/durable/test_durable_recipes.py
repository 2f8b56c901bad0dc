"""T1, T2, T4: whatever a recipe holds, it is read or refused with its place, and it leads nowhere."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import ganlab
from durable.client import Server
from durable.conftest import Scale, Tally
from durable.damage import mutated_bytes, nested
from durable.parts import short
from ganlab.errors import RecipeError
from ganlab.recipe.recipe import load_recipe, shipped_recipes
from ganlab.recipe.toml import dumps, parse
from ganlab.run.directory import new_directory

RECIPES = {path.name: path.read_bytes() for path in shipped_recipes()}
VALUES: tuple[Any, ...] = (
    True, False, 0, -1, 1, 2**31, 2**63, 2**70, -(2**63), 0.0, -0.5, 1.5, 1e308, 1e-320, float("nan"), float("inf"), "",
    "0", "auto", "x" * 300, "../../etc/passwd", "/etc/passwd", "~/x", "\0", "\x1b[31mred", "é\u202e", "{step}", [], [0],
    [-1.0, 2.0], ["a"] * 40, {}, {"name": "x"}, {"a": {"b": 1}},
)  # fmt: skip
SECONDS = 0.5


def sound(table: dict[str, Any]) -> dict[str, Any]:
    """Return a copy."""
    return {key: sound(value) if isinstance(value, dict) else value for key, value in table.items()}


def paths(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


def mutate(table: dict[str, Any], dice: random.Random) -> tuple[str, ...] | None:
    """Change one thing; return where it now stands, or None where it has gone."""
    path = dice.choice(list(paths(table)))
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    value = inner.pop(path[-1])
    match dice.randrange(7):
        case 0:
            return None
        case 1:
            key = dice.choice(
                ("", "x", "é", "a b", "..", f"{path[-1]}s", path[-1].upper(), path[-1][:-1], "name", "extends")
            )
            inner[key] = value
            return (*path[:-1], key)
        case 2:
            inner[path[-1]] = nested(value, dice.choice((1, 5, 40)))
        case 3 if isinstance(value, int | float) and not isinstance(value, bool):
            inner[path[-1]] = dice.choice((-value, value * 10**30, float(value), str(value), [value]))
        case _:
            inner[path[-1]] = deepcopy(dice.choice(VALUES))  # a later change may go into it
    return path


def lines_of(text: str, path: tuple[str, ...]) -> set[int]:
    """Return the lines of what `dumps` writes where a key stands, or what is in it."""
    header: tuple[str, ...] = ()
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        here = header
        if line.startswith("["):
            here = header = tuple(line.strip("[]").split("."))
        elif " = " in line:
            here = (*header, line.partition(" = ")[0])
        if line and here[: len(path)] == path:
            found.add(number)
    return found


def is_placed(problem: str, file: Path) -> bool:
    """Tell whether a mistake has its place in `file`, or in another that a mutation has made it extend."""
    others = (file, *shipped_recipes(), "/etc/passwd")
    return re.match(rf"({'|'.join(re.escape(str(other)) for other in others)})(:\d+)?: \S", problem) is not None


def test_t1_a_mutated_recipe_is_read_or_refused_where_it_is_wrong(folder: Path, scale: Scale, tally: Tally) -> None:
    dice = random.Random(17)
    tables = [parse(data).table for data in RECIPES.values()]
    count = scale(1_500, 5_000, 200_000)
    file = folder / "recipe.toml"
    placed = right = refused = 0
    slowest = 0.0
    for number in range(count):
        table = sound(dice.choice(tables))
        changes = [mutate(table, dice) for _ in range(dice.choice((1, 1, 2, 3))) if table]
        text = dumps(table)
        file.write_text(text, encoding="utf-8")
        began = time.thread_time()
        try:
            load_recipe(file)
        except RecipeError as error:
            problems = error.problems
        except BaseException as error:
            raise AssertionError(f"case {number}:\n{text[:3000]}") from error
        else:
            problems = []
        slowest = max(slowest, time.thread_time() - began)
        refused += bool(problems)
        for problem in problems:
            assert is_placed(problem, file), problem
            assert "\x1b" not in problem
            assert len(problem) < 2000
        only = changes[0] if len(changes) == 1 else None
        if only is not None and "extends" not in only and all(re.fullmatch(r"[\w-]+", key) for key in only):
            lines = lines_of(text, only)
            if problems and lines:
                placed += 1
                right += any(problem.startswith(f"{file}:{line}: ") for problem in problems for line in lines)
    assert slowest < SECONDS
    assert refused > count / 3
    assert placed > count / 10
    assert right >= 0.99 * placed, f"{placed - right} of {placed} mistakes have the wrong line"
    tally("recipes mutated", count)


def whole_files() -> dict[str, bytes]:
    """Return files that are no recipes, whole."""
    return {
        "binary": random.Random(0).randbytes(5000),
        "mark": b"\xef\xbb\xbfseed = 1\n",
        "utf-16": "seed = 1\n".encode("utf-16"),
        "deep array": b"a = " + b"[" * 500 + b"]" * 500,
        "deep tables": b".".join([b"a"] * 500) + b" = 1",
        "deep header": b"[" + b".".join([b"a"] * 500) + b"]",
        "long number": b"seed = " + b"9" * 5000,
        "long text": b'seed = "' + b"x" * 500_000 + b'"',
        "ten megabytes": b"# " + b"x" * 10_000_000,
        "many keys": b"".join(b"key%d = 1\n" % number for number in range(40_000)),
        "zeros": bytes(100_000),
        "pickle": b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "zip": b"PK\3\4" + bytes(300),
        "page": b"<!DOCTYPE html><html></html>",
    }


def check_bytes(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        load_recipe(file)
    except RecipeError as error:
        problems = error.problems
    except BaseException as error:
        raise AssertionError(f"{data[:3000]!r}") from error
    else:
        problems = []
    assert all(is_placed(problem, file) for problem in problems), problems


@pytest.mark.parametrize("name", whole_files())
def test_t2_files_that_are_no_recipes(folder: Path, name: str) -> None:
    began = time.thread_time()
    file = folder / "recipe.toml"
    file.write_bytes(whole_files()[name])
    with pytest.raises(RecipeError):
        load_recipe(file)
    assert time.thread_time() - began < 10  # the work of as many lines; to look for what each meant took minutes


def test_t2_any_bytes_raise_nothing_else(folder: Path, scale: Scale, tally: Tally) -> None:
    seed = scale(23, 24, random.SystemRandom().randrange(2**32))
    dice = random.Random(seed)
    sources = list(RECIPES.values())
    count, size = scale(1_000, 3_000, 300_000), 0
    file = folder / f"seed{seed}.toml"
    for _ in range(count):
        if dice.random() < 0.1:
            data = dice.randbytes(dice.randrange(300))
        elif dice.random() < 0.3:
            first, second = dice.choice(sources), dice.choice(sources)
            data = first[: dice.randrange(len(first))] + second[dice.randrange(len(second)) :]
        else:
            data = dice.choice(sources)
        data = mutated_bytes(data, dice)
        size += len(data)
        check_bytes(file, data)
    tally("recipes fuzzed as bytes", count)
    tally("bytes fuzzed", size)


# T4


OUTSIDE = ("../../out", "/out", "~/out", "a/../../out", "out\0", "x" * 300, "{step}", "runs/../../out", "%s", "$HOME")


def answer_of(file: Path) -> tuple[int, str]:
    code, said = json.loads(file.read_text())
    return code, said


def test_t4_no_text_in_a_recipe_leads_out_of_the_run(server: Server, folder: Path, tally: Tally) -> None:
    """Every option that takes text gets each of these; what is accepted is trained, and everything new is looked at."""
    table = ganlab.recipe.recipe.parse_recipe(
        short(observers={"samples": True, "gif": True, "log": True, "metrics": True})
    ).table
    cases = []
    for path in paths(table):
        value: Any = table
        for key in path:
            value = value[key]
        if isinstance(value, str):
            for text in OUTSIDE:
                changed = sound(table)
                inner = changed
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = text.replace("/out", f"{folder}/out") if text.startswith("/") else text
                cases.append(changed)
    names = [f"observers.{text}" for text in OUTSIDE]
    cases += [table | {"observers": table["observers"] | {name: True}} for name in names]
    work = folder / "work" / "here"
    work.mkdir(parents=True)
    for number, case in enumerate(cases):
        (work / f"case{number}.toml").write_text(dumps(case), encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    words = [["run", f"case{number}.toml", "--out", f"run{number}"] for number in range(len(cases))]
    ended = server.call("each", words, folder=work, environment={"HOME": str(home)})
    assert ended.code == 0, ended.err
    for number in range(len(cases)):
        code, said = answer_of(work / f"each{number}.json")
        assert code in (0, 2), said
        assert "Traceback" not in said
    assert {entry.name for entry in folder.iterdir()} == {"work", "home"}
    assert list(home.iterdir()) == []
    known = re.compile(r"case\d+\.toml|each\d+\.json|run\d+|runs|cache|config")
    assert all(known.fullmatch(entry.name) for entry in work.iterdir())
    assert [entry.name for entry in (folder / "work").iterdir()] == ["here"]
    tally("paths that lead out", len(cases))


@pytest.mark.parametrize("name", ["..", ".", "", "../../out", "/out", "a/b", "\0", "x" * 300, "~", ".hidden", "a\nb"])
def test_t4_no_name_of_a_recipe_leads_out_of_runs(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.parent.iterdir())
    directory = new_directory(name).path
    resolved = (tmp_path / directory).resolve()
    assert resolved.parent.parent == tmp_path / "runs"
    assert resolved.is_dir()
    assert re.fullmatch(r"\d{4}", resolved.name)
    assert set(tmp_path.parent.iterdir()) == before
    assert os.listdir(tmp_path) == ["runs"]

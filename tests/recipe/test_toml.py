"""TOML: the line map, the one kind of error, and the writer."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlab.recipe.toml import (
    MAX_BYTES,
    MAX_DEPTH,
    TOMLError,
    dump_value,
    dumps,
    in_toml,
    parse,
    parse_key,
    parse_value,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
tables = st.dictionaries(texts, values, max_size=5)


@given(tables)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back_with_the_line_that_it_stands_in(table: dict[str, object]) -> None:
    text = dumps(table)
    document = parse(text)
    assert document.table == table
    assert parse(text.encode()) == document
    rows = text.split("\n")
    for key, value in table.items():
        if not isinstance(value, dict):
            assert tomllib.loads(rows[document.lines[(key,)] - 1]) == {key: value}
        elif value and not all(isinstance(item, dict) for item in value.values()):
            assert tomllib.loads(rows[document.lines[(key,)] - 1]) == {key: {}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-300, "1e-300"),
        (1e22, "1e+22"),
        (2e-4, "0.0002"),
        (True, "true"),
        ('a\x00\x7f\u0085"\\\n', '"a\\u0000\\u007f\\u0085\\"\\\\\\n"'),
        ("\x9b2J\u202eé\U000e0001", '"\\u009b2J\\u202eé\\U000e0001"'),
        ([1, [2.0]], "[1, [2.0]]"),
        ({"a b": 1, "c": {}}, '{ "a b" = 1, c = {} }'),
        (float("-inf"), "-inf"),
    ],
)
def test_a_value_is_written_as_people_write_it(value: object, text: str) -> None:
    assert dump_value(value) == text
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b", '"a b"'), ([1, {}], "[1, {}]"), (None, "None"), ({1, 2}, "{1, 2}"), ("x" * 100, f'"{"x" * 56}...')],
)
def test_any_value_is_shown_as_in_a_recipe(value: object, text: str) -> None:
    assert in_toml(value) == text


def test_empty_tables_survive() -> None:
    table = {"a": {}, "b": {"c": {}}, "d": {"e": {"f": 1}}}
    assert dumps(table) == "[a]\n\n[b.c]\n\n[d.e]\nf = 1\n"
    assert parse(dumps(table)).table == table


def test_none_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="TOML cannot hold a NoneType"):
        dumps({"a": None})


HARD = '''\
# a comment with [ and """
seed = 1

[model] # dcgan
"quoted.key" = """
[not.a.table]
x = 1 ""\\"""""
literal = \'\'\'
]] \'\'\'\'\'
shape = [
    1, # ]
    2,
]
after = "[ \\" #"
single = '\\'
inline = { a = 1, b = { c = 2 } }
dotted.key.here = 3
[model . "sub table"]
x = 1
[[things]]
a = 1
[[things]]
a = 2
[things.inner]
b = 1
[[things.deep]]
c = 1
[[things.deep]]
c = 2
'''


def test_lines_are_right_in_hard_places() -> None:
    document = parse(HARD.replace("\n", "\r\n").encode("utf-8-sig"))
    assert document.table == tomllib.loads(HARD)
    expected = {
        ("seed",): 2,
        ("model",): 4,
        ("model", "quoted.key"): 5,
        ("model", "literal"): 8,
        ("model", "shape"): 10,
        ("model", "after"): 14,
        ("model", "single"): 15,
        ("model", "inline"): 16,
        ("model", "inline", "a"): 16,
        ("model", "inline", "b"): 16,
        ("model", "inline", "b", "c"): 16,
        ("model", "dotted"): 17,
        ("model", "dotted", "key"): 17,
        ("model", "dotted", "key", "here"): 17,
        ("model", "sub table"): 18,
        ("model", "sub table", "x"): 19,
        ("things",): 20,
        ("things", 0): 20,
        ("things", 0, "a"): 21,
        ("things", 1): 22,
        ("things", 1, "a"): 23,
        ("things", 1, "inner"): 24,
        ("things", 1, "inner", "b"): 25,
        ("things", 1, "deep"): 26,
        ("things", 1, "deep", 0): 26,
        ("things", 1, "deep", 0, "c"): 27,
        ("things", 1, "deep", 1): 28,
        ("things", 1, "deep", 1, "c"): 29,
    }
    assert document.lines == expected


@pytest.mark.parametrize(
    ("data", "what", "line"),
    [
        (b"a = 1\nb = \n", "is not TOML: invalid value at column 5", 2),
        (b"a = 1\na = 2\n", "is not TOML: cannot overwrite a value at column 6", 2),
        (b'a = """', "is not TOML: unterminated string at the end of the file", 1),
        (b"a = 1\n\xff\xfe", "is not a text file in UTF-8", 2),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is nested too deeply", None),
        (b"a = " + b"[" * 40 + b"]" * 40, f"is nested more than {MAX_DEPTH} deep", 1),
        (b"x = 1\n" + b"a." * 100 + b"a = 1", f"is nested more than {MAX_DEPTH} deep", 2),
        (b"[" + b"a." * 100 + b"a]", f"is nested more than {MAX_DEPTH} deep", 1),
        (b"#" * (MAX_BYTES + 1), "is longer than 1,000,000 bytes", None),
    ],
)
def test_what_is_not_toml_is_one_kind_of_error(data: bytes, what: str, line: int | None) -> None:
    with pytest.raises(TOMLError) as caught:
        parse(data)
    assert str(caught.value) == what
    assert caught.value.line == line


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(TOMLError, match="is not TOML: exceeds the limit"):
        parse("a = " + "1" * 5000)


@given(st.binary(max_size=60) | st.text("[]{}\"'=.\n#\\a1 ", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_table_or_that_error(data: bytes | str) -> None:
    try:
        document = parse(data)
    except TOMLError:
        return
    assert set(document.table) == {path[0] for path in document.lines}


@pytest.mark.parametrize(
    "text",
    ["a = [\n" + "1,\n" * 5_000 + "]", "\n".join(f"k{i} = 1 #" for i in range(1_000)), "[t]\n" + "#" * 50_000],
    ids=["one long value", "many keys", "a long comment"],
)
def test_a_file_is_handed_to_tomllib_twice_whatever_it_holds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once whole and once in pieces: so a hostile file of the largest size takes seconds, not hours."""
    handed: list[int] = []
    loads = tomllib.loads

    def counted(part: str) -> dict[str, Any]:
        handed.append(len(part))
        return loads(part)

    monkeypatch.setattr(tomllib, "loads", counted)
    parse(text)
    assert handed[0] == len(text)
    assert sum(handed[1:]) <= len(text)


@pytest.mark.parametrize("text", ['"' * 900_000, "[" * 900_000], ids=["quotes", "brackets"])
def test_a_megabyte_of_nonsense_is_refused(text: str) -> None:
    with pytest.raises(TOMLError):
        parse(text)


@pytest.mark.parametrize("text", ["", "1 2", "1\nb = 2", "[1", "tru"])
def test_more_or_less_than_one_value_is_refused(text: str) -> None:
    with pytest.raises(TOMLError):
        parse_value(text)


def test_dotted_keys() -> None:
    assert parse_key("train.epochs") == ("train", "epochs")
    assert parse_key('observers."a.b".c') == ("observers", "a.b", "c")
    for text in ("", "a.", "a b", "a=1", "a\nb", ".".join("a" * 100)):
        with pytest.raises(TOMLError):
            parse_key(text)

"""Classes from a CSV or a JSON file: what fits is taken, and what does not is one sentence with its place."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from stand_ins import pictures, png_bytes, write_files, write_zip

from ganlab import DataError, Source
from ganlab.data.packing import pack
from ganlab.standard.datasets.image_folder import ImageFolder

PICTURES = pictures(3, 8, 8)
FILES = {name: png_bytes(picture) for name, picture in zip(("a.png", "b/c.png", "d.png"), PICTURES, strict=True)}


def opened(root: Path, name: str, content: str | bytes, **options: Any) -> Source:
    """Open three pictures with a label file beside them."""
    data = content.encode() if isinstance(content, str) else content
    write_files(root, FILES | {name: data})
    return ImageFolder(root=root, labels=name, **options).open()


def classes(source: Source, root: Path) -> dict[str, str]:
    found = range(len(source))
    return {source.name(i).removeprefix(f"{root}/"): source.class_names[source.label(i)] for i in found}


CSV = {
    "plain": "a.png,cat\nb/c.png,dog\nd.png,cat\n",
    "no end": "a.png,cat\nb/c.png,dog\nd.png,cat",
    "header": "file,label\na.png,cat\nb/c.png,dog\nd.png,cat\n",
    "windows": "\ufeffFile,Label\r\na.png,cat\r\nb\\c.png,dog\r\nd.png,cat\r\n",
    "quoted": '"a.png","cat"\n"b/c.png","dog"\n\n"d.png", cat\n',
    "more columns": 'id,label,note,file\n1,cat,"x,\ny",./a.png\n2,dog,,b/c.png\n3,cat,,d.png\n',
}


@pytest.mark.parametrize("form", CSV)
def test_labels_are_read_from_csv_of_every_form(tmp_path: Path, form: str) -> None:
    source = opened(tmp_path / "pets", "labels.csv", CSV[form])
    assert classes(source, tmp_path / "pets") == {"a.png": "cat", "b/c.png": "dog", "d.png": "cat"}
    assert source.remarks == [], "it is read, and not left out"
    assert source.warnings == ()


def test_names_with_commas_quotes_and_line_breaks_are_those_that_were_written(tmp_path: Path) -> None:
    labels = ['Doe, "Jane"', "a\nb", "caf\u00e9"]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(zip(FILES, labels, strict=True))
    source = opened(tmp_path, "labels.csv", text.getvalue())
    assert list(classes(source, tmp_path).values()) == ['Doe, "Jane"', r"a\nb", "caf\u00e9"]


def test_numbers_are_classes_in_their_order_in_csv_and_in_stylegans_json(tmp_path: Path) -> None:
    pairs = [["a.png", 10], ["b/c.png", 2], ["d.png", 10]]
    lines = "".join(f"{file},{label}\n" for file, label in pairs)
    for name, content in (("l.csv", lines), ("dataset.json", json.dumps({"labels": pairs, "other": [1]}))):
        source = opened(tmp_path / name, name, content)
        assert list(source.class_names) == ["2", "10"]
        assert [source.label(index) for index in range(3)] == [1, 0, 1]


@pytest.mark.parametrize("wrapped", ["", "set/"])
def test_the_archive_that_stylegans_tool_writes_is_read_as_it_is(tmp_path: Path, wrapped: str) -> None:
    files = {f"{wrapped}0000{n}/img0000000{n}.png": png_bytes(PICTURES[n]) for n in range(3)}
    table = {"labels": [[name.removeprefix(wrapped), 2 - n] for n, name in enumerate(files)]}
    members = files | {f"{wrapped}dataset.json": json.dumps(table).encode()}
    for root in (write_zip(tmp_path / "x.zip", members), write_files(tmp_path / "x", members)):
        packed = pack(ImageFolder(root=root, labels=f"{wrapped}dataset.json", resolution=8), "image_folder", print)
        assert packed.labels is not None
        assert packed.labels.tolist() == [2, 1, 0]
        assert packed.class_names == ("0", "1", "2")
        assert packed.remarks == ()


def test_a_file_beside_the_root_begins_its_paths_there_and_is_watched(tmp_path: Path) -> None:
    write_files(tmp_path / "pets", FILES)
    write_zip(tmp_path / "pets.zip", FILES)
    for root in (tmp_path / "pets", tmp_path / "pets.zip"):
        for second in ("dog", "eel"):
            (tmp_path / "labels.csv").write_text(f"a.png,cat\nb/c.png,{second}\nd.png,cat\n")
            dataset = ImageFolder(root=root, labels="labels.csv", resolution=8)
            assert list(dataset.sources()) == [root, tmp_path / "labels.csv"]
            assert pack(dataset, "image_folder", print).class_names == ("cat", second)


def test_a_split_takes_its_own_lines_alone(tmp_path: Path) -> None:
    files = {name: png_bytes(PICTURES[0]) for name in ("train/1.png", "train/2.png", "test/3.png")}
    write_files(tmp_path, files | {"l.csv": b"train/1.png,cat\ntrain/2.png,dog\ntest/3.png,eel\n"})
    source = ImageFolder(root=tmp_path, labels="l.csv", split="train").open()
    assert classes(source, tmp_path) == {"train/1.png": "cat", "train/2.png": "dog"}


UNFIT = [
    (
        "a.png,cat\n",
        'l.csv has no label for 2 of the 3 pictures: b/c.png and d.png; correct it, or set dataset.on_bad = "skip" to',
    ),
    (
        "a.png,cat\nz.png,cat\ny.png,cat\nb/c.png,dog\nd.png,cat\n",
        "l.csv:2: there is no picture z.png (of 2 labels without a picture, the first); paths look like a.png; correct",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), UNFIT)
def test_what_does_not_fit_is_refused_or_left_out_with_a_warning(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "l.csv", text)
    assert str(caught.value).startswith(sentence)
    source = ImageFolder(root=tmp_path, labels="l.csv", on_bad="skip").open()
    assert len(source) == sum(name in text for name in FILES)
    assert [warning[:20] for warning in source.warnings] == [sentence[:20]]


WRONG = [
    ("l.csv", "a.png,cat\na.png,cat\n", "l.csv:2: a.png has a label already, by l.csv:1; leave one away"),
    ("l.csv", "a.png,cat\nb/c.png,x\n./a.png,dog\n", "l.csv:3: ./a.png has a label already, by l.csv:1"),
    ("l.csv", "a.png;cat\n", "l.csv:1: has other columns than 2, namely 1; a line is a file, a comma and its label"),
    ("l.csv", "file,label,x\na.png,cat\n", "l.csv:2: has other columns than 3, namely 2"),
    ("l.csv", "a.png,cat\nd.png, \n", "l.csv:2: a label has 1 to 200 letters, and this one has 0"),
    ("l.csv", f"a.png,{'x' * 201}\n", "l.csv:1: a label has 1 to 200 letters, and this one has 201"),
    ("l.csv", f"a.png,{'x' * 200_000}\n", "l.csv:1: is not CSV: field larger than field limit"),
    ("l.csv", 'a.png,cat\n"d.png,cat\n', "l.csv:2: is not CSV: unexpected end of data"),
    ("l.csv", b"a.png,cat\nd.png,caf\xe9\n", "l.csv:2: is not UTF-8; save it as that"),
    ("l.csv", "\n\n", "l.csv is empty; a line is a file, a comma and its label"),
    ("l.csv", "file,label\n", "l.csv has no label for 3 of the 3 pictures"),
    ("l.csv", f"{'x' * 99_999}.png,cat\n", "l.csv:1: there is no picture xxxxx"),
    ("l.csv", "\x1b[31m.png,cat\n", r"l.csv:1: there is no picture \x1b[31m.png"),
    ("l.json", "{", "l.json:1: is not JSON: "),
    ("l.json", '{\n"labels": [,]}', "l.json:2: is not JSON: "),
    ("l.json", b"\xff\xff\xff", "l.json is not JSON that can be read: "),
    ("l.json", "[" * 200_000, "l.json is not JSON that can be read: "),
    ("l.json", f'{{"labels": [["a.png", {"9" * 5000}]]}}', "l.json is not JSON that can be read: "),
    ("l.json", f'{{"labels": [["a.png", {"9" * 4000}]]}}', "l.json: labels[0]: a label has 1 to 200 letters, and"),
    ("l.json", '{"labels": null}', 'l.json has no list of "labels" such as'),
    ("l.json", "[]", 'l.json has no list of "labels" such as'),
    ("l.json", '{"labels": [["a.png", 1], "d.png"]}', "l.json: labels[1]: is no pair of a file and its label"),
    ("l.json", '{"labels": [["a.png", 1.0]]}', "l.json: labels[0]: the label of a.png is neither a whole number from"),
    ("l.json", '{"labels": [["a.png", -1]]}', "l.json: labels[0]: the label of a.png is neither a whole number"),
    ("l.json", '{"labels": [["a.png", true]]}', "l.json: labels[0]: the label of a.png is neither a whole number"),
    ("l.json", '{"labels": [["a.png", [0.5, 1]]]}', "l.json: labels[0]: the label of a.png is neither"),
    (
        "l.json",
        '{"labels": [["a.png", 1], ["a.png", 1]]}',
        "l.json: labels[1]: a.png has a label already, by l.json: la",
    ),
]


@pytest.mark.parametrize(("name", "content", "sentence"), WRONG)
def test_what_is_wrong_is_one_short_sentence_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path, name, content)
    said = str(caught.value)
    assert said.startswith(sentence)
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize("where", ["folder", "beside", "zip"])
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, where: str) -> None:
    write_files(tmp_path / "pets", FILES)
    if where == "zip":
        root = write_zip(tmp_path / "pets.zip", FILES | {"l.csv": bytes((64 << 20) + 1)})
    else:
        root = tmp_path / "pets"
        file = (root if where == "folder" else tmp_path) / "l.csv"
        file.touch()
        os.truncate(file, 1 << 40)
    with pytest.raises(DataError, match=r"^l\.csv has [0-9,]+ bytes, more than is read of such a file$"):
        ImageFolder(root=root, labels="l.csv").open()


@pytest.mark.parametrize("where", ["pets", "."])
def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path, where: str) -> None:
    write_files(tmp_path / "pets", FILES)
    os.mkfifo(tmp_path / where / "l.csv")
    with pytest.raises(DataError, match=r"^l\.csv is not a regular file$"):
        ImageFolder(root=tmp_path / "pets", labels="l.csv").open()


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_files(tmp_path / "pets", FILES)
    for labels in ("l.csv", "\0.csv", "no/where.json"):
        with pytest.raises(DataError, match=r"^there is no .+ in .+pets, nor beside it"):
            ImageFolder(root=tmp_path / "pets", labels=labels).open()


def test_labels_are_a_switch_or_a_file_of_two_kinds(tmp_path: Path) -> None:
    labels: Any
    for labels in ("labels.txt", "csv", "", 1):
        with pytest.raises(ValidationError):
            ImageFolder(root=tmp_path, labels=labels)

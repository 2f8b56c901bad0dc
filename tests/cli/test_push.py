"""To a hub and back, over HTTP, with the hub's own library and a stand-in for the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from hub.stand_in import TOKEN, Hub, open_hub

import ganlab
from ganlab import ArtefactError, GanlabError

constants = pytest.importorskip("huggingface_hub.constants")

# The hub's library says it of itself, where it sends a file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with open_hub() as opened:
        monkeypatch.setattr(constants, "ENDPOINT", opened.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", opened.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in takes files by LFS, as hubs do, too
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield opened


PUSH = ("push", "runs/toy/0001", "user/name", "--license", "mit")


def test_a_generator_goes_to_the_hub_in_one_commit_and_comes_back(
    command: Command, trained: Path, hub: Hub, tmp_path: Path
) -> None:
    ended = command(*PUSH)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, f"{hub.url}/user/name")
    assert hub.commits == 1
    files = hub.repositories["user/name"]
    assert files["generator.safetensors"] == (trained / "generator.safetensors").read_bytes()
    assert {"README.md", "config.json", "recipe.toml", "sample.png"} <= files.keys()
    generator = ganlab.load_generator("hf://user/name")
    assert np.array_equal(generator.sample(4), ganlab.load_generator(trained).sample(4))
    assert next(asked for asked in hub.asked if "resolve" in asked).endswith("config.json")
    assert command("info", "hf://user/name").code == 0
    # What is made of it lies here, and not among the files of the hub's cache.
    assert command("sample", "hf://user/name", "--count", "4").out == "sample.png\n"
    assert command("export", "hf://user/name", "--onnx").out.startswith("generator.onnx ")
    kept = [path.name for path in (tmp_path / "hub-cache").rglob("snapshots/*/*")]
    assert sorted(kept) == ["config.json", "generator.safetensors"]


def test_a_dry_run_names_every_file_and_asks_nobody(command: Command, trained: Path, hub: Hub) -> None:
    ended = command(*PUSH, "--dry-run")
    assert ended.code == 0
    assert {line.split()[-1] for line in ended.out.splitlines()} >= {
        "README.md",
        "config.json",
        "generator.safetensors",
    }
    assert hub.asked == []


@pytest.mark.parametrize(
    ("refused", "code", "sentence"),
    [
        ({"repos/create": 401}, 2, "the hub wants a token that may do so (HTTP 401); `hf auth login` stores one"),
        ({"repos/create": 403}, 2, "(HTTP 403)"),
        ({"preupload": 404}, 2, "there is no such repository, or it is private and needs a token"),
        ({"/upload/": 400}, 1, "the hub refuses (HTTP 400); try again later"),
        ({"/commit/": 503}, 1, "the hub refuses (HTTP 503); try again later"),
    ],
)
def test_a_refused_push_is_one_sentence_and_leaves_nothing(
    command: Command, trained: Path, hub: Hub, refused: dict[str, int], code: int, sentence: str
) -> None:
    hub.refused |= refused
    ended = command(*PUSH)
    assert ended.code == code
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert hub.commits == 0
    assert not hub.repositories.get("user/name")
    assert TOKEN not in ended.err + ended.out


def test_no_token_is_written_or_shown(command: Command, trained: Path, hub: Hub) -> None:
    ended = command(*PUSH)
    assert ended.code == 0
    assert TOKEN not in ended.out + ended.err
    sent = b"".join(hub.repositories["user/name"].values())
    kept = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert TOKEN.encode() not in sent + kept


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        ({"config.json": b"{}"}, "its config.json was not written by ganlab"),
        ({"config.json": b"\xff"}, "its config.json was not written by ganlab"),
        (
            {"config.json": b'{"files": {"other.bin": {"bytes": 1, "sha256": "0"}}}'},
            "names neither generator.safetensors",
        ),
        ({"generator.safetensors": b"x" * 10}, "is not the file that its config.json names; nothing was loaded"),
        ({"generator.safetensors": b"x" * 10_000_000}, "has 10,000,000 bytes instead of"),
    ],
)
def test_what_is_not_what_it_should_be_is_not_loaded(
    command: Command, trained: Path, hub: Hub, spoilt: dict[str, bytes], sentence: str
) -> None:
    assert command(*PUSH).code == 0
    hub.repositories["user/name"] |= spoilt
    with pytest.raises(ArtefactError, match=sentence):
        ganlab.load_generator("hf://user/name")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf://user/nothing", "there is no such repository, or it is private"),
        ("hf://user/name", "it has no config.json of a ganlab generator"),
    ],
)
def test_what_is_not_there_is_said(hub: Hub, name: str, sentence: str) -> None:
    hub.repositories["user/name"] = {"README.md": b"hi"}
    with pytest.raises(GanlabError, match=sentence):
        ganlab.load_generator(name)


def test_without_a_network_what_was_loaded_once_is_loaded_again(
    command: Command, trained: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*PUSH).code == 0
    before = ganlab.load_generator("hf://user/name").sample(2)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert np.array_equal(ganlab.load_generator("hf://user/name").sample(2), before)
    assert hub.asked == []
    with pytest.raises(GanlabError, match="cannot be reached, and it is not in the cache"):
        ganlab.load_generator("hf://user/other")


def test_the_card_says_what_is_known(command: Command, trained: Path) -> None:
    ended = command("card", "runs/toy/0001", "--license", "cc-by-4.0", "--out", "folder", "--repository", "me/toy")
    assert ended.code == 0
    readme = Path("folder/README.md").read_text()
    assert readme.startswith("---\nlibrary_name: ganlab\npipeline_tag: unconditional-image-generation\n")
    assert 'license: "cc-by-4.0"' in readme
    assert 'ganlab.load_generator("hf://me/toy")' in readme
    config = json.loads(Path("folder/config.json").read_text())
    assert config["files"]["generator.safetensors"]["bytes"] == Path("folder/generator.safetensors").stat().st_size
    assert command("card", "runs/toy/0001", "--license", "mit", "--out", "folder").code == 2
    assert "--license says under which" in command("card", "runs/toy/0001", "--out", "other").err


def test_what_was_exported_of_another_generator_is_left_out_and_said(command: Command, trained: Path) -> None:
    assert command("export", "toy/1", "--onnx").code == 0
    ended = command("card", "toy/1", "--license", "mit", "--out", "same")
    assert (ended.code, ended.err) == (0, "")
    assert Path("same/generator.onnx").is_file()
    assert '- "onnx"' in Path("same/README.md").read_text()
    assert command("run", "toy/1", "--resume", "--set", "train.iterations=14").code == 0
    ended = command("card", "toy/1", "--license", "mit", "--out", "other")
    assert "generator.onnx is left out: it was made of another generator; export it again" in ended.err
    assert not Path("other/generator.onnx").exists()

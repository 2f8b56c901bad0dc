"""The page as a file: what is in it, what is read out of it again, and what is refused."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from ganlab_dcgan import DCGAN
from ganlab_page import Page, runtime
from ganlab_page.weights import in_float16, weights_of
from shipping import CREATURES, IMAGES, Tiny, about, registered, ship, ship_labelled, ship_varied, trained
from torch import nn

import ganlab
from ganlab import ArtefactError, GanlabError, ImageSpec, PluginError, RunError, run_file, write_generator
from ganlab.cli import main
from ganlab.generator.export import export
from ganlab.generator.file import read_artefact
from ganlab.generator.metadata import Metadata
from ganlab.generator.network import load_network
from ganlab.testing import contract, isolated

HOSTILE = "</script><script>hacked=1</script><!-- & {{script}} \u2028"


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"page": Page}), registered():
        yield


@pytest.fixture(scope="module")
def page(_place: None) -> Path:
    """Return the page of DCGAN at 32 pixels, with its generator beside it."""
    model, images = DCGAN(base_channels=16, latent_dim=24), ImageSpec(3, 32, 32)
    path = Path("dcgan.safetensors")
    write_generator(path, trained(model, images), about("dcgan", model, images))
    return export(path, "page").path


def island(page: Path, name: str) -> str:
    (found,) = re.findall(rf'<script id="{name}" type="[a-z/]+">(.*?)</script>', page.read_text(), re.DOTALL)
    return str(found)


def changed(metadata: Metadata, recipe: str, names: tuple[str, ...] = ()) -> Metadata:
    return metadata.model_copy(
        update={"recipe": metadata.recipe.model_copy(update={"name": recipe}), "class_names": names}
    )


test_contract = contract(Page, options=[{}, {"weights": "fp32", "directions": 0}])


def test_the_generator_in_it_is_the_run_s_and_is_found_by_every_verb(page: Path) -> None:
    taken = Path("taken.onnx")
    taken.write_bytes(base64.b64decode(island(page, "generator"), validate=True))
    onnx.checker.check_model(str(taken))
    from_torch = ganlab.load_generator("dcgan.safetensors", device="cpu")
    from_page = ganlab.load_generator(page)
    inputs = from_torch.draw(range(9), truncation=0.7)
    assert np.array_equal(from_page(inputs), run_file(taken, inputs))
    assert np.abs(from_page(inputs) - from_torch(inputs)).max() < 4e-3
    assert np.abs(from_page.sample(9).astype(int) - from_torch.sample(9)).max() <= 1
    assert from_page.metadata.precision == ganlab.read_metadata(taken).precision == "fp16"


def test_weights_in_float16_have_half_the_bytes_and_the_page_says_what_it_costs(page: Path) -> None:
    whole = export("dcgan.safetensors", "page", {"weights": "fp32"}, "whole.html")
    sizes = [len(base64.b64decode(island(path, "generator"))) for path in (page, whole.path)]
    assert 0.5 < sizes[0] / sizes[1] < 0.52
    assert whole.max_difference < 1e-5
    table = json.loads(island(page, "page"))
    assert table["weights"]["bytes"] == sizes[0]
    assert table["weights"]["count"] == weights_of(onnx.load_from_string(base64.b64decode(island(page, "generator"))))
    assert 0 < table["weights"]["difference"] <= 4e-3
    assert abs(table["bytes"] - page.stat().st_size) < 10


class Sensitive(nn.Module):
    """Tells its weights apart more finely than float16 can."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 3 * 64)
        nn.init.uniform_(self.first.weight, 1.0, 1.5)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (200.0 * (self.first(z) - 1.25 * z.sum(1, keepdim=True))).sin().reshape(-1, 3, 8, 8)


class SensitiveModel(Tiny):
    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": Sensitive(), "discriminator": nn.Flatten()}


def test_float16_is_not_taken_where_it_can_be_seen() -> None:
    model = SensitiveModel()
    with isolated({"sensitive": SensitiveModel}):
        write_generator("fine.safetensors", trained(model, IMAGES), about("sensitive", model))
        made = export("fine.safetensors", "page", path="fine.html")
        assert ganlab.read_metadata(made.path).precision == "fp32"
        with pytest.raises(RunError, match=r"differs from torch by .* more than the 8e-03 allowed; it was not kept"):
            export("fine.safetensors", "page", {"weights": "fp16"}, "fine.html")


def test_what_float16_cannot_hold_stays_float32() -> None:
    weights = {
        "big": np.full((16, 16), 1e5, np.float32),
        "few": np.ones(8, np.float32),
        "many": np.ones(256, np.float32),
    }
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    made = in_float16(onnx.helper.make_model(graph)).graph
    types = {tensor.name: tensor.data_type for tensor in made.initializer}
    whole, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    assert types == {"big": whole, "few": whole, "many.float16": half}
    assert [(node.op_type, *node.input, *node.output) for node in made.node] == [("Cast", "many.float16", "many")]


def test_the_same_generator_gives_the_same_bytes(page: Path) -> None:
    assert export("dcgan.safetensors", "page", path="again/again.html").path.read_bytes() == page.read_bytes()


def test_nothing_is_fetched_and_no_script_runs_but_those_whose_hash_is_stated(page: Path) -> None:
    text = page.read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert not re.search(r"https?:|connect-src", policy)
    assert text.index(policy) < text.index("<style")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in rules["script-src"]
    assert not re.search(r"\son\w+=|style=|javascript:|innerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    assert not re.search(r'(?:src|href)="(?!data:,")', text)


def test_hostile_names_stay_texts() -> None:
    ship_labelled(Path("hostile.safetensors"), CREATURES)
    artefact = ganlab.read_metadata("hostile.safetensors")
    names = (HOSTILE, "<img src=x onerror=hacked=1>", "'\"", "&lt;", "\\u003c")
    network = load_network(read_artefact("hostile.safetensors"))
    write_generator("hostile.safetensors", network, changed(artefact, HOSTILE.replace("\u2028", ""), names))
    options = {"title": HOSTILE, "licence": HOSTILE}
    made = export("hostile.safetensors", "page", options, "hostile.html").path
    text = made.read_text()
    assert "hacked=1</script>" not in text
    assert "<img" not in text
    assert text.count("<script") == 9
    assert text.count("{{script}}") == 5  # a title's own words are no place for anything
    table = json.loads(island(made, "page"))
    assert (table["title"], table["licence"]) == (HOSTILE, HOSTILE)
    assert f"<title>{html.escape(HOSTILE)}</title>" in text
    read = ganlab.read_metadata(made)
    assert read.class_names == names
    assert json.loads(island(made, "metadata"))["class_names"] == list(names)


def test_directions_are_those_of_the_first_weight_or_the_reason_why_not(page: Path) -> None:
    found = json.loads(island(page, "page"))["directions"]
    expected = ganlab.directions(ganlab.load_generator("dcgan.safetensors"), 5)
    assert np.array(found["vectors"]) == pytest.approx(expected.vectors, abs=1e-5)
    assert found["shares"] == pytest.approx(expected.shares, abs=1e-4)
    none = export("dcgan.safetensors", "page", {"directions": 0}, "none.html")
    assert json.loads(island(none.path, "page"))["directions"] is None

    class Squared(Tiny):
        api = 1

        def build(self, images: ImageSpec) -> dict[str, nn.Module]:
            generator = nn.Sequential(nn.Tanhshrink(), super().build(images)["generator"])
            return {"generator": generator, "discriminator": nn.Flatten()}

    with isolated({"squared": Squared}):
        write_generator("squared.safetensors", trained(Squared(), IMAGES), about("squared", Squared()))
        table = json.loads(island(export("squared.safetensors", "page", path="squared.html").path, "page"))
    assert table["directions"] is None
    assert table["undirected"] == (
        "There are no sliders: the generator has no directions: z goes through no linear map before anything else."
    )


def test_a_page_that_would_be_large_is_refused_with_its_size_before_anything_is_written() -> None:
    model, images = DCGAN(base_channels=64, latent_dim=100), ImageSpec(3, 64, 64)
    write_generator("large.safetensors", trained(model, images), about("dcgan", model, images))
    with pytest.raises(GanlabError) as caught:
        export("large.safetensors", "page", {"max_mb": 14}, "large.html")
    assert str(caught.value) == (
        "the page would have at least 14.5 MB, more than max_mb = 14: export it with --set max_mb=30, or as ONNX"
    )
    assert not Path("large.html").exists()
    with pytest.raises(GanlabError, match=r"^the page would have at least 24\.1 MB, more than max_mb = 17: "):
        export("large.safetensors", "page", {"max_mb": 17, "weights": "fp32"}, "large.html")
    assert not Path("large.html").exists()


DAMAGE = [
    (b"<!doctype html><title>404</title>", "is a web page, but none that ganlab export --to page has written"),
    (b'<!doctype html><script id="metadata" type="application/json">{}</script>', "its metadata is not what ganlab"),
    (b'<!doctype html><script id="metadata" type="x">\xff\xfe</script>', "its metadata is not valid JSON"),
    (b'<!doctype html><script id="metadata"', "is a web page, but none that ganlab export --to page has written"),
]


@pytest.mark.parametrize(("data", "sentence"), DAMAGE)
def test_another_page_is_refused(data: bytes, sentence: str) -> None:
    path = Path("other.html")
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=sentence):
        ganlab.load_generator(path)
    with pytest.raises(ArtefactError, match=r"other\.html: "):
        ganlab.read_metadata(path)


def test_a_page_in_which_one_letter_has_changed_is_refused(page: Path) -> None:
    data = page.read_bytes()
    for place in (data.index(b"Gallery"), data.index(b'id="generator"') + 2000, len(data) - 20):
        Path("bent.html").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ArtefactError, match=r"its checksum does not fit"):
            ganlab.load_generator("bent.html")
    Path("bent.html").write_bytes(data.replace(b'id="generator" type="text/plain">', b'id="generator" x>!'))
    with pytest.raises(ArtefactError, match="its generator is damaged"):
        Page().run(Path("bent.html"), {})


def test_a_page_gives_no_weights_back(page: Path) -> None:
    with pytest.raises(ArtefactError, match=r"its weights cannot be taken out again; name the run"):
        export(page, "onnx")


@pytest.mark.parametrize("name", runtime.DIGESTS)
def test_a_file_of_onnxruntime_that_was_changed_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.packed(name)
    content = runtime.FOLDER.joinpath(name).read_bytes()
    monkeypatch.setattr(runtime, "FOLDER", Path.cwd())
    other = gzip.compress(gzip.decompress(content) + b" ") if name.endswith(".gz") else content + b" "
    Path(name).write_bytes(other)
    with pytest.raises(
        PluginError, match=rf"^{name} is not that of onnxruntime-web 1.30.0; install ganlab-page again$"
    ):
        runtime.packed(name)
    Path(name).write_bytes(content[:-20] if name.endswith(".gz") else content[:-1])
    with pytest.raises(PluginError, match="install ganlab-page again"):
        runtime.packed(name)


def command(*arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    monkeypatch.setattr(sys, "argv", ["ganlab", *arguments])
    code: Any = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
    return code, "".join(capsys.readouterr())


def test_the_command_line_has_a_flag_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(Path("toy.safetensors"))
    for arguments in (["--page"], ["--to", "page", "--out", "toy2.html"], ["--page", "--set", "licence=CC0-1.0"]):
        code, said = command("export", "toy.safetensors", *arguments, capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0, said
        assert re.search(r"toy2?\.html  5\.\d MB, differs from torch by at most \S+ \(allowed 8e-03\)", said)
    assert json.loads(island(Path("toy.html"), "page"))["licence"] == "CC0-1.0"
    assert "--page " in command("export", "--help", capsys=capsys, monkeypatch=monkeypatch)[1]
    code, said = command("info", "toy.html", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert re.search(r"precision +fp16", said)
    code, said = command(
        "sample", "toy.html", "--count", "3", "--out", "few.npy", capsys=capsys, monkeypatch=monkeypatch
    )
    assert code == 0, said
    expected = ganlab.load_generator("toy.safetensors", device="cpu").sample(3)
    assert np.abs(np.load("few.npy").astype(int) - expected).max() <= 1


def test_inputs_of_every_kind_reach_the_page(page: Path) -> None:
    ship_varied(Path("varied.safetensors"))
    made = export("varied.safetensors", "page", path="varied.html").path
    assert [one["name"] for one in json.loads(island(made, "metadata"))["inputs"]] == [
        "z",
        "category",
        "codes",
        "noise",
    ]

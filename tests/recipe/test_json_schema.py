"""The JSON Schema of recipes, checked against ganlab's own verdict by a validator that others have written."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from broken_plugins import LOSS, Plugin, install
from jsonschema import Draft7Validator
from optimizers import RMSprop
from pydantic import Field, ValidationError
from toys import Stripes

from ganlab import Loss, Observer
from ganlab.errors import RecipeError
from ganlab.interfaces import Component, Options
from ganlab.recipe.json_schema import DIRECTIVE, FILE, recipe_schema
from ganlab.recipe.recipe import TABLES, parse_recipe
from ganlab.registry import Registry
from ganlab.registry.entry_points import HOST
from ganlab.registry.kinds import DECISIVE

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/*.toml"))


class Inner(Options):
    """A table in a table."""

    depth: int = 1
    """How deep."""
    again: Inner | None = None
    """Deeper."""


class Strange(Loss):
    """Options of every form."""

    api = 1

    required: int
    """Must be written."""
    nested: Inner = Inner()
    """A table."""
    pairs: dict[str, tuple[float, str]] = {}  # noqa: RUF012  # pydantic copies it
    """Tables of pairs."""
    words: list[Literal["a", "b"]] = []  # noqa: RUF012
    """Some words."""
    even: Annotated[int, Field(multiple_of=2, le=10)] | None = None
    """Unset: none."""
    shape: Annotated[str, Field(pattern=r"^(?i:x+)$")] = "x"
    """A form."""
    junk: Annotated[int, Field(json_schema_extra={"minimum": "none", "x": {}, "if": 1, "default": 7})] = 7
    """Says nonsense of itself."""

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield from ()


class Quiet(Observer):
    """Sees nothing."""

    api = 1

    volume: Annotated[int, Field(ge=0)] = 0
    """How loud."""


@pytest.fixture(scope="module")
def components() -> Registry:
    """ganlab's own components, and strange ones."""
    found = Registry()
    found.scan(lambda distribution: distribution == HOST)
    found.add("dataset", "stripes", Stripes)
    found.add("loss", "strange", Strange)
    found.add("optimizer", "rmsprop", RMSprop)
    found.add("observer", "quiet", Quiet)
    return found


@pytest.fixture(scope="module")
def schema(components: Registry) -> dict[str, Any]:
    found = recipe_schema(components)
    assert found.left_open == []
    Draft7Validator.check_schema(found.schema)
    return found.schema


def mistakes(schema: dict[str, Any], recipe: dict[str, Any] | str) -> list[str]:
    table = tomllib.loads(recipe) if isinstance(recipe, str) else json.loads(json.dumps(recipe))
    return sorted(
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft7Validator(schema).iter_errors(table)
    )


def test_the_file_beside_the_recipes_is_of_this_version() -> None:
    own = Registry()
    own.scan(lambda distribution: distribution == HOST)
    written = json.loads((ROOT / "recipes" / FILE).read_text(encoding="utf-8"))
    assert written == recipe_schema(own).schema, f"run: ganlab --no-plugins schema --out recipes/{FILE}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_valid_as_written_and_as_resolved(path: Path, schema: dict[str, Any]) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"{DIRECTIVE}\n")
    assert mistakes(schema, text) == []
    table = tomllib.loads(text)
    base = tomllib.loads((ROOT / "recipes" / f"{table['extends']}.toml").read_text()) if "extends" in table else {}
    resolved = parse_recipe({**base, **table} | {"extends": None}).dump()
    assert mistakes(schema, resolved) == []


def test_every_table_of_a_recipe_is_there_with_its_documentation(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == {"seed", "extends", *TABLES}
    for table in TABLES:
        assert schema["properties"][table]["description"]
    for component in schema["definitions"].values():
        for name, option in component["properties"].items():
            assert option["description"] or name == "name"


def test_neither_null_nor_what_draft_7_has_not_is_left(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    for word in ('"null"', ": null", "$defs", "prefixItems", "mapping", "(?", '"x": {', '"title": "Inner'):
        assert word not in text, word


BASE = '[dataset]\nname = "stripes"\n'
GOOD = [
    BASE,
    BASE + '[model]\nname = "ganlab:dcgan"\nbase_channels = 4\nstart = 2',
    BASE + "[optimizer]\nlr = 1\nbetas = [0, 0.9]\n[optimizer.discriminator]\nlr = 1e-5",
    BASE
    + "[optimizer]\nlr = { from = 1e-3, to = 0.0, epochs = 3 }\nbetas = [0, { from = 0.9, to = 0.99, images = 10 }]",
    BASE + '[loss]\nname = "bce"\nreal_label = { from = 0.8, to = 1, shape = "step", after = 0.1, progress = 0.2 }',
    BASE + '[optimizer]\nname = "rmsprop"\nalpha = 0.5\n[optimizer.generator]\nalpha = 0.9',
    BASE + '[optimizer.generator]\nname = "rmsprop"\nalpha = 0.9\n[optimizer.discriminator]\neps = 1e-5',
    BASE + '[optimizer]\nname = "rmsprop"\n[optimizer.generator]\nname = "adam"\nbetas = [0, 0.9]',
    BASE + "[train]\niterations = 3\ndevice = 'cuda:1'",
    BASE + "[observers]\ngif = false\nquiet = true\n[observers.terminal]\nmode = 'off'",
    BASE + '[loss]\nname = "strange"\nrequired = 1\npairs = {x = [1, "y"]}\nwords = ["a", "b"]\neven = 4',
    BASE + '[loss]\nname = "strange"\nrequired = 1\nnested = {depth = 3, again = {depth = 4, again = {depth = 5}}}',
    '[dataset]\nname = "mnist"\nroot = "somewhere"\nresolution = [32, 64]\nflip = true',
]
BAD = {
    "seeed = 3\n" + BASE: ["'seeed'"],
    "seed = -1\n" + BASE: ["seed: -1"],
    "": ["'dataset' is a required property"],
    "[dataset]\nflip = true": ["dataset: 'name' is a required property"],
    '[dataset]\nname = "image_folder"': ["dataset: 'root' is a required property"],
    BASE + "[model]\nlatentdim = 3": ["model: ", "'latentdim'"],
    BASE + '[model]\nname = "dcgan"\nlatentdim = 3': ["model: ", "'latentdim'"],
    BASE + "[model]\nlatent_dim = true": ["model.latent_dim: True"],
    BASE + "[model]\nlatent_dim = 0.5": ["model.latent_dim: 0.5"],
    BASE + '[model]\nlatent = "normale"': ["model.latent: 'normale'"],
    BASE + "[model]\nstart = [2, 3, 4]": ["model.start"],
    BASE + "[optimizer]\nlearning = 2": ["optimizer.learning: 2"],
    BASE + "[optimizer.generator]\nlr = 0": ["optimizer.generator.lr: 0"],
    BASE + "[optimizer.generator]\nalpha = 0.9": ["optimizer.generator: ", "'alpha'"],
    BASE + "[optimizer]\nlr = { from = -1, to = 0, epochs = 3 }": ["optimizer.lr: "],
    BASE + "[optimizer]\nlr = { from = 1, to = 0, epoch = 3 }": ["optimizer.lr: "],
    BASE + '[loss]\nname = "bce"\nreal_label = { from = 2, to = 1, epochs = 3 }': ["loss.real_label: "],
    BASE + '[optimizer]\nname = "rmsprop"\nbetas = [0, 0.9]': ["optimizer.betas: "],
    BASE + '[optimizer]\nname = "rmsprop"\n[optimizer.generator]\nbetas = [0, 0.9]': [
        "optimizer.generator: ",
        "'betas'",
    ],
    BASE + '[optimizer.generator]\nname = "rmsprop"\nbetas = [0, 0.9]': ["optimizer.generator: ", "'betas'"],
    BASE + '[optimizer.generator]\nname = "rmsprop"\nalpha = 1': ["optimizer.generator.alpha: 1"],
    BASE + "[train]\nepochs = 3\niterations = 3": ["train: "],
    BASE + "[train]\ndevice = 'gpu'": ["train.device: 'gpu'"],
    BASE + "[observers]\ngif = 3": ["observers.gif: 3"],
    BASE + "[observers.gif]\nframe = 3": ["observers.gif: ", "'frame'"],
    BASE + "[observers.quiet]\nvolume = -1": ["observers.quiet.volume: -1"],
    BASE + '[loss]\nname = "strange"': ["loss: 'required' is a required property"],
    BASE + '[loss]\nname = "strange"\nrequired = 1\neven = 3': ["loss.even: 3"],
    BASE + '[loss]\nname = "strange"\nrequired = 1\nnested = {deep = 3}': ["loss.nested: ", "'deep'"],
    BASE + '[loss]\nname = "strange"\nrequired = 1\npairs = {x = [1]}': ["loss.pairs.x"],
    BASE + "augmentation = 3": ["dataset"],
    BASE + "[augmentation]\np = 3": ["augmentation: 'name' is a required property"],
}


@pytest.mark.parametrize("recipe", GOOD)
def test_what_ganlab_takes_has_no_mistake(recipe: str, schema: dict[str, Any], components: Registry) -> None:
    parse_recipe(recipe, components=components)
    assert mistakes(schema, recipe) == []


@pytest.mark.parametrize(("recipe", "words"), BAD.items(), ids=BAD)
def test_what_ganlab_refuses_is_marked_at_its_place(
    recipe: str, words: list[str], schema: dict[str, Any], components: Registry
) -> None:
    with pytest.raises(RecipeError):
        parse_recipe(recipe, components=components)
    found = mistakes(schema, recipe)
    assert any(all(word in sentence for word in words) for sentence in found), found


@pytest.mark.parametrize(
    "recipe",
    [
        BASE + '[model]\nname = "not_here"\nlatent_dim = "any"\nwhatever = {a = 1}',
        BASE + '[model]\nname = "elsewhere:dcgan"\nwhatever = 1',
        BASE + '[augmentation]\nname = "not_here"\np = 3',
        BASE + "[optimizer.velocity]\nlr = 1e-5",
        BASE + "[observers.not_here]\nproject = 'x'\n[observers.\"ganlab:gif\"]\nframes = 3",
        # Whose model, dataset and loss these are, the other recipe says.
        'extends = "other"',
        'extends = "other"\n[model]\nwhatever = 3\n[dataset]\nroot = "x"\n[loss]\nfoo = 1\n[augmentation]\np = 3',
        'extends = "other"\n[loss]\nname = "strange"\neven = 4',
        'extends = "other"\n[optimizer.generator]\nalpha = 0.9',
        'extends = "other"\n[optimizer]\nlr = { to = 0.0 }',
    ],
)
def test_what_cannot_be_known_here_is_left_open(recipe: str, schema: dict[str, Any]) -> None:
    assert mistakes(schema, recipe) == []


VALUES: list[Any] = [
    *(-1, 0, 1, 2, 10**6, 0.5, 1.0, -0.5, 1e300, True, False, "", "x", "normal", "#ffffff", "center", "cuda:1"),
    *([], [1], [1, 2], [0.1, 0.2], [2, 4], ["a"], [[1]], {}, {"a": 1}, {"depth": 3}, {"again": {"depth": 2}}),
]


def tables(components: Registry) -> Iterator[tuple[str, type[Component]]]:
    for provider in components.providers():
        if provider.kind in (*DECISIVE, "observer"):
            yield f"{provider.kind}.{provider.name}", components.load(provider)


def test_no_value_that_ganlab_takes_is_marked(schema: dict[str, Any], components: Registry) -> None:
    """Each option of each component with values of every type; what it takes only by its own rules may differ."""
    lenient = checked = 0
    for definition, cls in tables(components):
        validator = Draft7Validator(schema).evolve(schema=schema["definitions"][definition])
        required: dict[str, object] = {name: 1 for name, field in cls.model_fields.items() if field.is_required()}
        required |= {"root": "x"} if "root" in required else {}
        for name in cls.model_fields:
            for value in VALUES:
                table = {**required, name: value}
                try:
                    cls.model_validate_json(json.dumps(table))
                    taken = True
                except ValidationError:
                    taken = False
                valid = validator.is_valid(table)
                assert valid or not taken, f"{definition}: {name} = {value!r} is taken, but marked"
                checked += 1
                lenient += valid and not taken
    assert checked > 1000
    # 1.0 is a whole number to JSON Schema; and rules between options are not in it.
    assert lenient < checked / 20


class Worse(Loss):
    """Says of itself what nobody can read."""

    api = 1

    junk: Annotated[int, Field(json_schema_extra={"$ref": 3})] = 7
    """Nonsense."""

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield from ()


def test_a_component_that_cannot_be_described_is_left_open_and_named() -> None:
    found = Registry()
    found.scan(lambda distribution: distribution == HOST)
    found.add("loss", "worse", Worse)
    schema, left_open = recipe_schema(found)
    (sentence,) = left_open
    assert sentence.startswith('loss "worse" (this process) has options that cannot be described: ')
    Draft7Validator.check_schema(schema)
    assert mistakes(schema, BASE.replace("stripes", "mnist") + '[loss]\nname = "worse"\njunk = 3') == []
    assert mistakes(schema, BASE.replace("stripes", "mnist") + '[loss]\nname = "bce"\njunk = 3') != []


def test_names_from_two_distributions_need_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twins = [Plugin(f"twin-{number}", "loss", "twin", LOSS) for number in ("one", "two")]
    monkeypatch.syspath_prepend(install(tmp_path / "site", *twins))
    found = Registry()
    found.scan(lambda distribution: distribution in ("twin-one", "twin-two"))
    schema, left_open = recipe_schema(found)
    assert left_open == []
    definitions = schema["definitions"]
    assert {name: table["properties"]["name"]["enum"] for name, table in definitions.items() if "." in name} == {
        "loss.twin-one:twin": ["twin-one:twin"],
        "loss.twin-two:twin": ["twin-two:twin"],
    }
    for twin in twins:
        del sys.modules[twin.module]

"""What a new plugin is called: all names from one, and what is no name."""

from __future__ import annotations

import keyword

import pytest

from ganlab.errors import GanlabError
from ganlab.registry.entry_points import NAME, normalized
from ganlab.registry.kinds import GROUPS
from ganlab.scaffold.names import Names, names_of


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("waves", Names("waves", "ganlab-waves", "ganlab_waves", "Waves")),
        ("ganlab-waves", Names("waves", "ganlab-waves", "ganlab_waves", "Waves")),
        ("ganlab_long_waves", Names("long_waves", "ganlab-long-waves", "ganlab_long_waves", "LongWaves")),
        ("long-waves2", Names("long_waves2", "ganlab-long-waves2", "ganlab_long_waves2", "LongWaves2")),
        ("class", Names("class", "ganlab-class", "ganlab_class", "Class")),
        ("none", Names("none", "ganlab-none", "ganlab_none", "None")),
        ("a" * 40, Names("a" * 40, f"ganlab-{'a' * 40}", f"ganlab_{'a' * 40}", f"A{'a' * 39}")),
    ],
)
def test_one_name_gives_all_names(name: str, names: Names) -> None:
    assert names_of(name) == names
    assert NAME.fullmatch(names.component), "which recipes must be able to say"
    assert normalized(names.distribution) == names.distribution
    for python in (names.package, *map(names.class_of, GROUPS.values())):
        assert python.isidentifier()
        assert not keyword.iskeyword(python)
    assert names.class_of("model") == f"{names.title}Model"


RULE = "a letter, then letters, digits and single - or _ between them, all in lower case, 40 at most"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Waves", "; did you mean waves?"),
        ("my waves", "; did you mean my-waves?"),
        ("Long__Waves.", "; did you mean long-waves?"),
        ("3d", ""),
        ("../waves", ""),
        ("a" * 41, ""),
        ("ganlab-3d", ""),
        ("ganlab-", "; did you mean ganlab?"),
        ("", ""),
        ("waves\n", "; did you mean waves?"),
    ],
)
def test_what_is_no_name_is_refused_with_the_rule_and_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(GanlabError) as caught:
        names_of(name)
    assert str(caught.value) == f'"{name}" is not a name for a plugin: that is {RULE}{hint}'

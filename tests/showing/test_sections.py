"""What stands about a run in words and tables."""

from __future__ import annotations

from dataclasses import replace

from showing.test_gallery import account
from showing.test_markup import Read

from ganlab.events import Advice, Finding
from ganlab.showing.account import Judged
from ganlab.showing.sections import EVALUATIONS, about, heading, health, scores


def judged(number: int, best: bool = False, **values: float) -> Judged:
    return Judged(number, number * 8, number / 2, values or {"kid": 1 / number}, best)


def test_the_heading_says_how_it_stands_and_what_is_lacking() -> None:
    run = replace(account(0, []), images=1234, changes=["a=1", "b=<i>"], note="<b>", lacking=["x is missing."])
    changed = ["Changed in the recipe: ", "a=1, b=<i>"]
    texts = Read(heading(run).html).texts
    assert texts == ["finished", " · 1,234 images seen", *changed, "<b>", "x is missing."]
    assert "Changed in the recipe of shoes: " in Read(heading(replace(run, shipped="shoes")).html).texts


def test_scores_are_a_table_by_snapshot_and_of_many_the_best_is_always_there() -> None:
    run = replace(account(0, []), judged=[judged(1), judged(2, best=True, kid=0.5, mind=3.0)], protocol={"real": "20"})
    texts = Read(scores(run).html).texts
    assert texts[1:7] == ["Iteration", "Epoch", "kid", "mind", "Best so far", "2"]
    assert texts[7:11] == ["1", "0.5", "3", "yes, kept"]
    assert texts[11:] == ["1", "0.5", "1", "–", "What they were computed from", "real", "20"]
    many = [judged(number, best=number in (2, 3)) for number in range(1, 101)]
    texts = Read(scores(replace(run, judged=many)).html).texts
    assert f"By snapshot, the newest first; {100 - EVALUATIONS - 1} of 100 are left out" in texts
    assert texts.count("yes, kept") == 1


def test_copies_are_put_into_words() -> None:
    run = replace(account(0, []), judged=[judged(1, copies=0.0125, nearness=1.25)])
    (said,) = [text for text in Read(scores(run).html).texts if "suspiciously" in text]
    assert said.startswith("1.25% of the generated pictures are suspiciously near to a real one. The median")
    assert "1.25 times as far" in said
    assert "Nearest neighbours" not in Read(scores(replace(run, judged=[judged(1)])).html).texts


def test_a_run_that_was_not_judged_says_how_it_can_be() -> None:
    assert "ganlab evaluate" in Read(scores(account(0, [])).html).texts


def test_findings_are_listed_with_their_advice() -> None:
    advice = (Advice("slower", "optimizer.lr=1e-4"),)
    begun = Finding("saturation", 1500, 9, 1.0, False, 500, "<b>", "half", {}, advice)
    read = Read(health([begun, begun._replace(ended=True, iteration=2500, evidence="x")]).html)
    assert " ".join(" ".join(read.texts).split()) == (
        "At iteration 1,500, saturation: <b>. What may help: optimizer.lr=1e-4 (slower) "
        "At iteration 2,500, saturation has ended: x"
    )
    assert [given.get("class") for name, given in read.elements if name == "li"] == ["warning", "note"]


def test_the_recipe_the_log_and_an_error_are_folded_away() -> None:
    run = replace(account(0, []), facts={"device": "cpu"}, recipe_text="seed = 0", error="Traceback")
    assert Read(about(run).html).texts == [
        "device", "cpu", "The recipe, with every default", "seed = 0", "What an error has left", "Traceback",
    ]  # fmt: skip

"""How often the watch over a training is right: healthy runs of every recipe, and runs with one disease each.

`python benchmarks/health.py` trains them with several seeds and prints both rates; `--write` keeps them in
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from health_cases import (
    ITERATIONS,
    Case,
    diseased,
    healthy,
    register_plugins,
    register_sick,
    tick_by_iterations,
    write_pictures,
)
from machine import RESULTS, ROOT, describe

sys.path[:0] = [str(path) for path in sorted((ROOT / "plugins").iterdir())]

SHORT = {"train.iterations": ITERATIONS}
QUIET = ("observers.terminal=false", "observers.gif=false", "observers.plot=false")


def main() -> None:
    """Train, print, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("healthy", "diseased"))
    parser.add_argument("--names", nargs="*", help="those of which the name holds one of these words")
    parser.add_argument("--work", type=Path, help="where the runs are kept, and continued")
    parser.add_argument("--cost", type=int, metavar="PAIRS", help="measure what the watch costs instead")
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    wanted = parser.parse_args()
    work = wanted.work or Path(tempfile.mkdtemp(prefix="ganlab-health-"))
    if wanted.cost:
        print(cost(wanted.cost, work))
        return
    register_plugins()
    register_sick()
    tick_by_iterations()
    rows = []
    for case in _cases(work, wanted.only):
        if wanted.names and not any(word in case.name for word in wanted.names):
            continue
        for seed in range(wanted.seeds):
            rows.append(_row(case, seed, work))
            print(
                f"{case.name:<36}{seed}  {rows[-1]['seconds']:6.1f} s  {', '.join(rows[-1]['found']) or '-'}",
                flush=True,
            )
    found = {"runs": rows, **rates(rows)}
    print("\n".join(lines(found)))
    if wanted.write:
        machine = describe("cpu")
        path = RESULTS / f"health-{machine['date'][:10]}.json"
        path.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n", encoding="utf-8")


def _cases(work: Path, only: str | None) -> Iterator[Case]:
    for count in (500, 20):
        if not (folder := work / f"pictures-{count}").exists():
            write_pictures(folder, count)
    if only != "diseased":
        yield from healthy(work / "pictures-500")
        yield Case("perceptrons", dict_of_perceptrons(), ())
    if only != "healthy":
        yield from diseased(work / "pictures-20")


def dict_of_perceptrons() -> dict[str, Any]:
    """Return the healthy run that the diseased ones differ from."""
    from health_cases import PERCEPTRONS

    return PERCEPTRONS


def _row(case: Case, seed: int, work: Path) -> dict[str, Any]:
    """Train a case, and return the names of what was found, in the order in which it was."""
    import ganlab
    from ganlab.health.record import findings_of
    from ganlab.recipe.recipe import load_recipe, parse_recipe

    own = () if case.disease else (f"train.iterations={ITERATIONS}",)
    texts = (
        *case.overrides,
        *own,
        *QUIET,
        f"seed={seed}",
        "train.device=cpu",
        "train.threads=1",
    )
    if isinstance(case.recipe, Path):
        recipe = load_recipe(case.recipe, texts)
    else:
        recipe = parse_recipe(case.recipe, case.name, texts)
    begun = time.perf_counter()
    run = ganlab.train(recipe, out=work / "runs" / f"{case.name.replace(' ', '-')}-{seed}")
    told = [finding for finding in findings_of(run.directory) if not finding.ended]
    return {
        "name": case.name,
        "disease": case.disease,
        "seed": seed,
        "iterations": run.iterations,
        "seconds": round(time.perf_counter() - begun, 1),
        "found": list(dict.fromkeys(finding.name for finding in told)),
    }


def cost(pairs: int, work: Path) -> str:
    """Return how much processor time the quickstart takes with the watch and without, in turns.

    It is a fifth of it, with as many snapshots, and samples are looked at from the first one on.
    """
    import ganlab
    from ganlab.health import looks
    from ganlab.recipe.recipe import find_recipe, load_recipe

    vars(looks)["LONG"] = 1
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * pairs):
        watched = turn % 4 in (0, 3)
        texts = [*QUIET, "observers.log=false", f"observers.health={str(watched).lower()}", "train.iterations=400"]
        recipe = load_recipe(find_recipe("quickstart"), [*texts, "snapshot.every_iterations=31"])
        begun = time.process_time()
        ganlab.train(recipe, out=work / "cost" / str(turn))
        seconds[watched].append(time.process_time() - begun)
    ratios = [one / other - 1.0 for one, other in zip(seconds[True], seconds[False], strict=True)]
    with_it, without = (statistics.median(seconds[watched]) for watched in (True, False))
    return (
        f"{with_it:.2f} s of processor time with the watch and {without:.2f} s without: "
        f"{statistics.median(ratios):+.1%}, {min(ratios):+.1%} to {max(ratios):+.1%} over {pairs} pairs"
    )


def rates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many diseases were found, and how many healthy runs were said to be ill."""
    ill = [row for row in rows if row["disease"]]
    well = [row for row in rows if not row["disease"]]
    return {
        "diseased": len(ill),
        "diagnosed": sum(row["disease"] in row["found"] for row in ill),
        "healthy": len(well),
        "false_alarms": sum(bool(row["found"]) for row in well),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield both rates, and the diseases one by one."""
    for disease in dict.fromkeys(row["disease"] for row in found["runs"] if row["disease"]):
        rows = [row for row in found["runs"] if row["disease"] == disease]
        yield f"{disease:<20}{sum(disease in row['found'] for row in rows)} of {len(rows)}"
    yield f"diagnosed: {found['diagnosed']} of {found['diseased']} diseased runs"
    yield f"false alarms: in {found['false_alarms']} of {found['healthy']} healthy runs"


if __name__ == "__main__":
    main()

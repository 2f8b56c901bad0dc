"""How often the watch over a training is right: healthy runs of every recipe, and runs with one disease each.

`python benchmarks/health.py` trains them with several seeds and prints both rates; `--write` keeps them in
`benchmarks/results/`, after each run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
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
    parser.add_argument("--device", default="cpu", help="where they are trained, as in cuda (cpu)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that train at a time, on a thread each (1)")
    wanted = parser.parse_args()
    work = wanted.work or Path(tempfile.mkdtemp(prefix="ganlab-health-"))
    if wanted.cost:
        print(cost(wanted.cost, work))
        return
    machine = describe(wanted.device)
    path = RESULTS / f"health-{machine['date'][:10]}.json"
    rows = []
    with ProcessPoolExecutor(wanted.jobs, get_context("spawn"), prepare) as processes:
        cases = [case for case in _cases(work, wanted.only) if _is_wanted(case, wanted.names)]
        waiting = [
            processes.submit(_row, case, seed, work, wanted.device) for seed in range(wanted.seeds) for case in cases
        ]
        for done in as_completed(waiting):
            row = done.result()
            rows.append(row)
            told = ", ".join(row["found"]) or "-"
            print(f"{row['name']:<36}{row['seed']}  {row['seconds']:6.1f} s  {told}", flush=True)
            if wanted.write:
                found = {"machine": machine, "runs": sorted(rows, key=_order), **rates(rows)}
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines({"runs": rows, **rates(rows)})))


def prepare() -> None:
    """Make a process ready to train all cases."""
    register_plugins()
    register_sick()
    tick_by_iterations()


def _is_wanted(case: Case, words: list[str] | None) -> bool:
    return not words or any(word in case.name for word in words)


def _order(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["disease"] or "", row["name"], row["seed"]


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


def _row(case: Case, seed: int, work: Path, device: str) -> dict[str, Any]:
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
        f"train.device={device}",
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

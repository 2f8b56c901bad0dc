"""Write what was measured into the pages and recipes that show it: `python benchmarks/pages.py`, or `--check` them.

The tables of docs/benchmarks.md and docs/results.md come from the newest results, and so does what a recipe says of
itself.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import judged_recipes
from compared import PICTURES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "results.md")
SECTION = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)", re.DOTALL)

Row = Sequence[object]


def main() -> None:
    """Rewrite what shows results, or with --check fail where it would change."""
    for path, written in shown(RESULTS):
        if path.read_text(encoding="utf-8") == written:
            continue
        if "--check" in sys.argv[1:]:
            raise SystemExit(f"{path.relative_to(ROOT)} is not what the results give: run python benchmarks/pages.py")
        path.write_text(written, encoding="utf-8")


def shown(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield all files that show results, with what they should say."""
    for page in PAGES:
        yield page, filled(page.read_text(encoding="utf-8"), results)
    for recipe in judged_recipes.by_recipe(judged(results)):
        if recipe.first["set"] != "emoji":  # whose recipes are of other pictures
            name = recipe.first["recipe"]
            path = ROOT / name if name.endswith(".toml") else ROOT / "recipes" / f"{name}.toml"
            yield path, judged_recipes.with_measured(path.read_text(encoding="utf-8"), recipe)


def filled(text: str, results: Path) -> str:
    """Return the page with the tables of the newest results."""

    def section(match: re.Match[str]) -> str:
        lines = PARTS[match[2]](results)
        return "\n".join([match[1], *lines, "", match[3]])

    return SECTION.sub(section, text)


def judged(results: Path) -> list[dict[str, Any]]:
    """Return the newest results of trained recipes."""
    found: list[dict[str, Any]] = (newest(results, "scores") or {}).get("scores", [])
    return found


def protocol(results: Path) -> Iterator[str]:
    """Yield on which machine the recipes were trained, and by what they were judged."""
    found = newest(results, "scores")
    if found is None:
        yield "Not measured yet: run `python benchmarks/scores.py`."
        return
    yield from _machines(found["machines"])


def newest(results: Path, kind: str) -> dict[str, Any] | None:
    """Return the newest results of a kind, each part with the machine of its own; those of --quick mean nothing."""
    paths = [path for path in results.glob(f"{kind}-*.json") if not path.stem.endswith("-quick")]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    merged: dict[str, Any] = {}
    for one in sorted(found, key=lambda one: str(one["machine"]["date"])):
        parts = {name: value for name, value in one.items() if name not in ("machine", "quick")}
        merged |= parts | {"machines": merged.get("machines", {}) | dict.fromkeys(parts, one["machine"])}
    return merged or None


def cpu(results: Path) -> Iterator[str]:
    """Yield the lines of the CPU's section."""
    found = newest(results, "cpu")
    if found is None:
        yield "Not measured yet: run `python benchmarks/cpu.py`."
        return
    yield from _machines(found["machines"])
    yield from _gate(found.get("gate", []))
    for comparison in found.get("comparisons", []):
        yield from _comparison(comparison)
    for comparison in found.get("busy", []):
        yield from _comparison(comparison)
    for one in found.get("whole", []):
        yield from _whole(one)
    if inference := found.get("inference"):
        yield from _inference(inference)
    if startup := found.get("startup"):
        yield from _startup(startup)
    if scaling := found.get("scaling"):
        yield from _scaling(scaling)


def gpu(results: Path) -> Iterator[str]:
    """Yield the lines of the GPU's section."""
    found = newest(results, "gpu")
    if found is None:
        yield "Not measured yet: run `python benchmarks/gpu.py` on a machine with a CUDA device."
        return
    yield from _machines(found["machines"])
    yield from _gate(found["gate"])
    device = found["device"]
    peaks = {name.removesuffix("_flops"): value for name, value in device.items() if name.endswith("_flops")}
    measured = [f"{name} {value / 1e12:,.0f} TFLOP/s" for name, value in peaks.items()]
    yield from ("", f"Measured peaks: {', '.join(measured)}, memory {device['bytes_per_second'] / 1e12:.1f} TB/s.")
    for comparison in found["comparisons"]:
        yield from _gpu_comparison(comparison)
    curves = found["curves"]
    textbook = "; ".join(", ".join(f"{value:.2f}" for value in seed) for seed in curves["textbook"])
    verdict = "inside" if curves["inside"] else "OUTSIDE"
    yield from (
        "",
        f"Mean losses of discriminator and generator over the second half of {curves['iterations']} iterations: ganlab "
        f"{', '.join(f'{value:.2f}' for value in curves['ganlab'])}, the textbook with three seeds {textbook}. That is "
        f"{verdict} their range, widened by itself on both sides.",
    )
    yield from _titled(
        "Batch sizes (G-fast)",
        ("pixels", "batch", "images/s", "ms an iteration"),
        [
            (one["resolution"], one["value"], _n(one["images_per_second"]), _n(one["milliseconds"]))
            for one in found["batch_size"]
        ],
    )
    yield from _titled(
        "Whole runs: `ganlab run` on JPEG files",
        ("pixels", "iterations", "pictures", "images/s of the loop", "seconds in all", "images/s in all"),
        [
            (
                one["resolution"],
                _n(one["iterations"]),
                "packed before" if one["packed"] else "packed first",
                _n(one["images_per_second"]),
                _n(one["process_seconds"]),
                _n(one["images_per_second_of_process"]),
            )
            for one in found["runs"]
        ],
    )
    if whole := found.get("celeba"):
        yield from (
            "",
            f"`ganlab run dcgan_celeba`, the recipe of CelebA whole, on {whole['faces']:,} made-up faces of CelebA's "
            f"size: {whole['images']:,} images in {_n(whole['process_seconds'])} s, packing, snapshots and start "
            f"included; {_n(whole['images_per_second'])} images/s once it trained.",
        )
    if inference := found.get("inference"):
        yield from _inference(inference)


def _of_set(name: str) -> Callable[[Path], Iterator[str]]:
    return lambda results: judged_recipes.section(judged(results), name)


PARTS: dict[str, Callable[[Path], Iterator[str]]] = {
    "cpu": cpu,
    "gpu": gpu,
    "protocol": protocol,
    **{name: _of_set(name) for name in PICTURES},
}


def _machines(machines: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield where and when it was measured, once for all parts that were measured together."""
    runs: dict[str, list[str]] = {}
    for part, machine in machines.items():
        runs.setdefault(json.dumps(machine, sort_keys=True), []).append(part)
    for described, parts in runs.items():
        if len(runs) > 1:
            yield from (f"Measured together: {', '.join(parts)}.", "")
        yield from _machine(json.loads(described))
        yield ""


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    about = {
        "date": machine["date"],
        "command": f"`{machine['command']}` ({machine['minutes']:.0f} min)",
        "processor": machine["processor"],
        "host": f"{machine['cores']} cores of {machine['cpu']} ({machine['cpu_capability']})",
        "memory": f"{machine['memory_gib']} GiB",
        "software": f"{machine['system']}, Python {machine['python']}, {packages}",
        "commit": f"`{machine['commit']}`",
    }
    yield from (f"| {name} | {value} |" for name, value in about.items())


def _gate(gates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = []
    for one in gates:
        setting, median, worst = one["setting"], one["median"], one["worst"]
        networks = f"{setting['resolution']} px, {setting['channels']} channels, {setting['width']} wide"
        apart = [f"{median[part]:.0e} ({worst[part]:.0e})" for part in ("losses", "gradients", "weights")]
        rows.append((networks, one["precision"], one["iterations"], *apart, "passed" if one["passed"] else "FAILED"))
    head = ("networks", "precision", "iterations", "losses", "gradients", "weights", "gate")
    yield from _titled("Correctness: median and worst relative difference", head, rows)


def _comparison(comparison: Mapping[str, Any]) -> Iterator[str]:
    setting, rows = comparison["setting"], []
    ratios = {one["leg"]: one for one in comparison["ratios"]}
    for name in dict.fromkeys(one["leg"] for one in comparison["legs"]):
        legs = [one for one in comparison["legs"] if one["leg"] == name]
        seconds = _median(legs, "seconds")
        rows.append(
            (
                name,
                f"{_median(legs, 'images_per_second'):.1f}",
                _n(1e3 * seconds),
                "" if name == "G-bf16" else f"{comparison['floor_seconds'] / seconds:.0%}",
                _n(_median(legs, "minor_faults")),
                *_ratio(ratios.get(name)),
            )
        )
    yield from _titled(
        f"DCGAN, {comparison['title']}, batches of {setting['batch_size']}",
        (
            "leg",
            "images/s",
            "ms an iteration",
            "of the floor",
            "page faults",
            "against the textbook",
            "least to least",
            "pairs",
        ),
        rows,
    )
    floor = comparison["floor_seconds"]
    yield from (
        "",
        f"The floor is {_n(1e3 * floor)} ms: {_n(comparison['flops'] / 1e9)} GFLOP at the "
        f"{_n(comparison['peak_flops'] / 1e9)} GFLOP/s that the machine was measured to reach.",
    )
    if (first := comparison["first_run_seconds"]) is not None:
        later = _median([one for one in comparison["legs"] if one["leg"] == "G-e2e"], "process_seconds")
        yield from (
            "",
            f"ganlab's whole process took {_n(first)} s the first time, when it packs, and {_n(later)} s later.",
        )


def _gpu_comparison(comparison: Mapping[str, Any]) -> Iterator[str]:
    ratios: dict[str, dict[str, Any]] = {one["leg"]: one for one in comparison["ratios"] if one["base"] == "R-mem"}
    rows = []
    for name, about in comparison["about"].items():
        legs = [one for one in comparison["legs"] if one["leg"] == name]
        seconds = _median(legs, "seconds")
        rows.append(
            (
                name,
                _n(_median(legs, "images_per_second")),
                f"{1e3 * seconds:.3f}",
                *(_n(1e3 * _median(legs, key)) if legs[0][key] else "" for key in ("device_seconds", "host_seconds")),
                _n(about["kernels"]) if about["kernels"] else "",
                f"{about['floor_seconds'] / seconds:.0%}" if about["floor_seconds"] else "",
                f"{about['warm_seconds']:.1f}",
                _ratio(ratios.get(name))[0],
            )
        )
    yield from _titled(
        f"DCGAN, {comparison['title']}, batches of {comparison['setting']['batch_size']}",
        (
            "leg",
            "images/s",
            "ms",
            "ms by events",
            "ms of the host",
            "kernels",
            "of the floor",
            "s to warm",
            "against R-mem",
        ),
        rows,
    )
    for name, about in comparison["about"].items():
        yield from (line for note in about["notes"] for line in ("", f"{name}: {note}."))
    for one in comparison["ratios"]:
        if one["base"] == "R-e2e":
            yield from ("", f"{one['leg']} against R-e2e: {_ratio(one)[0]}.")


def _whole(found: Mapping[str, Any]) -> Iterator[str]:
    ratios = {one["leg"]: one for one in found["ratios"]}
    rows = []
    for name in dict.fromkeys(one["leg"] for one in found["legs"]):
        legs = [one for one in found["legs"] if one["leg"] == name]
        memory = _n(_median(legs, "peak_bytes") / 1e6)
        rows.append((name, f"{_median(legs, 'seconds'):.0f}", memory, *_ratio(ratios.get(name))))
    yield from _titled(
        f"Whole processes: {found['iterations']} iterations at {found['resolution']} px, RGB, batches of 64",
        ("process", "seconds", "MB at most", "against the textbook", "least to least", "pairs"),
        rows,
    )


def _inference(batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows, device = [], ""
    for batch in batches:
        device = next(
            (f" on {one['device']}" for one in batch["legs"] if one["leg"] != "torch" and "device" in one), ""
        )
        for ratio in (None, *batch["ratios"]):
            name, base = ("torch", "") if ratio is None else (ratio["leg"], ratio["base"])
            seconds = _median([one for one in batch["legs"] if one["leg"] == name], "seconds")
            rows.append((batch["batch_size"], name, _n(1e3 * seconds), base, *_ratio(ratio)))
    yield from _titled(
        f"The generator, 64 px: torch against onnxruntime{device}",
        ("batch", "computed by", "ms", "against", "times as fast", "least to least", "pairs"),
        rows,
    )


def _startup(startup: Mapping[str, Any]) -> Iterator[str]:
    rows = [(f"`{name}`", _seconds(value)) for name, value in startup["commands"].items()]
    rows += [
        ("`ganlab run quickstart` to its first iteration, packed before", _seconds(startup["first_iteration"])),
        ("the same, packing first", f"{startup['first_iteration_with_packing']:.2f}"),
    ]
    yield from _titled("Start-up", ("command", "seconds (least to most)"), rows)
    yield from _titled(
        "What a run imports",
        ("package", "seconds, its own modules"),
        [(name, f"{value:.2f}") for name, value in startup["imports"].items()],
    )


def _scaling(scaling: Mapping[str, Any]) -> Iterator[str]:
    yield from _titled(
        "Number of pictures (32 px, networks 8 wide)",
        ("pictures", "seconds to pack", "seconds an epoch"),
        [
            (_n(one["value"]), f"{one['packing_seconds']:.1f}", f"{one['epoch_seconds']:.2f}")
            for one in scaling["pictures"]
        ],
    )
    for key, title, column in (
        ("resolution", "Picture size (batches of 16)", "pixels"),
        ("batch_size", "Batch size (32 px)", "batch"),
    ):
        rows = [(one["value"], _n(one["milliseconds"]), _n(one["images_per_second"])) for one in scaling[key]]
        yield from _titled(title, (column, "ms an iteration", "images/s"), rows)
    yield from _titled(
        "Ranks (32 px, batches of 64)",
        ("ranks", "threads each", "images/s"),
        [(one["ranks"], one["threads"], _n(one["images_per_second"])) for one in scaling["ranks"]],
    )


def _titled(title: str, head: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
        yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _ratio(one: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Return the ratio of pairs with its ends, that of the least times, and how many pairs there were."""
    if one is None:
        return "1", "", ""
    disturbed = f", {one['disturbed']} disturbed" if one["disturbed"] else ""
    ends = f"{one['lowest']:.2f} to {one['highest']:.2f}"
    return f"**{one['median']:.2f}x** ({ends})", f"{one['least_to_least']:.2f}x", f"{one['pairs']}{disturbed}"


def _median(legs: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.median(one[key] for one in legs)


def _seconds(value: Mapping[str, float]) -> str:
    return f"{value['median']:.2f} ({value['lowest']:.2f} to {value['highest']:.2f})"


def _n(value: float | None) -> str:
    """Write a number with three digits or more."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()

"""log.txt, as its reader sees it."""

from __future__ import annotations

import re
from pathlib import Path

from standard.observers.events import REALS, a_run, a_tick, watched

from ganlab.standard.observers.log import Log


def test_log_tells_everything_with_its_time_over_all_continuations(tmp_path: Path) -> None:
    for first in (0, 10):
        run, host = a_run(tmp_path, first), watched(Log())
        host.phase("packing", 3, 9)
        host.phase("packing", 9, 9)
        host.note("one\x1b[31m bad picture\nof many", "warning")
        host.run_start(run, REALS)
        host.tick(run, a_tick(first + 10, loss=0.5))
        host.run_end(run, "interrupted")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    before = [  # what was said before the run had a directory comes first
        "packing: 9 in 0 s",
        r"warning: one\x1b[31m bad picture",
        "of many",
        f"faces in {tmp_path}",
        "5,120 pictures of 8x8x3; cpu, fp32",
        "parameters: generator 3,576,704, discriminator 2,765,568",
    ]
    assert [line[21:] for line in lines] == [
        *before,
        "epoch 0.25/25  iteration 10  1,234 images/s  1 min 39 s left  loss 0.500",
        "interrupted",
        *before,
        "continues after iteration 10",
        "epoch 0.50/25  iteration 20  1,234 images/s  1 min 38 s left  loss 0.500",
        "interrupted",
    ]

"""A dataset as one array of pixels: taken from the cache, or decoded by all cores and kept there."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from contextlib import closing
from functools import partial
from itertools import islice

from ganlab.data import cache, storage
from ganlab.data.chunks import Chunk
from ganlab.data.classes import class_names
from ganlab.data.decode import Target, target_of
from ganlab.data.findings import Findings
from ganlab.data.storage import Packed as Packed
from ganlab.data.workers import Workers
from ganlab.durable import replacing_file
from ganlab.errors import DataError
from ganlab.hardware.cores import available_cores
from ganlab.interfaces import Dataset, Source, image_spec
from ganlab.messages import listed, printable, quoted

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is, 0 where that is not known."""

REPORT_SECONDS = 0.2
CHUNK_PICTURES = 32
"""The most pictures of one task: few, so that Ctrl-C is quick even among large photographs."""
CHUNK_BYTES = 4 << 20
"""The most bytes of one task's result, so that memory is bounded at any resolution."""
SETTLING = 4
"""How often files that are just changing are looked at again."""
LISTED = 10
"""How many bad pictures an error names."""
PACE_SECONDS = 0.5
"""After how long the pace of packing is known."""
LONG_SECONDS = 3.0
"""From how much longer on processes are started: each imports numpy and PIL first, which takes a second of a core."""
BUSY_CORES = 2
"""How many cores threads keep busy with small pictures, however many there are: on no more, processes only cost."""


def pack(dataset: Dataset, name: str, report: Report, processes: int | None = None) -> Packed:
    """Return the packed pictures: from the cache when sources and options are unchanged, else built.

    `name` is the dataset's in messages; `report` is called a few times a second. So many `processes` decode, where
    the source can be read by others; by default one a core, once it turns out to take long. Raise `DataError`
    where there are no pictures or bad ones, `RunError` where the disk refuses or a process is killed.
    """
    images = image_spec(dataset)
    place = cache.place(dataset, name)
    try:
        return storage.read(place.path, images, place.sources)
    except storage.UnusableError:
        search = f"looking for the pictures of {name}"
        report(search, 0, 0)
    source, place = _settled(dataset, name, place)
    report(search, len(source), len(source))
    images = images._replace(classes=source.classes)
    names = class_names(source, name)
    pause = f"waiting for another process that packs {name}"
    with cache.locked(place.path, partial(report, pause, 0, 0)) as waited:
        if waited:
            report(pause, 1, 1)
        try:
            return storage.read(place.path, images, place.sources)  # what that process has just packed
        except storage.UnusableError as reason:
            work = f"packing {name}" + ("" if isinstance(reason, storage.NotPackedError) else f" again ({reason})")
        cache.prepare(place.path, storage.size_bytes(len(source), images), name)
        progress = _Progress(report, work, len(source))
        with replacing_file(place.path) as temporary, temporary.open("wb") as file:
            _build(source, dataset, name, names, storage.Writer(file, images), place.sources, progress, processes)
        progress.end()
        return storage.read(place.path, images, place.sources)


def _settled(dataset: Dataset, name: str, place: cache.Place) -> tuple[Source, cache.Place]:
    """Open the dataset until its sources are the same before and after: a download or a copy changes them."""
    for _ in range(SETTLING):
        source = _opened(dataset, name)
        before, place = place, cache.place(dataset, name)
        if place == before:
            return source, place
    raise DataError(f'the files of dataset "{name}" keep changing; start again when nothing writes to them any more')


def _opened(dataset: Dataset, name: str) -> Source:
    source: object = dataset.open()
    if not isinstance(source, Source):
        raise DataError(
            f'dataset "{name}" opens a {type(source).__name__}, which has no length to rely on; '
            "it must open a ganlab.Source, which says how many pictures there are"
        )
    if len(source) == 0:
        raise DataError(f'dataset "{name}" has no pictures')
    return source


def _build(
    source: Source,
    dataset: Dataset,
    name: str,
    names: Sequence[str],
    writer: storage.Writer,
    sources: str,
    progress: _Progress,
    processes: int | None,
) -> None:
    """Decode all pictures and write them in the order of the source."""
    bad: list[tuple[str, str]] = []
    lost: set[int] = set()
    findings = Findings()
    with warnings.catch_warnings():
        # What PIL warns of either makes a picture bad, and is then reported here, or does no harm.
        warnings.filterwarnings("ignore", module="PIL")
        with closing(_chunks(source, target_of(dataset, source.box), name, progress, processes)) as chunks:
            for chunk in chunks:
                writer.add(chunk.pixels, chunk.labels)
                bad += chunk.bad
                lost.update(chunk.lost)
                findings.add(chunk.findings)
                progress.advance(chunk.taken)
    if len(bad) == len(source) or (bad and dataset.on_bad == "error"):
        raise DataError(_bad_pictures(bad, len(source), name))
    gone = writer.leave_out(lost)
    warned = [*source.warnings, *findings.sentences()]
    if gone:
        which = listed([quoted(names[number]) for number in sorted(gone)])
        warned.append(f"classes of which all pictures were left out do not count: {which}; the others are renumbered")
    kept = [called for number, called in enumerate(names) if number not in gone]
    writer.finish(bad, list(source.remarks), warned, sources, kept)


def _chunks(
    source: Source, target: Target, name: str, progress: _Progress, processes: int | None
) -> Generator[Chunk, None, None]:
    """Yield the pictures in the order of the source, decoded by all cores."""
    step = max(1, min(CHUNK_PICTURES, CHUNK_BYTES // (target.channels * target.height * target.width)))
    spans = (range(start, min(start + step, len(source))) for start in range(0, len(source), step))
    threads = processes or available_cores()
    with closing(Workers(source, target, name)) as workers:
        if processes:
            workers.start(processes)
        pool = futures.ThreadPoolExecutor(threads, "ganlab-packing")
        try:
            # A bounded number of chunks is under way, so a slow disk or a large picture cannot fill the memory.
            waiting = deque(pool.submit(workers.decode, span) for span in islice(spans, 2 * threads))
            while waiting:
                while not futures.wait([waiting[0]], REPORT_SECONDS).done:
                    progress.beat()
                chunk = waiting.popleft().result()
                waiting.extend(pool.submit(workers.decode, span) for span in islice(spans, 1))
                yield chunk
                if processes is None and threads > BUSY_CORES and progress.seconds_left() > LONG_SECONDS:
                    workers.start(threads)
        finally:
            workers.stop()  # what the threads wait for, so that Ctrl-C is quick
            pool.shutdown(cancel_futures=True)


def _bad_pictures(bad: list[tuple[str, str]], total: int, name: str) -> str:
    head = f'{len(bad):,} of the {total:,} pictures of dataset "{name}" cannot be used:'
    lines = [f"  {printable(picture)}: {printable(reason)}" for picture, reason in bad[:LISTED]]
    rest = [f"  and {len(bad) - LISTED:,} more"] if len(bad) > LISTED else []
    remedy = "repair or remove them"
    if len(bad) < total:
        remedy += ', or set dataset.on_bad = "skip" to leave them out'
    return "\n".join([head, *lines, *rest, remedy])


class _Progress:
    """Reports how much of a piece of work is done, not more often than a person can read."""

    def __init__(self, report: Report, work: str, total: int) -> None:
        self._report, self._work, self._total = report, work, total
        self._done, self._reported = 0, time.monotonic()
        self._began = self._reported
        report(work, 0, total)

    def advance(self, count: int) -> None:
        self._done += count
        self.beat()

    def beat(self) -> None:
        now = time.monotonic()
        if self._done < self._total and now - self._reported >= REPORT_SECONDS:
            self._report(self._work, self._done, self._total)
            self._reported = now

    def seconds_left(self) -> float:
        """Return how long the rest takes at the pace so far: 0 as long as that is not known."""
        passed = time.monotonic() - self._began
        return passed * (self._total - self._done) / self._done if passed >= PACE_SECONDS and self._done else 0.0

    def end(self) -> None:
        self._report(self._work, self._total, self._total)

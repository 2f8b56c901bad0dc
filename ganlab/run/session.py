"""One process's share of a run: it continues or begins, and does what the trainer's callbacks ask for."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganlab.errors import GanlabError, Interrupted, LostRankError, NonFiniteError, RunError
from ganlab.events import Finding, Reason, Snapshot, Tick
from ganlab.hardware.memory import memory_errors
from ganlab.messages import counted, one_line, printable
from ganlab.recipe.ancestry import descent_of
from ganlab.run.description import Description
from ganlab.run.directory import Held, RunDirectory, enter_in_index
from ganlab.run.last_words import signal_name
from ganlab.run.observers import Observers
from ganlab.run.owed import is_owed, owe, settle
from ganlab.run.resume import compare_pictures, notes_of_extension, refuse_changes
from ganlab.run.signals import Interruption
from ganlab.run.standing import begin_session, end_session, forget_score_after, write_score
from ganlab.training.checkpoint import Checkpoint, Manifest, read_checkpoint
from ganlab.training.saver import Saver

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganlab.events import Pictures
    from ganlab.generator.metadata import Metadata
    from ganlab.health.watch import Watch
    from ganlab.run.scores import Scoring
    from ganlab.training.trainer import Trainer

ROLLBACKS = 3
"""How often a run may go back to a checkpoint before it gives up."""


class Session:
    """One process's share of a run: its trainer in a directory, and what the trainer's callbacks do there."""

    def __init__(
        self,
        trainer: Trainer,
        observers: Observers,
        interruption: Interruption,
        scoring: Scoring | None = None,
        crowded: str | None = None,
    ) -> None:
        """`scoring` judges the generator; it is rank 0's. `crowded` says what others take of the cores, if too much."""
        self.trainer, self.observers, self.interruption = trainer, observers, interruption
        self.recipe, self.state, self.plan = trainer.recipe, trainer.state, trainer.plan
        self.packed, self.ranks, self.device = trainer.packed, trainer.ranks, trainer.device
        self._description = Description(trainer)
        self._watch: Watch | None = None
        self._scoring, self._crowded = scoring, crowded
        self.out_of_patience = False
        """Whether no generator has been better for so long that the training ends."""
        self._owed = False
        """Whether the snapshot of this iteration is still to be made, because a signal has broken it off."""
        self._at: Literal["iteration", "snapshot", "evaluation", "end"] = "iteration"

    @property
    def work(self) -> str:
        """What the run is at, in words for people."""
        done = self.state.iteration
        if self._at == "iteration":
            return f"iteration {done + 1:,}"
        return f"the {self._at} after iteration {done:,}"

    def stopping(self, again: str) -> str:
        """Return what a signal leads to now, and what it would do `again`."""
        if self._at == "end":
            return f"the run is ending by itself; {again} to leave out what it still writes"
        if self._at == "snapshot" and not self.state.iteration:
            return f"stopping in this snapshot, before the first iteration; {again} to end at once"
        here = "after this iteration" if self._at == "iteration" else f"in this {self._at}"
        if self._at == "iteration" and not self.ranks.alone:
            here = "after the next tick, which all ranks reach together"
        return f"stopping {here}, then saving; {again} to lose what is not saved"

    def kept(self) -> str:
        """Return what of the run is there where its process ends at once, and how to go on."""
        directory = self.directory.path
        place = printable(str(directory))
        iteration = self._saver.saved
        saved = "no checkpoint is" if iteration is None else f"the checkpoint of iteration {iteration:,} is"
        return f"{saved} in {place}\ngo on with: {self.interruption.words.go_on(directory)}"

    def run(self, directory: RunDirectory, held: Held | None = None) -> bool:
        """Train to the end in `directory`, which is followed where it is `held`; return whether anything was left."""
        self.directory, self._held = directory, held
        behind = self.device.type == "cuda" and self.ranks.alone  # several ranks end together, so none may end later
        self._saver = Saver(directory.checkpoints, self.recipe.snapshot.keep, self._warn, behind)
        self.observers.excused = lambda: held is not None and held.is_gone(self.directory.path)
        with self.ranks.work_of_first() as mine:
            if mine:
                directory.sweep(self._warn)
        checkpoint = self._newest_checkpoint()
        if checkpoint is not None:
            refuse_changes(self.recipe, checkpoint.manifest, directory.path)
            self._note_differences(checkpoint.manifest)
            checkpoint.restore(self.state, self.ranks)
            self._owed = self.ranks.any(self.ranks.first and is_owed(directory, self.state.iteration))
            self._take_up_scores()
            if (self.plan.done(self.state) or self.out_of_patience) and not self._owed:
                with self.ranks.work_of_first() as mine:
                    if mine:  # the run may have been killed when the last checkpoint was there and the old ones, too
                        self._saver.delete_old()
                        self._note_end("finished")
                return False
        if self._crowded is not None:
            self._warn(f"{self._crowded}: the training will be slower than on an idle machine")
        with self.ranks.work_of_first() as mine:
            if mine:
                file = self.recipe.file
                of_its_own = file is not None and file == directory.recipe.absolute()
                begin_session(directory, self.recipe.overrides, of_its_own, descent_of(self.recipe))
                forget_score_after(directory, self.state.iteration)
                if checkpoint is None:
                    self._enter_in_index()
                self._description.write(self.directory)
                directory.delete_error()  # of an attempt before this one
        from ganlab.data.storage import Verification

        self.info = self._description.info(self.directory)
        self._pictures = Verification(self.packed)
        reason: Reason = "failed"
        self.interruption.defer()
        if self.ranks.first:
            self.interruption.words.stopping, self.interruption.words.kept = self.stopping, self.kept
        self.observers.run_start(self.info, self._description.reals())
        self._begin_watch()
        finished = False
        try:
            if checkpoint is None or self._owed:
                with memory_errors(lambda: self._description.out_of_memory(self.directory)):
                    self._snapshot()
            if not self._owed and not self.ranks.any(self._stop_requested()):
                finished = self._train() and not self._owed
            if not finished and self.state.iteration:
                self.state.refuse_non_finite(self.ranks)
                self._save()
            with self.ranks.work_of_first() as mine:
                if mine:
                    self._saver.wait()
                    self._follow()
            reason = "finished" if finished else "interrupted"
        finally:
            self._saver.close()
            self._at = "end"
            self.observers.run_end(self.info, reason)
            # A second Ctrl-C is no failure: it leaves what a kill leaves.
            if self.ranks.first and isinstance(sys.exception(), Exception | None):
                self._note_end(reason)
        if not finished:
            self._raise_interrupted()
        return True

    def _enter_in_index(self) -> None:
        recipe = self.recipe
        enter_in_index(self.directory, recipe.name, self._warn, recipe.file, recipe.overrides)

    def _note_end(self, reason: Reason) -> None:
        """Note how the run has ended; what has just gone wrong is the news, and not that this cannot be noted."""
        with suppress(RunError):
            end_session(self.directory, reason)

    def _follow(self) -> None:
        """Go on in the run's directory where somebody has moved it. Raise `RunError` where it is gone."""
        before = self.directory.path
        if self._held is None or (now := self._held.moved_from(before)) is None:
            return
        self.directory = RunDirectory(now)
        self._saver.move_to(self.directory.checkpoints)
        self._enter_in_index()
        self.info = self._description.info(self.directory)
        self.observers.run_start(self.info, self._description.reals())
        self._warn(f"the run's directory was moved from {before} to {now}; the run goes on there")

    def _train(self) -> bool:
        """Run the loop, and again from the last checkpoint where the recipe allows it; return whether it ended."""
        from ganlab.training.ticks import Callbacks

        callbacks = Callbacks(
            self._tick, self._snapshot, self.observers.note, lambda: self._stop_requested() or self.out_of_patience
        )
        while not self.out_of_patience:
            try:
                with memory_errors(lambda: self._description.out_of_memory(self.directory)):
                    return self.trainer.run(callbacks) or self.out_of_patience
            except NonFiniteError as error:
                if self.recipe.train.on_nonfinite == "stop":
                    raise
                self._roll_back(error)
            except LostRankError as error:
                raise LostRankError(error.what, error.remedy, error.ended, self.state.iteration) from error
        return True

    def _newest_checkpoint(self) -> Checkpoint | None:
        """Return the newest intact checkpoint; rank 0 looks for it and tells the others which one it is."""
        found = None
        with self.ranks.work_of_first() as mine:
            if mine:
                found = self._saver.newest()
        place = self.ranks.text_of_first(str(found.path) if found is not None else "")
        if found is None and place:
            path = Path(place)
            if not path.is_dir():
                raise GanlabError(f"{path} is there for rank 0 alone; all machines must share the run's directory")
            found = read_checkpoint(path)
        return found

    def _roll_back(self, error: NonFiniteError) -> None:
        rollbacks = self.state.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise RunError(
                f"{error.sentence}, after {ROLLBACKS} rollbacks; nothing was saved after that. Start a new run with a "
                'lower optimizer.lr or train.precision = "fp32"'
            ) from error
        checkpoint = self._newest_checkpoint()
        if checkpoint is None:
            raise error
        checkpoint.restore(self.state, self.ranks)
        self.state.rollbacks = rollbacks
        self.observers.note(
            f"{error.sentence}; going on from iteration "
            f"{self.state.iteration} with other random numbers (rollback {rollbacks} of {ROLLBACKS})",
            "warning",
        )
        self.info = self._description.info(self.directory)
        self.observers.run_start(self.info, self._description.reals())
        self._begin_watch()

    def _begin_watch(self) -> None:
        """Begin to look for what goes wrong, if anybody hears of it; go on from what was found before."""
        if not self.observers.hear("finding"):
            return
        from ganlab.run.watching import take_up, watch_over

        self._watch = watch_over(self.recipe, self.packed, self._description.reals())
        if self.state.iteration:
            take_up(self._watch, self.directory.path, self.recipe, self.packed.spec, self.state.iteration)

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.observers.finding(self.info, finding)

    def _tick(self, tick: Tick) -> None:
        self._follow()
        self._saver.look()
        self.observers.tick(self.info, tick)
        if self._watch is not None:
            self._tell(self._watch.tick(tick))

    def _snapshot(self) -> None:
        self._at = "snapshot"
        try:
            self._take_snapshot()
        finally:
            self._at = "iteration"

    def _take_snapshot(self) -> None:
        from ganlab.training.sampling import BrokenOffError, draw_samples, shipped_generator
        from ganlab.training.state import buffer_rows

        recipe, state, images = self.recipe, self.state, self.packed.spec
        if state.iteration:  # the first one shows weights that have seen no picture
            self._pictures.wait()
        state.refuse_non_finite(self.ranks)
        rows = buffer_rows(state, self.ranks)
        broken_off = False
        with self.ranks.work_of_first() as mine:
            if mine:
                self._follow()
                try:
                    generator = shipped_generator(
                        recipe, state, rows.mean(0), images, self.device, self._stop_requested
                    )
                    samples = draw_samples(recipe, generator, images, self.device, self._stop_requested)
                    self._write_snapshot(generator, samples, rows)
                except BrokenOffError:
                    broken_off = True
        self._owed = self.ranks.any(broken_off)
        self._lose_patience()

    def _write_snapshot(self, generator: nn.Module, samples: Pictures, rows: Tensor) -> None:
        from ganlab.generator.file import write_generator
        from ganlab.training.sampling import sample_columns, sample_rows

        state = self.state
        # The checkpoint comes last: once it is there, everything else of this moment is there too.
        about = self._description.metadata(generator)
        write_generator(self.directory.generator, generator, about)
        if self.plan.keeps_generator(state):
            self.directory.keep_generator(state.iteration)
        snapshot = Snapshot(
            state.iteration,
            self.plan.images(state),
            self.plan.epoch(state),
            samples,
            sample_columns(self.recipe, self.packed.spec),
            sample_rows(self.recipe, self.packed.spec, self.packed.class_names),
        )
        self.observers.snapshot(self.info, snapshot)
        if self._watch is not None:
            self._tell(self._watch.snapshot(snapshot))
        judged = self._scoring is not None and self._scoring.is_due(state)
        if judged:  # noted first: a checkpoint of a generator that was not judged must not be there without it
            owe(self.directory, state.iteration)
        self._write_checkpoint(rows)
        if judged:
            self._judge(generator, about)
        if self._owed or judged:
            settle(self.directory)

    def _judge(self, generator: nn.Module, about: Metadata) -> None:
        """Judge the generator that was just written. A signal breaks it off, and it is judged when the run goes on."""
        from ganlab.training.sampling import BrokenOffError

        def report(work: str, done: int, total: int) -> None:
            if self._stop_requested():
                raise BrokenOffError

        assert self._scoring is not None
        self._at = "evaluation"
        scores = self._scoring.judge(self.directory, self.state, report)
        self._follow()  # it may have been moved meanwhile
        if scores.best:
            self._scoring.keep(self.directory, generator, about, scores, self.state)
        if (last := self._scoring.last(scores)) is not None:
            write_score(self.directory, last)
        self.observers.scored(self.info, scores)
        if self._watch is not None:
            self._tell(self._watch.scored(scores))

    def _take_up_scores(self) -> None:
        """Go on with the best score so far, and with the patience that is left."""
        with self.ranks.work_of_first() as mine:
            if mine and self._scoring is not None:
                self._scoring.take_up(self.directory)
        self._lose_patience()

    def _lose_patience(self) -> None:
        """Look whether the training ends because no generator has been better for long; all ranks learn it."""
        over = self._scoring is not None and self._scoring.patience_is_over(self.state)
        self.out_of_patience = self.ranks.any(over) and not self._owed
        wanted = self.recipe.evaluate
        if self.out_of_patience and wanted is not None:
            self.observers.note(
                f"no better {wanted.best} in {counted(wanted.patience or 0, 'evaluation')}: the training has ended; "
                f"{self.directory.best.name} is the best generator, and a larger evaluate.patience trains on"
            )

    def _stop_requested(self) -> bool:
        return self.interruption.received is not None

    def _save(self) -> None:
        from ganlab.training.state import buffer_rows

        self._pictures.wait()
        rows = buffer_rows(self.state, self.ranks)
        with self.ranks.work_of_first() as mine:
            if mine:
                self._follow()
                if self._owed:  # noted first: a checkpoint of which nothing is missing must not be there before
                    owe(self.directory, self.state.iteration)
                self._write_checkpoint(rows)

    def _write_checkpoint(self, rows: Tensor) -> None:
        self._saver.save(self.state, rows, self._description.provenance())

    def _warn(self, text: str) -> None:
        self.observers.note(text, "warning")

    def _note_differences(self, manifest: Manifest) -> None:
        """Say what keeps a continued run from giving the very bits that an undisturbed one would have given."""
        there, here = manifest.provenance, self._description.provenance()
        compare_pictures(self.recipe, manifest, self.directory.path, here.data)
        before, now = (
            {**one.versions, "threads": one.threads, "device": one.device, "ranks": one.ranks} for one in (there, here)
        )
        for name in now:
            if before.get(name, now[name]) != now[name]:
                self._warn(
                    f"the run was begun with {name} {one_line(str(before[name]))} and goes on with {now[name]}: "
                    f"same data and order, but not the same bits"
                )
        for extension in notes_of_extension(self.recipe, manifest, self.trainer.batches.per_epoch):
            self._warn(extension)

    def _raise_interrupted(self) -> None:
        # A signal may have reached one rank only; all end with it.
        received = signal.Signals(int(self.ranks.largest(self.interruption.received or 0)))
        self.interruption.received = received  # what torchrun sends from now on is an echo here too
        path, iteration = self.directory.path, self.state.iteration
        if not iteration:
            place = "before the training began; nothing is lost"
        else:
            owed = "; its snapshot was broken off and is made when the run goes on" if self._owed else ""
            place = f"at iteration {iteration}; everything is saved in {path}{owed}"
        raise Interrupted(f"stopped by {signal_name(received)} {place}", int(received), path)

"""Works on a sweep: makes trials, starts their runs in processes of their own, and follows them by their folders.

Several of these processes may work on one sweep, on one computer or on many that see the same folder: each trial is
claimed by a lock that its process loses when it dies. Runs that outlive their process are found again and followed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from kdstudio.commands.sweep_search import falls_behind, next_values
from kdstudio.project.queue import MOST_TRIES, progress_mark
from kdstudio.project.runs.control import request
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.sweeps.folder import Sweep
from kdstudio.project.sweeps.trials import (
    Outcome,
    Trial,
    TrialRun,
    Trials,
    curve_of,
    find_trial,
    make_run,
    read_run,
    read_trials,
    say,
)

LOOK_SECONDS = 0.3
PARK_SECONDS = 120.0


@dataclass
class Slot:
    """A trial that this process works on."""

    trial: Trial
    claim: FileLock
    device: str
    process: subprocess.Popen[bytes] | None = None
    tries: dict[str, tuple[str, int]] = field(default_factory=dict)
    epochs_seen: int = 0


class SweepWorker:
    """Works until no trial is left.

    Args:
        sweep: The sweep.
        workers: Trials at once.
        devices: Given to the slots in turn; empty for the experiment's own device.
        threads: Given to `kdstudio run --threads`; empty for PyTorch's own number.
        tell: Called with a line for each thing that happens.
    """

    def __init__(
        self,
        sweep: Sweep,
        workers: int = 1,
        devices: tuple[str, ...] = (),
        threads: str = "",
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.sweep, self.workers, self.devices, self.threads, self.tell = sweep, workers, devices, threads, tell
        self.began = time.time()
        self._slots: list[Slot] = []
        self._left: set[int] = set()
        self._curves: dict[int, list[float]] = {}

    def work(self) -> bool:
        """Works until nothing is left to do. False where it was stopped: what was going is parked."""
        try:
            while True:
                if self.sweep.stop_asked(self.began):
                    self.park()
                    return False
                if not self.turn():
                    return True
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            self.park()
            raise
        finally:
            for slot in self._slots:
                slot.claim.release()

    def turn(self) -> bool:
        """Looks at what is going and starts what may start. False when nothing of it is left to this process."""
        for slot in list(self._slots):
            if not self._look_at(slot):
                slot.claim.release()
                self._slots.remove(slot)
        while len(self._slots) < self.workers:
            slot_or_none = self._take()
            if slot_or_none is None:
                break
            self._slots.append(slot_or_none)
        return bool(self._slots)

    def park(self) -> None:
        """Asks the runs that are going to park, and waits until they have."""
        for slot in self._slots:
            for run in self._fresh(slot).runs:
                if run.status.active:
                    request(run.run, "park")
        deadline = time.monotonic() + PARK_SECONDS
        while time.monotonic() < deadline and any(self._is_going(slot) for slot in self._slots):
            time.sleep(LOOK_SECONDS)

    def _is_going(self, slot: Slot) -> bool:
        ours = slot.process is not None and slot.process.poll() is None
        return ours or any(run.status.active for run in self._fresh(slot).runs)

    # -- one trial ---------------------------------------------------------------------------------------------

    def _take(self) -> Slot | None:
        """A trial that nobody works on, or a new one."""
        used = [slot.device for slot in self._slots]
        device = min(self.devices, key=used.count) if self.devices else ""
        with self.sweep.locked():
            trials = read_trials(self.sweep)
            for trial in trials.trials:
                if trial.outcome.over or trial.number in self._left or self._works_on(trial.number):
                    continue
                claim = self._claimed(trial.number)
                if claim is not None:
                    return Slot(trial, claim, device)
            values = next_values(self.sweep.spec, trials)
            if values is None:
                return None
            number = 1 + max((trial.number for trial in trials.trials), default=-1)
            claim = self._claimed(number)
            if claim is None:
                return None
            first = make_run(self.sweep, number, values, self.sweep.spec.seeds[0], device)
            self.tell(f"trial {number}: {words_of(values)}")
            return Slot(Trial(number, values, [first], len(self.sweep.spec.seeds)), claim, device)

    def _works_on(self, number: int) -> bool:
        return any(slot.trial.number == number for slot in self._slots)

    def _claimed(self, number: int) -> FileLock | None:
        claim = self.sweep.claim(number)
        try:
            claim.acquire(timeout=0)
        except Timeout:
            return None
        return claim

    def _fresh(self, slot: Slot) -> Trial:
        runs = [read_run(run.run) for run in slot.trial.runs]
        slot.trial.runs = [run for run in runs if run is not None]
        return slot.trial

    def _look_at(self, slot: Slot) -> bool:
        """Does what comes next for a trial. False when there is nothing more to do for it."""
        if slot.process is not None and slot.process.poll() is not None:
            slot.process = None
        trial = self._fresh(slot)
        if trial.outcome.over and slot.process is None:
            self._tell_end(trial)
            return False
        if trial.outcome is Outcome.RUNNING:
            self._prune(slot, trial)
            return True
        if slot.process is not None:
            return True
        run = next((run for run in trial.runs if run.outcome is Outcome.WAITING), None)
        if run is None:
            run = self._next_seed(slot, trial)
        if run is None:
            return False  # deleted by hand
        if run.status is RunStatus.PARKED and run.run.name in slot.tries:  # by a person, while we followed it
            self.tell(f"trial {trial.number}: {run.run.name} was parked, and is left until the sweep is started again")
            self._left.add(trial.number)
            return False
        self._start(slot, run)
        return True

    def _next_seed(self, slot: Slot, trial: Trial) -> TrialRun | None:
        done = {run.seed for run in trial.runs}
        missing = [seed for seed in self.sweep.spec.seeds if seed not in done]
        if not missing or not trial.runs:
            return None
        with self.sweep.locked():
            run = make_run(self.sweep, trial.number, trial.values, missing[0], slot.device)
        trial.runs.append(run)
        return run

    def _start(self, slot: Slot, run: TrialRun) -> None:
        mark, tries = slot.tries.get(run.run.name, ("", 0))
        now = progress_mark(run.state)
        tries = tries + 1 if mark == now else 1
        if tries > MOST_TRIES:
            say(run.run, given_up=f"it ended {MOST_TRIES} times without a new step; see log.txt")
            return
        slot.tries[run.run.name] = now, tries
        command = [sys.executable, "-m", "kdstudio", "run", str(run.run.path), "--resume", "--quiet"]
        command += ["--threads", self.threads] if self.threads else []
        with run.run.log_path.open("ab") as log:
            slot.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _prune(self, slot: Slot, trial: Trial) -> None:
        """Stops a trial that has fallen behind. Its first training alone decides."""
        first = trial.runs[0]
        if self.sweep.spec.prune == "none" or first.outcome is not Outcome.RUNNING or first.pruned:
            return
        mine = curve_of(first.run, first.state.best_metric)
        if len(mine) <= slot.epochs_seen or len(mine) >= self.sweep.base.train.epochs:
            return
        slot.epochs_seen = len(mine)
        trials = read_trials(self.sweep)
        if falls_behind(self.sweep.spec, trials, trial.number, lambda other: self._curve(other, trials)):
            say(first.run, pruned=True)
            request(first.run, "stop-now")

    def _curve(self, trial: Trial, trials: Trials) -> list[float]:
        if trial.number not in self._curves or not trial.outcome.over:
            self._curves[trial.number] = curve_of(trial.runs[0].run, trials.metric)
        return self._curves[trial.number]

    def _tell_end(self, trial: Trial) -> None:
        trials = read_trials(self.sweep)
        metric, score = trials.metric, find_trial(trials, trial.number).score
        words = f"{metric} {score:.4f} on validation samples" if score is not None else "no score"
        best = trials.best
        mark = ", the best so far" if best is not None and best.number == trial.number else ""
        self.tell(f"trial {trial.number}: {trial.outcome.value}, {words}{mark}")


def words_of(values: dict[str, Any]) -> str:
    """Values as a line of text."""
    return ", ".join(f"{path} = {value}" for path, value in values.items())

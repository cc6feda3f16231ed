"""Trackers of other houses (TensorBoard, W&B, MLflow): they get the metrics of the run folder, from a thread."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import accelerate.tracking
from accelerate.logging import MultiProcessAdapter

from kdstudio.engine.recorder import Recorder
from kdstudio.project.errors import InputError
from kdstudio.project.folder import compact
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.spec import Experiment

logger = logging.getLogger("kdstudio")

#: What each tracker needs: the module, and what pip calls it.
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
#: Of the steps of one write to `metrics.jsonl` (a quarter of a second) so many are handed on, the last among them.
#: Slow steps are all among them; a thousand a second would keep the thread, and so the training, busy.
MOST_STEPS = 25
#: At the end of the process a tracker may take so long for what it has not sent yet.
PATIENCE_SECONDS = 30.0
#: A tracker that lets so many writes wait, those of about half an hour, hangs.
MOST_WAITING = 8000
POSITION_FILE = "position.json"


class Tracker(Protocol):
    """What is used of accelerate's trackers."""

    @property
    def tracker(self) -> Any: ...
    def store_init_configuration(self, values: dict[str, Any]) -> None: ...
    def log(self, values: dict[str, Any], step: int | None = None) -> None: ...
    def finish(self) -> None: ...


class _Plain(MultiProcessAdapter):
    """accelerate's words go to their logger as they are: it asks for a state that is dropped between stages."""

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        for name in ("main_process_only", "in_order"):
            kwargs.pop(name, None)
        self.logger.log(level, msg, *args, **kwargs)


def check_trackers(names: Sequence[str]) -> None:
    """Says before anything is trained that a tracker's package is missing.

    Raises:
        InputError: So it is.
    """
    for name in names:
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise InputError(
                f"trackers: '{name}' needs a package that is not installed",
                why=f"the metrics of the run are to go to {name} as well",
                fix=f"pip install {PACKAGES[name]}, or take '{name}' out of 'trackers'",
                kind="missing-package",
            )


@contextlib.contextmanager
def tracked(recorder: Recorder, experiment: Experiment) -> Iterator[None]:
    """Hands what the recorder writes to the experiment's trackers; at the end waits until they have sent it.

    Raises:
        InputError: A tracker's package is missing.
    """
    check_trackers(experiment.trackers)
    if not experiment.trackers:
        yield
        return
    feeds = [Feed(name, recorder.run, experiment) for name in experiment.trackers]

    def hand_on(records: list[MetricRecord]) -> None:
        for feed in feeds:
            feed.put(records)

    recorder.hand_on = hand_on
    try:
        yield
    finally:
        recorder.hand_on = None
        deadline = time.monotonic() + PATIENCE_SECONDS
        for feed in feeds:
            feed.end()
        for feed in feeds:
            feed.join(deadline)


class Feed:
    """One tracker and the thread that feeds it. Whatever goes wrong in it is one warning, and it is let go.

    Args:
        name: Of the tracker.
        run: The folder; what lies on this machine goes to its `tracking/`.
        experiment: Its configuration.
    """

    def __init__(self, name: str, run: RunFolder, experiment: Experiment) -> None:
        self.name = name
        self.run = run
        self.experiment = experiment
        self.folder = run.tracking_dir / name
        self._queue: queue.SimpleQueue[list[MetricRecord] | None] = queue.SimpleQueue()
        self._lost = False
        self._known: set[str] = set()
        self._run_id = ""
        self._steps: dict[str, int] = {}
        self._thread = threading.Thread(target=self._work, name=f"kdstudio-{name}", daemon=True)
        self._thread.start()

    def put(self, records: list[MetricRecord]) -> None:
        """Takes records; they are sent from the thread."""
        if self._lost:
            return
        self._queue.put(thinned(records))
        if self._queue.qsize() > MOST_WAITING:
            self._let_go("it has taken nothing for a long time")

    def end(self) -> None:
        """Nothing more comes."""
        self._queue.put(None)

    def join(self, deadline: float) -> None:
        """Waits until all is sent, at most until a moment of the monotonic clock."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive() and not self._lost:
            logger.warning("%s: did not take the last metrics within %g s", self.name, PATIENCE_SECONDS)

    def _work(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._read_position()
            tracker = make_tracker(self.name, self.folder, self.run.name, self._project, self._run_id)
            if not self._run_id:
                self._run_id = _id_of(self.name, tracker) or "begun"
                self._write_position()
                tracker.store_init_configuration(flat(compact(self.experiment)))
            while (records := self._queue.get()) is not None:
                self._send(tracker, records)
            tracker.finish()
        except Exception as error:  # whatever another house's code raises
            first = (str(error).strip().splitlines() or [""])[0][:300]
            self._let_go(f"{type(error).__name__}: {first}")

    def _let_go(self, why: str) -> None:
        if self._lost:
            return
        self._lost = True
        words = "%s: the run goes on without this tracker: %s; its metrics are in metrics.jsonl as ever"
        logger.warning(words, self.name, why)

    @property
    def _project(self) -> str:
        return self.experiment.tracking_project or self.experiment.name

    def _send(self, tracker: Tracker, records: list[MetricRecord]) -> None:
        """Sends the records that are new; a resumed run repeats the steps after its checkpoint."""
        new = []
        for record in records:
            place = f"{record.stage}/{record.split}"
            if record.values and record.step > self._steps.get(place, -1):
                self._steps[place] = record.step
                new.append(record)
        if not new:
            return
        # before they are sent: a process that is killed in between leaves a gap, and no step twice
        self._write_position()
        for record in new:
            place = f"{record.stage}/{record.split}"
            values: dict[str, Any] = {f"{place}/{key}": v for key, v in record.values.items() if v is not None}
            if self.name != "wandb":
                tracker.log(values, step=record.step)
                continue
            # its own steps only rise, and a chain begins anew with each network
            if record.stage not in self._known:
                self._known.add(record.stage)
                tracker.tracker.define_metric(f"{record.stage}/step")
                tracker.tracker.define_metric(f"{record.stage}/*", step_metric=f"{record.stage}/step")
            tracker.log({**values, f"{record.stage}/step": record.step})

    def _read_position(self) -> None:
        path = self.folder / POSITION_FILE
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            self._run_id, self._steps = str(found["run"]), dict(found["steps"])

    def _write_position(self) -> None:
        content = json.dumps({"run": self._run_id, "steps": self._steps})
        write_bytes(self.folder / POSITION_FILE, content.encode(), sync=False)


def make_tracker(name: str, folder: Path, run: str, project: str, run_id: str) -> Tracker:
    """One of accelerate's trackers, begun.

    Args:
        name: `tensorboard`, `wandb` or `mlflow`.
        folder: Where it may write.
        run, project: What it is to call the run and what the run belongs to.
        run_id: The tracker's own name of a run that goes on; empty for a new one.
    """
    accelerate.tracking.logger = _Plain(logging.getLogger("accelerate.tracking"), {})
    earlier = run_id if run_id != "begun" else ""
    if name == "tensorboard":
        tracker = _alone("TensorBoardTracker")(run_name=folder.name, logging_dir=folder.parent)
    elif name == "wandb":
        further = {"id": earlier, "resume": "allow"} if earlier else {}
        tracker = _alone("WandBTracker")(run_name=project, name=run, dir=str(folder), **further)
    else:
        import mlflow

        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        place = None if "MLFLOW_TRACKING_URI" in os.environ else (folder / "artifacts").as_uri()
        tracker = _alone("MLflowTracker")(
            experiment_name=project, logging_dir=place, run_id=earlier or None, run_name=run
        )
    if hasattr(tracker, "start"):  # older ones begin as they are made
        tracker.start()
    return tracker


def _alone(kind: str) -> Any:
    """A tracker that asks no one whether this is rank 0: it is, and nothing else makes one."""
    return type(kind, (getattr(accelerate.tracking, kind),), {"main_process_only": False})


def _id_of(name: str, tracker: Tracker) -> str:
    if name == "wandb":
        return str(tracker.tracker.id)
    return str(tracker.tracker.info.run_id) if name == "mlflow" else ""


def thinned(records: Sequence[MetricRecord]) -> list[MetricRecord]:
    """Of many records of training steps some, evenly, with the last one; all others as they are."""
    steps = [place for place, record in enumerate(records) if record.split == "train"]
    if len(steps) <= MOST_STEPS:
        return list(records)
    kept = {steps[(number + 1) * len(steps) // MOST_STEPS - 1] for number in range(MOST_STEPS)}
    return [record for place, record in enumerate(records) if record.split != "train" or place in kept]


def flat(values: Any, before: str = "") -> dict[str, str | int | float | bool]:
    """Nested data as trackers take a configuration: `{"train.epochs": 20, "objective.0.term": "hard"}`."""
    if isinstance(values, Mapping):
        items: list[tuple[Any, Any]] = list(values.items())
    elif isinstance(values, list) and any(isinstance(item, Mapping) for item in values):
        items = list(enumerate(values))
    else:
        return {before: values if isinstance(values, (str, int, float)) else json.dumps(values)}
    found: dict[str, str | int | float | bool] = {}
    for key, value in items:
        found.update(flat(value, f"{before}.{key}" if before else str(key)))
    return found

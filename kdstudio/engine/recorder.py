"""The recorder: the only writer of a run folder. Metrics, state, snapshots and the log go through it."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from safetensors.numpy import save as save_arrays

from kdstudio.engine.usage import UsageLog
from kdstudio.project.errors import KDStudioError, StorageError
from kdstudio.project.runs.control import is_watched
from kdstudio.project.runs.folder import RunFolder, write_bytes
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.runs.snapshots import PROBES_FILE, TEACHER_FILE
from kdstudio.project.runs.state import RunState, encode_state, process_start
from kdstudio.project.runs.texts import TEXTS_FILE
from kdstudio.project.yaml_io import storage_error

logger = logging.getLogger("kdstudio")

HEARTBEAT_SECONDS = 1.0
#: Metrics are resumed after their last record, which is looked for in this many bytes from the end.
TAIL_BYTES = 64 * 1024


class _LogFile(logging.FileHandler):
    """A log that stays silent where it cannot be written: the disk's trouble is told once, by whom it stops."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class Recorder:
    """Writes one run folder. Use as a context manager; on leaving everything is on disk and its thread has ended.

    Args:
        run: The folder; it exists.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        earlier = run.state()
        self.state = RunState(
            created=earlier.created,
            started=earlier.started or time.time(),
            best=earlier.best,
            best_epoch=earlier.best_epoch,
            best_metric=earlier.best_metric,
            last_checkpoint=earlier.last_checkpoint,
            step=earlier.step,
            total_steps=earlier.total_steps,
            epoch=earlier.epoch,
            total_epochs=earlier.total_epochs,
            stage=earlier.stage,
            threads=earlier.threads,
            ranks=earlier.ranks,
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            host=socket.gethostname(),
            phase="starting",
        )
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._beat = threading.Thread(target=self._keep_beating, name="kdstudio-heartbeat", daemon=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="kdstudio-snapshots")
        self._pending: list[Future[None]] = []
        self._process = psutil.Process()
        self.usage = UsageLog(run)
        self._log_handler: logging.Handler | None = None
        self._fault_file: Any = None
        self._metrics: Any = None
        self._sequence = 0
        self._snapshot = 0
        self.watched = is_watched(run)
        #: Gets the records that were written; it does not wait for anything.
        self.hand_on: Callable[[list[MetricRecord]], None] | None = None

    def __enter__(self) -> Recorder:
        try:
            for folder in (self.run.snapshots_dir, self.run.control_dir, self.run.checkpoints_dir):
                folder.mkdir(parents=True, exist_ok=True)
            self._open_metrics()
            self._log_handler = _LogFile(self.run.log_path, encoding="utf-8")
            self._fault_file = (self.run.path / "faulthandler.log").open("a", encoding="utf-8")
            self._log_handler.setFormatter(
                logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
            )
            logger.addHandler(self._log_handler)
            faulthandler.enable(self._fault_file)
            numbers = [int(path.stem) for path in self.run.snapshots_dir.glob("*.safetensors") if path.stem.isdigit()]
            self._snapshot = max(numbers, default=0)
            self.write_state()
        except OSError as error:
            self._close()
            raise storage_error(self.run.path, error) from error
        except StorageError:
            self._close()
            raise
        self._beat.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._done.set()
        self._beat.join()
        self._close()

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        if self._metrics is not None:
            with contextlib.suppress(OSError):
                self._metrics.close()
        if self._fault_file is not None:
            faulthandler.disable()
            self._fault_file.close()
        if self._log_handler is not None:
            logger.removeHandler(self._log_handler)
            self._log_handler.close()

    # -- metrics ---------------------------------------------------------------------------------------------

    def metrics(self, records: Iterable[MetricRecord]) -> None:
        """Appends records, in one write. NaN is written as null.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        written = list(records)
        for record in written:
            self._sequence += 1
            record.seq = self._sequence
        if not written:
            return
        try:
            self._metrics.write(self._encoder.encode_lines(written))
            self._metrics.flush()
        except OSError as error:
            raise storage_error(self.run.metrics_path, error) from error
        if self.hand_on is not None:
            self.hand_on(written)

    def values(self, stage: str, split: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Appends one record of values."""
        finite = {key: (float(v) if math.isfinite(v) else None) for key, v in values.items()}
        self.metrics([MetricRecord(stage=stage, split=split, step=step, epoch=epoch, time=time.time(), values=finite)])

    def event(self, event: str, stage: str, step: int, epoch: int, text: str = "") -> None:
        """Appends an event: stage, best, checkpoint, resume, hold, continue, park, stop, finished."""
        record = MetricRecord(
            stage=stage, split="event", step=step, epoch=epoch, time=time.time(), event=event, text=text
        )
        self.metrics([record])

    def _open_metrics(self) -> None:
        path = self.run.metrics_path
        self._sequence, whole = _last_sequence(path)
        self._metrics = path.open("ab")
        if not whole:  # a crash cut the last record: close its line, so that the next one stands alone
            self._metrics.write(b"\n")
            self._metrics.flush()

    # -- state -----------------------------------------------------------------------------------------------

    def update(self, **changes: Any) -> None:
        """Changes fields of the state and writes it at once."""
        with self._lock:
            for key, value in changes.items():
                setattr(self.state, key, value)
        self.write_state()

    def position(self, **changes: Any) -> None:
        """Changes fields of the state; the heartbeat writes them within a second. For the hot path."""
        for key, value in changes.items():
            setattr(self.state, key, value)

    def progress(self, label: str, done: int, total: int) -> None:
        """Says how far a stage is that is not counted in steps."""
        self.state.progress = {"label": label, "done": done, "total": total}

    def write_state(self) -> None:
        """Replaces `state.json`.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        with self._lock:
            self.state.heartbeat = time.time()
            with contextlib.suppress(psutil.Error):
                self.state.memory_bytes = self._process.memory_info().rss
            data = encode_state(self.state)
            write_bytes(self.run.state_path, data, sync=self.state.phase not in ("training", "holding"))

    def _keep_beating(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            self.watched = is_watched(self.run)
            with contextlib.suppress(StorageError):  # the main thread meets the same error where it counts
                self.write_state()
            self.usage.write(self.state)

    def finish(self, phase: str, message: str = "", error: KDStudioError | None = None) -> None:
        """Writes the last state of this process. Call `flush_snapshots` before: a failed one makes the run fail."""
        self.update(
            phase=phase,
            message=message,
            ended=time.time(),
            progress=None,
            error=error.as_dict() if error else None,
        )

    # -- snapshots -------------------------------------------------------------------------------------------

    def probes(
        self, arrays: Mapping[str, np.ndarray], classes: list[str], words: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the probe samples; `words` are those of texts."""
        meta = {"classes": json.dumps(classes)} | {key: json.dumps(value) for key, value in (words or {}).items()}
        self._save(self.run.snapshots_dir / PROBES_FILE, dict(arrays), meta)

    def texts(self, arrays: Mapping[str, np.ndarray], words: Mapping[str, Any]) -> None:
        """Writes the probe texts of a language model, and what the teacher says of them."""
        meta = {key: json.dumps(value) for key, value in words.items()}
        self._save(self.run.snapshots_dir / TEXTS_FILE, dict(arrays), meta)

    def teacher_looks(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes what the alignment panel shows of the teacher; it does not change."""
        if arrays:
            self._save(self.run.snapshots_dir / TEACHER_FILE, dict(arrays), {})

    def snapshot(
        self, arrays: Mapping[str, np.ndarray], step: int, epoch: int, stage: str, meta: Mapping[str, Any]
    ) -> None:
        """Writes a numbered snapshot from a thread of its own, so that training does not wait for the disk."""
        self._snapshot += 1
        path = self.run.snapshots_dir / f"{self._snapshot:06d}.safetensors"
        text = {"step": str(step), "epoch": str(epoch), "stage": stage, "time": repr(time.time())}
        text.update({key: json.dumps(value) for key, value in meta.items()})
        for job in [job for job in self._pending if job.done()]:
            self._pending.remove(job)
            job.result()
        self._pending.append(self._writer.submit(self._save, path, dict(arrays), text))

    @property
    def snapshots_waiting(self) -> int:
        """Snapshots that are not on disk yet."""
        return sum(not job.done() for job in self._pending)

    def flush_snapshots(self) -> None:
        """Waits until every snapshot is on disk.

        Raises:
            StorageError: One could not be written.
        """
        pending, self._pending = self._pending, []
        for job in pending:
            job.result()

    def _save(self, path: Any, arrays: dict[str, np.ndarray], meta: dict[str, str]) -> None:
        contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        write_bytes(path, save_arrays(contiguous, metadata=meta), sync=False)


def _last_sequence(path: Path) -> tuple[int, bool]:
    """The sequence number of the last readable record (0 for none), and whether the file ends with a whole line.

    Only the end of the file is read: a long run resumes as quickly as a short one, and in as little memory.
    """
    if not path.exists():
        return 0, True
    decoder = msgspec.json.Decoder(MetricRecord)
    size = path.stat().st_size
    length = TAIL_BYTES
    with path.open("rb") as file:
        while size:
            file.seek(max(0, size - length))
            tail = file.read()
            whole = tail.endswith(b"\n")
            lines = tail.splitlines()
            for line in reversed(lines if length >= size else lines[1:]):
                with contextlib.suppress(msgspec.MsgspecError):
                    return decoder.decode(line).seq, whole
            if length >= size:
                return 0, whole
            length *= 8
    return 0, True

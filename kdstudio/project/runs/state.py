"""`state.json`: where a run stands, and what that means once its process is gone."""

from __future__ import annotations

import enum
import re
import socket
import time
from typing import Any

import msgspec
import psutil

#: A run on another machine counts as gone when its heartbeat is older than this.
REMOTE_HEARTBEAT_SECONDS = 90.0


class RunState(msgspec.Struct, kw_only=True, omit_defaults=False):
    """The contents of `state.json`. Times are seconds since 1970, memory is in bytes.

    `threads` is how many PyTorch uses on the processor. It stays the same when a run is resumed, since sums in another
    order end in other bits; with another number of `ranks` (processes that share the work) it is chosen anew. Process,
    memory and threads are those of rank 0. `means` is how the stage works: `precision`, `memory` (the order of values
    in it), `data` (where samples lie), `ranks` (what they share), `teacher` (where its answers come from) and
    `compile`, each in words.
    """

    phase: str = "created"
    stage: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    total_epochs: int = 0
    pid: int = 0
    process_start: float = 0.0
    host: str = ""
    heartbeat: float = 0.0
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    last_checkpoint: str = ""
    best: float | None = None
    best_epoch: int | None = None
    best_metric: str = "accuracy"
    samples_per_second: float = 0.0
    memory_bytes: int = 0
    device_memory_bytes: int = 0
    device: str = ""
    threads: int = 0
    ranks: int = 1
    means: dict[str, str] = {}
    progress: dict[str, Any] | None = None
    message: str = ""
    error: dict[str, str] | None = None


#: How the name of a stage ends in which a term's own parts learn, before the student: `factor-first`.
FIRST_STAGE = "-first"


class RunStatus(enum.Enum):
    """What a person is told. All but INTERRUPTED are phases of `state.json`."""

    CREATED = "created"
    STARTING = "starting"
    TRAINING = "training"
    HOLDING = "holding"
    EVALUATING = "evaluating"
    FINISHED = "finished"
    STOPPED = "stopped"
    PARKED = "parked"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def active(self) -> bool:
        """A process is at work on the run."""
        return self in (RunStatus.STARTING, RunStatus.TRAINING, RunStatus.HOLDING, RunStatus.EVALUATING)

    @property
    def resumable(self) -> bool:
        """A new process can go on from the last checkpoint (or begin)."""
        return self in (
            RunStatus.CREATED,
            RunStatus.PARKED,
            RunStatus.INTERRUPTED,
            RunStatus.FAILED,
            RunStatus.STOPPED,
        )

    def text(self, state: RunState) -> str:
        """The status in words, with the step where one stopped."""
        words = {
            RunStatus.CREATED: "Not started",
            RunStatus.STARTING: "Starting",
            RunStatus.TRAINING: f"Training {_stage_text(state.stage)}" if state.stage else "Training",
            RunStatus.HOLDING: f"On hold at step {state.step}",
            RunStatus.EVALUATING: "Evaluating",
            RunStatus.FINISHED: "Finished",
            RunStatus.STOPPED: f"Stopped at step {state.step}",
            RunStatus.PARKED: f"Parked at step {state.step}",
            RunStatus.FAILED: "Failed",
            RunStatus.INTERRUPTED: f"Interrupted at step {state.step}",
        }
        return words[self]


#: Networks of which there may be several.
_NUMBERED = re.compile(r"(teacher|assistant)-(\d+)(?:-(.*))?")


def _stage_text(stage: str) -> str:
    found = _NUMBERED.fullmatch(stage.removesuffix(FIRST_STAGE))
    network = f"{found[1]} {found[2]}" if found else ""
    if stage.endswith(FIRST_STAGE):
        return (
            f"the first stage of {found[3]}, {network}"
            if found
            else f"the first stage of {stage.removesuffix(FIRST_STAGE)}"
        )
    return network or f"the {stage}"


def goes_on(state: RunState, status: RunStatus) -> bool:
    """Whether to resume is the way on. A run that failed before its first step would only fail again."""
    return status.resumable and (status is not RunStatus.FAILED or bool(state.last_checkpoint or state.step))


def process_start(pid: int) -> float:
    """The start time of a process, 0 if there is none. With the pid it names a process for good."""
    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, ValueError):
        return 0.0


def is_alive(state: RunState) -> bool:
    """Whether the process that wrote the state is still at work.

    On the same machine the pid and its start time decide, so a reused pid is not taken for the run; on another
    machine (a shared file system) the heartbeat does.
    """
    if not state.pid:
        return False
    if state.host and state.host != socket.gethostname():
        return time.time() - state.heartbeat < REMOTE_HEARTBEAT_SECONDS
    try:
        process = psutil.Process(state.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - state.process_start) < 2.0
    except psutil.AccessDenied:
        return True
    except (psutil.Error, ValueError):  # gone, or a number that no process has
        return False


def status_of(state: RunState) -> RunStatus:
    """The status of a run, given its state and whether its process lives."""
    try:
        status = RunStatus(state.phase)
    except ValueError:
        status = RunStatus.FAILED
    if status.active and not is_alive(state):
        return RunStatus.INTERRUPTED
    return status


_decoder = msgspec.json.Decoder(RunState)


def decode_state(data: bytes) -> RunState:
    """Decodes `state.json`; unknown keys of newer versions are ignored.

    Raises:
        ValueError: Not a state.
    """
    return _decoder.decode(data)


def encode_state(state: RunState) -> bytes:
    return msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n"

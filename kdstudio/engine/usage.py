"""What a run takes of its machine, second by second: memory, processor, device. Written beside its metrics."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import msgspec
import psutil
import torch

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricRecord
from kdstudio.project.runs.state import RunState

#: The interval grows with the time that is written about, so the file of a week's run stays under half a megabyte.
SHORTEST_SECONDS = 1.0
GROWTH = 600.0


class UsageLog:
    """Appends to `resources.jsonl`. Called from the heartbeat's thread only, and never in the way of training.

    A record's values: `memory` of the process, `cpu` in per cent of one core, `samples_per_second` while it trains;
    on a CUDA device `device_memory` that PyTorch holds, and with NVML `gpu` (busy time in per cent) and `gpu_memory`
    (all that is taken on the device), both of all processes together.
    """

    def __init__(self, run: RunFolder) -> None:
        self._path = run.resources_path
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first reading is since the process began
        self._encoder = msgspec.json.Encoder()
        self._began = time.monotonic()
        self._next = 0.0
        self._sequence = 0
        self._device: torch.device | None = None
        self._nvml: tuple[Any, Any] | None = None

    def watch(self, device: torch.device) -> None:
        """Says which device the run works on."""
        self._device = device
        self._nvml = _nvml_of(device) if device.type == "cuda" else None

    def write(self, state: RunState) -> None:
        """Appends a record if it is time for one. A disk that takes none loses it; the metrics meet the same disk."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + max(SHORTEST_SECONDS, (now - self._began) / GROWTH) - 0.1
        self._sequence += 1
        record = MetricRecord(
            seq=self._sequence,
            step=state.step,
            epoch=state.epoch,
            stage=state.stage,
            time=time.time(),
            split="resources",
            values=self._values(state),
        )
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(self._encoder.encode(record) + b"\n")

    def _values(self, state: RunState) -> dict[str, float | None]:
        values: dict[str, float | None] = {}
        with contextlib.suppress(psutil.Error):
            values["memory"] = float(self._process.memory_info().rss)
            values["cpu"] = self._process.cpu_percent()
        if state.phase == "training" and state.samples_per_second:
            values["samples_per_second"] = state.samples_per_second
        if self._device is not None and self._device.type == "cuda":
            values["device_memory"] = float(state.device_memory_bytes)
        if self._nvml is not None:
            library, handle = self._nvml
            with contextlib.suppress(library.NVMLError):
                values["gpu"] = float(library.nvmlDeviceGetUtilizationRates(handle).gpu)
                values["gpu_memory"] = float(library.nvmlDeviceGetMemoryInfo(handle).used)
        return values


def _nvml_of(device: torch.device) -> tuple[Any, Any] | None:
    """NVIDIA's management library and its handle of the device; None where either is missing."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        # NVML counts all devices, CUDA those that the process may see: only the UUID is the same for both
        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        if uuid is not None:
            return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(device.index or 0)
    except (pynvml.NVMLError, RuntimeError, AssertionError):
        return None

"""The record of what a run takes of its machine."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from kdstudio.engine import usage
from kdstudio.engine.usage import UsageLog
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.runs.state import RunState


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(usage.time, "monotonic", found)
    return found


def read(run: RunFolder) -> MetricStore:
    return MetricFollower(run.resources_path).read_all()


def test_memory_and_processor_are_recorded(tmp_path: Path, clock: Clock) -> None:
    run = RunFolder(tmp_path)
    log = UsageLog(run)
    log.write(RunState(phase="training", stage="student", step=7, epoch=1, samples_per_second=250.0))
    clock.now += 1.0
    log.write(RunState(phase="evaluating", stage="student", step=9))
    store = read(run)
    memory = store.series("student", "resources", "memory")
    assert memory.steps.tolist() == [7, 9]
    assert (memory.values > 1e6).all()
    assert len(store.series("student", "resources", "cpu").values) == 2
    assert store.series("student", "resources", "samples_per_second").values.tolist() == [250.0]
    assert len(store.series("student", "resources", "device_memory").values) == 0


def test_a_long_run_is_written_less_often(tmp_path: Path, clock: Clock) -> None:
    run = RunFolder(tmp_path)
    log = UsageLog(run)
    for _ in range(20_000):  # heartbeats of five and a half hours
        clock.now += 1.0
        log.write(RunState(phase="training", stage="student"))
    count = len(read(run).series("student", "resources", "memory").values)
    assert 1500 < count < 3500


def test_a_disk_that_takes_nothing_does_not_stop_the_run(tmp_path: Path, clock: Clock) -> None:
    log = UsageLog(RunFolder(tmp_path / "gone"))
    log.write(RunState(phase="training"))
    assert not (tmp_path / "gone").exists()


class FakeError(Exception):
    pass


def fake_nvml(monkeypatch: pytest.MonkeyPatch, **replaced: Any) -> list[str]:
    """NVIDIA's library as it answers on a machine with a device. Returns the calls that were made."""
    calls: list[str] = []
    library = types.ModuleType("pynvml")
    found: dict[str, Any] = {
        "NVMLError": FakeError,
        "nvmlInit": lambda: calls.append("init"),
        "nvmlDeviceGetHandleByUUID": lambda uuid: calls.append(uuid) or "handle",
        "nvmlDeviceGetHandleByIndex": lambda index: calls.append(str(index)) or "handle",
        "nvmlDeviceGetUtilizationRates": lambda handle: types.SimpleNamespace(gpu=87),
        "nvmlDeviceGetMemoryInfo": lambda handle: types.SimpleNamespace(used=3_000_000_000),
        **replaced,
    }
    for name, value in found.items():
        setattr(library, name, value)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="abc"))
    return calls


def test_a_device_is_watched_by_its_uuid(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_nvml(monkeypatch)
    run = RunFolder(tmp_path)
    log = UsageLog(run)
    log.watch(torch.device("cuda:1"))
    log.write(RunState(phase="training", stage="student", device_memory_bytes=42))
    assert calls == ["init", "GPU-abc"]
    store = read(run)
    values = {key: store.series("student", "resources", key).values.tolist() for _, _, key in store.keys()}  # noqa: SIM118
    assert values["device_memory"] == [42.0]
    assert values["gpu"] == [87.0]
    assert values["gpu_memory"] == [3e9]


def test_a_device_without_the_library_has_its_memory_alone(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    run = RunFolder(tmp_path)
    log = UsageLog(run)
    log.watch(torch.device("cuda"))
    log.write(RunState(phase="training", stage="student", device_memory_bytes=42))
    assert ("student", "resources", "device_memory") in read(run).keys()  # noqa: SIM118
    assert ("student", "resources", "gpu") not in read(run).keys()  # noqa: SIM118


def broken(*_: Any) -> Any:
    raise FakeError("no")


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetUtilizationRates"])
def test_a_library_that_fails_is_left_alone(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fake_nvml(monkeypatch, **{call: broken})
    run = RunFolder(tmp_path)
    log = UsageLog(run)
    log.watch(torch.device("cuda"))
    log.write(RunState(phase="training", stage="student"))
    assert ("student", "resources", "gpu") not in read(run).keys()  # noqa: SIM118
    assert ("student", "resources", "memory") in read(run).keys()  # noqa: SIM118

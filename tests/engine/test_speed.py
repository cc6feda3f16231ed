"""How speed is measured: in turns, in eval mode, with median and quartiles. No test looks at the clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from kdstudio.engine import speed
from kdstudio.engine.speed import measure_speed


class Counted(nn.Module):
    """Writes down who was called with how many samples, and in which mode."""

    def __init__(self, name: str, calls: list[tuple[str, int]]) -> None:
        super().__init__()
        self.name, self.calls = name, calls
        self.fc = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert images.dtype is torch.float32
        self.calls.append((self.name, len(images)))
        return self.fc(images)


def measured(repeats: int = 40) -> tuple[dict, list[tuple[str, int]]]:  # type: ignore[type-arg]
    calls: list[tuple[str, int]] = []
    models = {name: Counted(name, calls).train() for name in ("student", "teacher", "baseline")}
    return measure_speed(models, (4,), torch.device("cpu"), batch=8, repeats=repeats), calls


def test_what_is_measured() -> None:
    found, _ = measured()
    assert set(found) == {"student", "teacher", "baseline"}
    for entry in found.values():
        for figure in (entry["latency_ms"], entry["throughput"]):
            assert 0 < figure["low"] <= figure["median"] <= figure["high"]
        assert (entry["batch"], entry["repeats"], entry["device"]) == (8, 40, "cpu")
        assert entry["threads"] == torch.get_num_threads()


def test_networks_take_turns() -> None:
    """Each round has every network and both batch sizes once, in an order that changes."""
    _, calls = measured()
    jobs = {(name, size) for name in ("student", "teacher", "baseline") for size in (1, 8)}
    timed = calls[speed.WARMUP * len(jobs) :]
    rounds = [timed[start : start + len(jobs)] for start in range(0, len(timed), len(jobs))]
    assert len(rounds) == 40
    assert all(set(part) == jobs for part in rounds)
    assert len({tuple(part) for part in rounds}) > 30
    firsts = [part[0] for part in rounds]
    assert len(set(firsts)) == len(jobs)
    assert all(calls[: speed.WARMUP * len(jobs)].count(job) == speed.WARMUP for job in jobs)


def test_median_and_quartiles_of_known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each repetition takes a known time: 1 ms, 2 ms ... 5 ms."""

    def clock() -> Iterator[float]:
        now = 0.0
        for duration in (0.001, 0.002, 0.003, 0.004, 0.005):
            for _ in range(2):  # latency and throughput
                yield now
                now += duration
                yield now

    ticking = clock()
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticking))
    found = measure_speed({"student": nn.Linear(4, 3)}, (4,), torch.device("cpu"), batch=10, repeats=5)["student"]
    assert found["latency_ms"] == pytest.approx({"low": 2.0, "median": 3.0, "high": 4.0})
    assert found["throughput"] == pytest.approx({"low": 2500.0, "median": 10 / 0.003, "high": 5000.0})

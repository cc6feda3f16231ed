"""The compiled student: the same training, nothing left behind, and the plain way where compiling fails."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import nn

from kdstudio.engine.compiling import CompiledStudent, against, compile_student, compile_teacher
from kdstudio.engine.objective import DistillationModule, Objective
from kdstudio.engine.run import execute
from kdstudio.engine.teacher import Teacher
from kdstudio.project.runs.control import request
from kdstudio.project.spec import HardTerm, TrainSpec

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_when_it_pays() -> None:
    auto = TrainSpec()
    assert "on a processor" in against(auto, CPU, 10**6, texts=False)
    assert "it pays from" in against(auto, CUDA, 100, texts=False)
    assert against(auto, CUDA, 10**4, texts=False) == ""
    assert against(TrainSpec(compile="on"), CPU, 1, texts=False) == ""
    assert "many lengths" in against(TrainSpec(compile="on"), CUDA, 10**6, texts=True)
    assert "is off" in against(TrainSpec.model_validate({"compile": False}), CUDA, 10**6, texts=False)


def test_a_compiler_that_fails_is_told(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nwas found")

    monkeypatch.setattr(torch, "compile", broken)
    plain = lab.run()
    run = lab.run(train={"epochs": 3, "compile": "on"})
    assert run.state().phase == "finished"
    log = (run.path / "log.txt").read_text()
    assert "the student of the student is not compiled: RuntimeError: no working C++ compiler" in log
    assert run.state().means["compile"].startswith("off: RuntimeError")
    assert lab.same(lab.module(run), lab.module(plain))


class Net(nn.Module):
    """Has all that a warm-up could leave a trace in: statistics, dropout, gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.drop(self.norm(x)))


def test_a_warm_up_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    chance = torch.get_rng_state()
    why = CompiledStudent(net, (8, 4)).warm_up(
        torch.randn(8, 4), ["norm"], lambda: torch.autocast("cpu", enabled=False)
    )
    assert why == ""
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.norm._forward_hooks
    torch.set_rng_state(chance)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_run_trains_alike_and_goes_on_bit_for_bit(
    lab: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)  # in this process: others would outlive the test
    fields: dict[str, Any] = {"objective": hints, "train": {"epochs": 2, "compile": "on"}}
    plain = lab.run(**{**fields, "train": {"epochs": 2}})
    whole = lab.run(**fields)
    assert whole.state().means["compile"] == "on"
    losses = [lab.metrics(run).series("student", "train", "loss").values for run in (plain, whole)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    lab.before_step("student", 7, lambda trainer: request(trainer.recorder.run, "park"))
    parked = lab.run(**fields)
    assert parked.state().phase == "parked"
    execute(parked)
    assert lab.same(lab.module(parked), lab.module(whole))


def off(factor: float) -> Any:
    """Stands for a compiler whose code is wrong."""

    def compile_(module: nn.Module, **_: Any) -> Any:
        return lambda inputs: module(inputs) * factor

    return compile_


def test_wrong_answers_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.autocast("cpu", enabled=False)
    net = nn.Linear(4, 3)
    for factor, right in ((1.2, False), (float("nan"), False), (1.001, True)):
        monkeypatch.setattr(torch, "compile", off(factor))
        why = CompiledStudent(net, (8, 4)).warm_up(torch.randn(8, 4), [], lambda: plain)
        assert (why == "") == right
        teacher = Teacher(nn.Linear(4, 3), [])
        why = compile_teacher(teacher, torch.randn(8, 4), lambda: plain)
        assert (why == "") == right
        assert (teacher.compiled is not None) == right


def test_graphs_that_fail_leave_the_compiled_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    modes: list[str] = []

    def compile_(module: nn.Module, mode: str, **_: Any) -> Any:
        modes.append(mode)
        if mode == "reduce-overhead":
            raise RuntimeError("graphs are not for this one")
        return module

    monkeypatch.setattr(torch, "compile", compile_)
    module = DistillationModule(nn.Linear(4, 3), Objective([HardTerm()], 1))
    why = compile_student(module, torch.randn(8, 4), [], lambda: torch.autocast("cpu", enabled=False), graphs=True)
    assert why == ""
    assert modes == ["reduce-overhead", "default"]
    assert isinstance(module.compiled, CompiledStudent)
    assert not module.compiled.graphs
    assert "not recorded as CUDA graphs: RuntimeError: graphs are not for this one" in caplog.text


def test_a_teacher_that_works_at_each_step_is_compiled_too(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[nn.Module] = []

    def compile_(module: nn.Module, **_: Any) -> Any:
        made.append(module)
        return module

    monkeypatch.setattr(torch, "compile", compile_)
    live = lab.run(train={"epochs": 2, "compile": "on"}, cache={"use": "off"})
    assert "works at each step, compiled" in live.state().means["teacher"]
    count = len(made)
    kept = lab.run(train={"epochs": 2, "compile": "on"}, cache={"use": "on", "precision": "fp32"})
    assert len(made) == count + 1  # the student alone: the teacher is asked once
    assert lab.metrics(kept).series("student", "train", "loss").values == pytest.approx(
        lab.metrics(live).series("student", "train", "loss").values, rel=2e-6
    )

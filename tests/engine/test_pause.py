"""Hold, continue, park, stop and stop now, by the command line's verbs and by signals; and what a resumed run is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from kdstudio.cli import main
from kdstudio.engine import teacher_store
from kdstudio.engine.control import Control, Interrupted, Parked, StoppedNow
from kdstudio.engine.run import execute
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import NotFiniteError, RunBusyError
from kdstudio.project.runs.control import request
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunStatus

#: Everything that carries a state from step to step: dropout, batch normalisation, momentum, views.
LIVELY: dict[str, Any] = {
    "data": {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]},
    "teacher": {"model": "mlp", "widths": [24], "dropout": 0.2, "train": {"epochs": 2, "lr": 0.1}},
    "student": {"model": "cnn", "widths": [4, 6], "dropout": 0.2},
    "baseline": True,
}
STAGES = ("teacher-", "", "baseline-")


def same_run(lab: Any, first: RunFolder, second: RunFolder) -> None:
    """Weights, optimizer, random states and every recorded loss, bit for bit."""
    for prefix in STAGES:
        contents = [torch.load(run.checkpoints_dir / f"{prefix}last.pt", weights_only=True) for run in (first, second)]
        assert lab.same(contents[0]["module"], contents[1]["module"])
        assert contents[0]["progress"] == contents[1]["progress"]
        assert torch.equal(contents[0]["random"]["torch"], contents[1]["random"]["torch"])
        assert lab.same(*(lab.module(run, f"{prefix}best.pt") for run in (first, second)))
    stores = [lab.metrics(run) for run in (first, second)]
    # shares of the gradient are measured when their small part of the time allows, not at given steps
    keys = [key for key in stores[0].keys() if key[1] != "gradient"]  # noqa: SIM118
    for key in keys:
        curves = [store.series(*key) for store in stores]
        np.testing.assert_array_equal(curves[0].steps, curves[1].steps)
        np.testing.assert_array_equal(curves[0].values, curves[1].values)


def ask(verb: str) -> Callable[[Trainer], object]:
    """Asks for it as a person in another terminal would."""
    return lambda trainer: main([verb, str(trainer.recorder.run.path)])


def test_parked_in_every_stage_and_resumed_it_is_the_undisturbed_run(lab: Any, capsys: Any) -> None:
    undisturbed = lab.run(**LIVELY)
    other = lab.new_project("other")
    run = other.create_run(lab.experiment(**LIVELY))
    for stage, step in (("teacher", 3), ("student", 7), ("student", 10), ("baseline", 14)):
        lab.before_step(stage, step, ask("park"))
    codes = []
    while run.status() is not RunStatus.FINISHED:
        result = execute(run)
        codes.append((result.phase, result.exit_code))
        if result.phase == "parked":
            state = run.state()
            assert run.status() is RunStatus.PARKED
            assert (state.error, state.message) == (None, "saved; the device is free")
    assert codes == [("parked", 130)] * 4 + [("finished", 0)]
    assert f"asked {run.name} to park" in capsys.readouterr().out
    assert [e for e in lab.events(run) if e[1] == "resume"] == [
        ("teacher", "resume"),
        ("student", "resume"),
        ("student", "resume"),
        ("student", "resume"),  # it was done by then, and is read for its best epoch
        ("baseline", "resume"),
    ]
    same_run(lab, undisturbed, run)
    first, second = (r.scorecard()["networks"] for r in (undisturbed, run))
    assert {name: entry["validation"] for name, entry in first.items()} == {
        name: entry["validation"] for name, entry in second.items()
    }


def test_hold_and_continue(lab: Any, when_status: Callable[..., None]) -> None:
    undisturbed = lab.run(**LIVELY)
    run = lab.new_project("other").create_run(lab.experiment(**LIVELY))
    held: list[Any] = []

    def go_on() -> None:
        held.append(run.state())
        main(["continue", str(run.path)])

    lab.before_step("student", 4, ask("hold"))
    when_status(run, RunStatus.HOLDING, go_on)
    assert execute(run).phase == "finished"
    assert held[0].step in (4, 5)
    events = [event for event in lab.events(run) if event[1] in ("hold", "continue")]
    assert events == [("student", "hold"), ("student", "continue")]
    same_run(lab, undisturbed, run)


@pytest.mark.parametrize(("verb", "phase", "code"), [("park", "parked", 130), ("stop", "stopped", 0)])
def test_a_hold_can_end_otherwise(lab: Any, when_status: Callable[..., None], verb: str, phase: str, code: int) -> None:
    run = lab.project.create_run(lab.experiment())
    lab.before_step("student", 4, ask("hold"))
    when_status(run, RunStatus.HOLDING, lambda: main([verb, str(run.path)]))
    result = execute(run)
    assert (result.phase, result.exit_code) == (phase, code)
    assert run.state().phase == phase


def test_between_the_stages_a_hold_is_told_too(
    lab: Any, when_status: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.project.create_run(lab.experiment())
    lab.before_step("student", 14, lambda trainer: None)
    from kdstudio.engine import run as run_module

    original = run_module.score_run

    def score(*args: Any, **named: Any) -> Any:
        request(run, "hold")
        return original(*args, **named)

    monkeypatch.setattr(run_module, "score_run", score)
    when_status(run, RunStatus.HOLDING, lambda: request(run, "continue"))
    assert execute(run).phase == "finished"


def test_stop_evaluates_and_saves_and_can_be_resumed(lab: Any) -> None:
    undisturbed = lab.run(**LIVELY)
    run = lab.new_project("other").create_run(lab.experiment(**LIVELY))
    lab.before_step("student", 7, ask("stop"))
    result = execute(run)
    assert (result.phase, result.exit_code) == ("stopped", 0)
    assert run.status() is RunStatus.STOPPED
    content = torch.load(run.checkpoints_dir / "last.pt", weights_only=True)
    assert content["progress"]["step"] == 8
    assert "baseline" not in run.scorecard()["networks"]
    assert (run.student_dir / "model.safetensors").exists()
    assert execute(run).phase == "finished"
    assert lab.same(lab.module(undisturbed), lab.module(run))
    assert lab.same(lab.module(undisturbed, "baseline-last.pt"), lab.module(run, "baseline-last.pt"))


def test_a_stop_does_not_bring_an_early_stop_nearer(lab: Any) -> None:
    fields = {"teacher": None, "objective": [{"term": "hard"}], "train": {"epochs": 9, "lr": 1e-30, "early_stop": 2}}
    run = lab.project.create_run(lab.experiment(**fields))
    lab.before_step("student", 7, ask("stop"))
    assert execute(run).phase == "stopped"
    assert execute(run).phase == "finished"
    assert run.state().epoch == 2


def test_a_stop_in_the_teachers_training(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment())
    lab.before_step("teacher", 3, ask("stop"))
    assert execute(run).phase == "stopped"
    assert not run.student_dir.exists()
    assert run.scorecard() is None
    assert execute(run).phase == "finished"


def test_stop_now_leaves_the_last_checkpoint(lab: Any) -> None:
    undisturbed = lab.run(**LIVELY)
    run = lab.new_project("other").create_run(lab.experiment(**LIVELY))
    lab.before_step("student", 7, ask("stop-now"))
    result = execute(run)
    assert (result.phase, result.exit_code) == ("stopped", 130)
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]["step"] == 5
    assert not run.student_dir.exists()
    assert execute(run).phase == "finished"
    same_run(lab, undisturbed, run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_like_a_park(lab: Any, number: signal.Signals) -> None:
    run = lab.project.create_run(lab.experiment())
    before = signal.getsignal(number)
    lab.before_step("student", 6, lambda trainer: os.kill(os.getpid(), number))
    result = execute(run)
    assert (result.phase, result.exit_code) == ("parked", 130)
    assert run.state().message == "interrupted and saved"
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]["step"] == 7
    assert signal.getsignal(number) is before
    assert execute(run).phase == "finished"


def test_a_second_ctrl_c_means_it(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment())

    def twice(trainer: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    lab.before_step("student", 6, twice)
    with pytest.raises(KeyboardInterrupt):
        execute(run)
    assert execute(run).phase == "finished"


def test_requests_of_an_earlier_process_are_forgotten(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment())
    for name in ("stop", "park", "hold", "stop-now"):
        (run.control_dir / name).touch()
    lab.before_step("student", 1, lambda trainer: None)
    assert execute(run).phase == "finished"
    assert not list(run.control_dir.iterdir())


def test_no_request_is_lost_once_the_state_says_that_the_run_is_going(
    lab: Any, when_status: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.project.create_run(lab.experiment())
    lab.before_step("student", 1, lambda trainer: None)
    from kdstudio.engine.recorder import Recorder

    original = Recorder.__enter__

    def enter(recorder: Recorder) -> Recorder:
        original(recorder)
        request(run, "park")  # at the first moment at which anyone can see it going
        return recorder

    monkeypatch.setattr(Recorder, "__enter__", enter)
    assert execute(run).phase == "parked"


def test_what_wins_when_requests_lie_together(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lab.project.create_run(lab.experiment())
    monkeypatch.setattr("kdstudio.engine.control.POLL_SECONDS", 0.0)
    control = Control(run)
    for names, error in ((("hold", "park", "stop-now"), StoppedNow), (("hold", "park"), Parked)):
        for name in names:
            request(run, name)
        with pytest.raises(error):
            control.poll()
    request(run, "hold")
    request(run, "continue")
    control.poll()  # does not wait
    request(run, "stop")
    control.poll()
    assert control.stop_requested
    control._signalled = True
    with pytest.raises(Interrupted):
        control.poll()


def test_a_run_that_waits_for_anothers_teacher_can_be_stopped(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdstudio.engine.control.POLL_SECONDS", 0.0)
    run = lab.project.create_run(lab.experiment())
    original = teacher_store.teacher_folder
    locks: list[FileLock] = []

    def folder(*args: Any) -> Any:
        path = original(*args)
        path.parent.mkdir(exist_ok=True)
        locks.append(FileLock(path.with_name(f".{path.name}.lock")))
        locks[0].acquire()
        request(run, "stop")
        return path

    monkeypatch.setattr("kdstudio.engine.teacher_stage.teacher_folder", folder)
    try:
        assert execute(run).phase == "stopped"
    finally:
        locks[0].release()


@pytest.mark.parametrize("verb", ["hold", "continue", "park", "stop", "stop-now"])
def test_a_run_that_is_not_going_cannot_be_asked(lab: Any, capsys: Any, verb: str) -> None:
    run = lab.project.create_run(lab.experiment())
    assert main([verb, str(run.path)]) == 2
    err = capsys.readouterr().err
    assert f"kdstudio: small/001: nothing to {verb}" in err
    assert "Why: the run is not going: not started" in err
    assert f"What to do: resume it with: kdstudio run {run.path} --resume" in err
    assert not list(run.control_dir.iterdir())


def test_a_second_process_is_refused(lab: Any) -> None:
    run = lab.run()
    before = run.state_path.read_bytes()
    with FileLock(run.lock_path), pytest.raises(RunBusyError, match="another process already works on this run") as e:
        execute(run)
    assert e.value.exit_code == 2
    assert e.value.why == f"its process id is {os.getpid()}"
    assert run.state_path.read_bytes() == before


def test_a_loss_that_is_not_finite_names_term_and_step(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"train": {"epochs": 3, "checkpoint_seconds": 0}}  # a checkpoint after each step
    undisturbed = lab.run(**fields)
    run = lab.new_project("other").create_run(lab.experiment(**fields))
    with monkeypatch.context() as patch:
        lab.before_step("student", 7, lambda trainer: spoil(patch))
        with pytest.raises(NotFiniteError) as caught:
            execute(run)
    error = caught.value
    assert error.what == "the loss of the student is not finite at step 7: term 'soft'"
    assert (error.exit_code, error.kind) == (1, "not-finite")
    assert "lower train.lr" in error.fix
    assert "the last checkpoint is from before this step" in error.fix
    state = run.state()
    assert (state.phase, state.error) == ("failed", error.as_dict())
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]["step"] == 7
    assert all(value.isfinite().all() for value in lab.module(run).values())
    broken = lab.metrics(run).series("student", "train", "loss")
    assert broken.steps.tolist() == list(range(8))
    assert np.isnan(broken.values).tolist() == [False] * 7 + [True]
    assert execute(run).phase == "finished"
    assert lab.same(lab.module(undisturbed), lab.module(run))


def spoil(patch: pytest.MonkeyPatch) -> None:
    def broken(student: torch.Tensor, *args: Any) -> torch.Tensor:
        return student.sum() * float("nan")

    patch.setattr("kdstudio.engine.terms.outputs.soft_target_loss", broken)


@pytest.mark.parametrize("step", [2, 4])
def test_an_update_that_is_not_finite_is_not_checkpointed(lab: Any, step: int) -> None:
    """The loss of the step is fine, and so is the last one of an epoch; the weights after it are not."""
    run = lab.project.create_run(lab.experiment(train={"epochs": 2, "checkpoint_seconds": 0}))

    def burst(trainer: Trainer) -> None:
        original = trainer.optimizer.step

        def step() -> None:
            original()
            trainer.raw.student.hidden1.linear.bias.data.fill_(float("inf"))

        trainer.optimizer.step = step

    lab.before_step("student", step, burst)
    with pytest.raises(
        NotFiniteError, match=f"the weights of the student are not finite after step {step}: student.hidden1"
    ):
        execute(run)
    assert torch.load(run.checkpoints_dir / "last.pt", weights_only=True)["progress"]["step"] == step
    assert all(value.isfinite().all() for value in lab.module(run).values())
    assert not (run.checkpoints_dir / "best.pt").exists()


def test_a_run_that_diverges_by_itself(lab: Any, capsys: Any) -> None:
    path = lab.project.save(lab.experiment(name="wild", teacher=None, objective=[{"term": "hard"}]))
    assert main(["run", str(path), "--quiet", "--set", "train.lr=100", "--set", "train.epochs=60"]) == 1
    err = capsys.readouterr().err
    assert "of the student " in err
    assert "not finite" in err
    assert "What to do: lower train.lr (try a tenth)" in err
    assert "Traceback" not in err

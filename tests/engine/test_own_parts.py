"""What terms learn beside the student: nobody but the training changes it, and odd sizes do not break it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from kdstudio.engine import control
from kdstudio.engine.control import Control
from kdstudio.engine.first_stage import FirstStage
from kdstudio.engine.objective import Objective
from kdstudio.engine.run import execute
from kdstudio.engine.terms import Facts, StepOutputs
from kdstudio.project import spec
from kdstudio.project.runs.control import request
from kdstudio.project.spec import LayerPair

STAGES = [{"teacher": f"stage{number}", "student": f"stage{number}"} for number in (1, 2)]
CNNS: dict[str, Any] = {
    "teacher": {"model": "cnn", "widths": [6, 8], "train": {"epochs": 1, "lr": 0.1}},
    "student": {"model": "cnn", "widths": [4, 6]},
}
PIXEL = [LayerPair(teacher="pixel", student="pixel")]


@pytest.mark.parametrize("term", [spec.ReviewTerm, spec.OverhaulTerm, spec.BoundaryTerm, spec.FactorTerm])
def test_a_single_value_for_each_channel_is_no_error(term: Any) -> None:
    """Batch normalisation cannot work on one sample whose map is one pixel."""
    objective = Objective([term(pairs=PIXEL)], 1, {"pixel": (8, 1, 1)}, {"pixel": (9, 1, 1)})
    student = torch.randn(1, 8, 1, 1).requires_grad_()
    taps = {"pixel": student}, {"pixel": torch.randn(1, 9, 1, 1)}
    total, _ = objective.train()(StepOutputs(torch.randn(1, 5), torch.zeros(1, dtype=torch.int64), None, *taps), 0)
    total.backward()
    assert torch.isfinite(total)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_variances_begin_where_the_spec_says() -> None:
    for start in (0.002, 5.0, 1000.0):
        term = spec.VariationalTerm(start_variance=start, pairs=PIXEL)
        objective = Objective([term], 1, {"pixel": (8, 1, 1)}, {"pixel": (9, 1, 1)})
        raw = dict(objective.named_parameters())["terms.0.raw_variances.0"]
        assert torch.nn.functional.softplus(raw.double()).add(1e-5).tolist() == pytest.approx([start] * 9, rel=1e-3)


def test_a_low_temperature_of_contrasts_stays_finite() -> None:
    """What agrees wholly has e to the power of 1000 there."""
    term = spec.ContrastiveTerm(pairs=[LayerPair(teacher="a", student="a")], temperature=0.001)
    objective = Objective([term], 1, {"a": (4,)}, {"a": (4,)}, Facts(torch.arange(12) % 3, 3))
    heads = [module for module in objective.modules() if isinstance(module, torch.nn.Linear)]
    heads[1].load_state_dict(heads[0].state_dict())  # so that both say the same of a sample
    vectors, labels = torch.randn(12, 4), torch.arange(12) % 3
    for _ in range(3):
        student = vectors.clone().requires_grad_()
        taps = {"a": student}, {"a": vectors}
        outputs = StepOutputs(torch.randn(12, 3), labels, None, *taps, indices=torch.arange(12))
        total, _ = objective(outputs, 0)
        total.backward()
        assert math.isfinite(float(total.detach()))
        assert student.grad is not None
        assert torch.isfinite(student.grad).all()


def test_snapshots_leave_the_terms_parts_alone(lab: Any) -> None:
    fields: dict[str, Any] = {**CNNS, "objective": [{"term": "hard"}, {"term": "review", "pairs": STAGES}]}
    few, many = (
        lab.run(**fields, monitor={"every_seconds": seconds}, project=lab.new_project(str(seconds)))
        for seconds in (3600, 0.05)
    )
    assert len(list(many.snapshots_dir.iterdir())) >= len(list(few.snapshots_dir.iterdir()))
    for name in ("last.pt", "best.pt"):
        assert lab.same(lab.module(few, name), lab.module(many, name))


def test_a_first_stage_that_is_killed_early_is_recorded_once(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    term = {"term": "factor", "pairs": STAGES[1:], "paraphraser_epochs": 2}
    run = lab.project.create_run(lab.experiment(**CNNS, objective=[{"term": "hard"}, term]))
    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    original, asked = FirstStage._epoch, []

    def epoch(stage: FirstStage, *args: Any) -> bool:
        poll = Control.poll

        def late(*found: Any) -> None:
            if stage.step == 2 and not asked:
                asked.append(request(run, "stop-now"))
            poll(*found)

        monkeypatch.setattr(Control, "poll", late)
        return original(stage, *args)

    monkeypatch.setattr(FirstStage, "_epoch", epoch)
    assert execute(run).phase == "stopped"
    assert execute(run).phase == "finished"
    steps = lab.metrics(run).series("factor-first", "train", "loss").steps.tolist()
    assert steps == sorted(set(steps))
    assert steps[0] == 0

"""Every term of the objective in `kdstudio run`: a convolutional teacher and student on the digits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from kdstudio.project.folder import Project, create_project
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.metrics import MetricFollower, MetricStore
from kdstudio.project.spec import JOIN_RULES, Term
from kdstudio.project.spec.walk import models_in, tags_of
from tests.e2e.conftest import Command

#: Those on layers of text networks are tried in tests/engine/text.
PICTURED = [model for model in models_in(Term) if not model.__module__.endswith("text_terms")]
TAGS = [tag for model in PICTURED for tag in tags_of(model)]
#: The same widths, so that terms without a regressor have something to pair, too.
NETS = """\
data: {source: digits, batch_size: 32, train_limit: 160}
teacher: {model: cnn, widths: [4, 6], train: {epochs: 1, lr: 0.1}}
student: {model: cnn, widths: [4, 6]}
train: {epochs: 2, lr: 0.01}
monitor: {every_seconds: 3600}
evaluate: {latency: false, test: false}
objective:
"""
PAIRS = "pairs: [{teacher: stage1, student: stage1}, {teacher: stage2, student: stage2}]"
#: What overhauled features take of a teacher.
NORMS = "pairs: [{teacher: stage1.bn, student: stage1}, {teacher: stage2.bn, student: stage2}]"


def term(tag: str, more: str = "") -> str:
    """The term in YAML at its usual weight."""
    pairs = NORMS if tag == "overhaul" else PAIRS
    peers = "peers: [{model: cnn, widths: [4, 6], seed: 1}]" if tag == "mutual" else ""
    parts = [f"term: {tag}", pairs if tag in JOIN_RULES else peers, more]
    return f"  - {{{', '.join(part for part in parts if part)}}}\n"


@pytest.fixture
def cnns(tmp_path: Path) -> Project:
    return create_project(tmp_path / "project", "empty")


def run(project: Project, command: Command, objective: str) -> tuple[RunFolder, MetricStore]:
    others = "teachers: [{model: mlp, widths: [8], train: {epochs: 1}}]\n" if "ensemble" in objective else ""
    (project.experiments_dir / "try.yaml").write_text(others + NETS + objective)
    code, _, err = command("run", project.experiments_dir / "try.yaml")
    assert code == 0, err
    found = project.runs("try")[0]
    return found, MetricFollower(found.metrics_path).read_all()


@pytest.mark.parametrize("tag", TAGS)
def test_every_term_trains(cnns: Project, command: Command, tag: str) -> None:
    """Alone, so that nothing else can move the student."""
    found, metrics = run(cnns, command, term(tag))
    assert found.state().phase == "finished"
    series = metrics.series("student", "train", f"term.{tag}")
    assert len(series.values) == 10
    assert np.isfinite(series.values).all()
    assert (np.asarray(metrics.series("student", "train", "grad_norm").values) > 0).all()
    outputs_only = tag not in JOIN_RULES and tag != "mutual"
    assert (metrics.length("student", "validation", f"term.{tag}") > 0) is outputs_only
    assert {key.split(".")[0] for key in load_file(found.student_dir / "model.safetensors")} == {
        "stage1",
        "stage2",
        "fc",
    }


def test_all_terms_at_once_count_when_they_should(cnns: Project, command: Command) -> None:
    first = [tag for tag in TAGS if tag != "hard"][::2]
    objective = term("hard")
    for tag in TAGS[1:]:
        objective += term(tag, "until_epoch: 1" if tag in first else "from_epoch: 1")
    objective += term("soft", "schedule: {start: 1, end: 0}")
    _, metrics = run(cnns, command, objective)
    for tag in TAGS[1:]:
        series = metrics.series("student", "train", f"term.{tag}")
        steps = [int(step) for step, value in zip(series.steps, series.values) if math.isfinite(value)]
        assert steps == ([0, 1, 2, 3, 4] if tag in first else [5, 6, 7, 8, 9]), tag
    assert len(metrics.series("student", "train", "term.soft-2").values) == 10

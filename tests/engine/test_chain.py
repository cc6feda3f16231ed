"""Chains: assistants between teacher and student, each distilled from the network before it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional

from kdstudio.cli import main
from kdstudio.engine.chain import links_of
from kdstudio.engine.losses import soft_target_loss
from kdstudio.engine.objective import Objective
from kdstudio.engine.run import execute
from kdstudio.engine.scorecard import summary_lines
from kdstudio.engine.terms import StepOutputs
from kdstudio.engine.trainer import Trainer
from kdstudio.project.errors import ModelError, SpecError
from kdstudio.project.folder import compact
from kdstudio.project.spec import Experiment, HardTerm, SoftTerm, validate

PAIR = {"pairs": [{"teacher": "hidden1", "student": "hidden1"}]}
#: The first assistant has the student's terms on outputs, the second ones of its own.
CHAIN: dict[str, Any] = {
    "data": {"source": "digits", "batch_size": 32, "train_limit": 160, "augment": ["jitter"]},
    "assistants": [
        {"model": "mlp", "widths": [20], "dropout": 0.2},
        {
            "model": "mlp",
            "widths": [16],
            "train": {"epochs": 2, "lr": 0.1},
            "objective": [{"term": "soft", "temperature": 2}, {"term": "hint", **PAIR}],
        },
    ],
    "objective": [{"term": "hard", "weight": 0.2}, {"term": "soft", "weight": 0.8}, {"term": "hint", **PAIR}],
    "evaluate": {"latency": False, "test": True},
}
LAST = ("assistant-1-last.pt", "assistant-2-last.pt", "last.pt")
STAGES = ("teacher", "assistant-1", "assistant-2", "student")


def test_each_link_learns_from_the_one_before_it(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: dict[str, list[torch.Tensor]] = {}
    ended: dict[str, list[torch.Tensor]] = {}
    original = Trainer.load_best

    def load_best(trainer: Trainer) -> None:
        original(trainer)
        ended[trainer.stage] = [value.clone() for value in trainer.raw.student.parameters()]
        if trainer.teacher is not None:
            taught[trainer.stage] = [value.clone() for value in trainer.teacher.model.parameters()]
            assert not any(value.requires_grad for value in trainer.teacher.model.parameters())
            assert not trainer.teacher.model.training

    monkeypatch.setattr(Trainer, "load_best", load_best)
    run = lab.run(**CHAIN)
    assert [stage for stage, event in lab.events(run) if event == "stage"] == list(STAGES)
    for before, stage in itertools.pairwise(STAGES):
        assert all(torch.equal(one, other) for one, other in zip(ended[before], taught[stage], strict=True))
    terms = {stage: {key for where, _, key in lab.metrics(run).keys() if where == stage} for stage in STAGES}  # noqa: SIM118
    assert "term.hint" not in terms["assistant-1"]
    assert {"term.soft", "term.hint", "agreement"} <= terms["assistant-2"]
    assert {path.name for path in (run.path / "assistant-2").iterdir()} == {"model.safetensors", "student.json"}


def test_the_scorecard_tells_every_link(lab: Any) -> None:
    card = lab.run(**CHAIN).scorecard()
    assert card["chain"] == list(STAGES)
    for name in STAGES[1:]:
        entry = card["networks"][name]
        assert "fidelity" in entry["test"]
        assert 0 <= entry["validation"]["accuracy"] <= 1
    lines = [line for line in summary_lines(card) if line.startswith("chain")]
    assert [line.split(":")[0] for line in lines] == ["chain, validation", "chain, test"]
    assert lines[0].count(" -> ") == 3


def test_without_assistants_there_is_no_chain(lab: Any) -> None:
    card = lab.run().scorecard()
    assert card["chain"] == []
    assert not any(line.startswith("chain") for line in summary_lines(card))


def test_parked_in_any_link_and_resumed_it_is_the_undisturbed_run(lab: Any) -> None:
    undisturbed = lab.run(**CHAIN)
    run = lab.new_project("other").create_run(lab.experiment(**CHAIN))
    for stage, step in (("assistant-1", 7), ("assistant-2", 4), ("student", 6)):
        lab.before_step(stage, step, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    phases = [execute(run).phase for _ in range(4)]
    assert phases == ["parked"] * 3 + ["finished"]
    for name in ("assistant-1-last.pt", "assistant-1-best.pt", "assistant-2-last.pt", "last.pt", "best.pt"):
        assert lab.same(lab.module(undisturbed, name), lab.module(run, name)), name
    first, second = (each.scorecard()["networks"] for each in (undisturbed, run))
    assert {name: first[name]["test"] for name in STAGES} == {name: second[name]["test"] for name in STAGES}


def test_densely_guided_each_link_learns_from_all_before_it(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: dict[str, list[torch.Tensor]] = {}
    taught: dict[str, list[list[torch.Tensor]]] = {}
    original = Trainer.load_best

    def load_best(trainer: Trainer) -> None:
        original(trainer)
        ended[trainer.stage] = [value.clone() for value in trainer.raw.student.parameters()]
        sources = [*trainer.others, *([trainer.teacher] if trainer.teacher is not None else [])]
        taught[trainer.stage] = [[value.clone() for value in source.model.parameters()] for source in sources]

    monkeypatch.setattr(Trainer, "load_best", load_best)
    run = lab.run(**CHAIN, guided="dense")
    for place, stage in enumerate(STAGES):
        before = [ended[name] for name in STAGES[:place]]
        assert len(taught[stage]) == place
        for found, wanted in zip(taught[stage], before, strict=True):
            assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    terms = {stage: {key for where, _, key in lab.metrics(run).keys() if where == stage} for stage in STAGES}  # noqa: SIM118
    assert {"term.soft", "term.hint", "agreement"} <= terms["student"], "terms are called as in any chain"
    assert "term.hint" in terms["assistant-2"]
    assert run.scorecard()["chain"] == list(STAGES)

    plain = lab.run(**CHAIN, guided="last")
    same = {name: lab.same(lab.module(run, name), lab.module(plain, name)) for name in LAST}
    assert same == {"assistant-1-last.pt": True, "assistant-2-last.pt": False, "last.pt": False}


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_densely_guided_and_parked_in_its_last_link_it_is_the_undisturbed_run(lab: Any, drop: float) -> None:
    way = {"guided": "dense", "guided_drop": drop}
    undisturbed = lab.run(**CHAIN, **way)
    run = lab.new_project("other").create_run(lab.experiment(**CHAIN, **way))
    for stage, step in (("assistant-2", 4), ("student", 6)):
        lab.before_step(stage, step, lambda trainer: main(["park", str(trainer.recorder.run.path)]))
    assert [execute(run).phase for _ in range(3)] == ["parked", "parked", "finished"]
    for name in (*LAST, "best.pt"):
        assert lab.same(lab.module(undisturbed, name), lab.module(run, name)), name


def test_densely_guided_with_kept_answers_it_is_the_run_without(lab: Any) -> None:
    fields = {**CHAIN, "data": {"source": "digits", "batch_size": 32, "train_limit": 160}, "guided": "dense"}
    kept = {"use": "on", "precision": "fp32"}
    runs = [
        lab.run(project=lab.new_project(name), **fields, cache=cache)
        for name, cache in (("asked", {"use": "off"}), ("kept", kept))
    ]
    first, second = (lab.module(run) for run in runs)
    assert list((lab.root / "kept" / "cache").iterdir())
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], rtol=1e-4, atol=1e-5)


def test_a_densely_guided_term_is_the_mean_over_the_teachers() -> None:
    torch.manual_seed(0)
    student, first, second, third = torch.randn(4, 8, 5).unbind()
    student.requires_grad_()
    objective = Objective([HardTerm(weight=0.1), SoftTerm(weight=0.9, temperature=3.0)], 1, dense=True)
    assert objective.needs_others(0)
    labels = torch.arange(8) % 5
    total, parts = objective(StepOutputs(student, labels, first, other_logits=[second, third]), 0)
    soft = [soft_target_loss(student, each, 3.0) for each in (first, second, third)]
    wanted = 0.1 * functional.cross_entropy(student, labels) + 0.9 * sum(soft) / 3
    torch.testing.assert_close(total, wanted)
    torch.testing.assert_close(parts[0, 1], (sum(soft) / 3).detach())
    paper = sum(0.1 * functional.cross_entropy(student, labels) + 0.9 * each for each in soft)
    torch.testing.assert_close(3 * total, paper)


def test_teachers_are_left_out_of_steps_and_of_nothing_else() -> None:
    torch.manual_seed(0)
    student, *teachers = torch.randn(4, 8, 5).unbind()
    outputs = StepOutputs(student, torch.arange(8) % 5, teachers[0], other_logits=teachers[1:])
    term = Objective([SoftTerm(temperature=3.0)], 1, dense=True, drop=0.5).term_modules()[0]
    each = torch.stack([soft_target_loss(student, teacher, 3.0) for teacher in teachers])
    kept = [list(group) for count in (1, 2, 3) for group in itertools.combinations(range(3), count)]
    possible = torch.stack([each[group].mean() for group in kept])
    found = torch.stack([term(outputs) for _ in range(200)])
    nearest = (found[:, None] - possible).abs().min(dim=1)
    assert nearest.values.max() < 1e-6
    shares = torch.bincount(nearest.indices, minlength=7) / 200
    assert shares[0] > shares[1:].max(), "the one before it stays where all would go"
    assert (shares > 0).all()
    torch.testing.assert_close(term.eval()(outputs), each.mean())


def test_a_chain_is_densely_guided_from_its_second_link_on(lab: Any) -> None:
    assert [link.dense for link in links_of(lab.experiment(**CHAIN, guided="dense"))] == [False, True, True]
    assert [link.dense for link in links_of(lab.experiment(**CHAIN))] == [False] * 3
    assert [link.dense for link in links_of(lab.experiment(guided="dense"))] == [False]


def test_a_stop_in_an_assistant_keeps_nothing_and_can_be_resumed(lab: Any) -> None:
    run = lab.project.create_run(lab.experiment(**CHAIN))
    lab.before_step("assistant-1", 3, lambda trainer: main(["stop", str(trainer.recorder.run.path)]))
    assert execute(run).phase == "stopped"
    assert not (run.path / "assistant-1").exists()
    assert not run.student_dir.exists()
    assert execute(run).phase == "finished"


def test_an_assistants_first_stage_has_a_name_of_its_own(lab: Any) -> None:
    maps = {"pairs": [{"teacher": "stage1", "student": "stage1"}]}
    factor = {"term": "factor", "paraphraser_epochs": 1, **maps}
    run = lab.run(
        teacher={"model": "cnn", "widths": [4, 6], "train": {"epochs": 1}},
        assistants=[
            {"model": "cnn", "widths": [4, 4], "train": {"epochs": 1}, "objective": [{"term": "hard"}, factor]}
        ],
        student={"model": "cnn", "widths": [2, 4]},
        objective=[{"term": "hard"}, factor],
        train={"epochs": 1},
    )
    stages = [stage for stage, event in lab.events(run) if event == "stage"]
    assert stages == ["teacher", "assistant-1-factor-first", "assistant-1", "factor-first", "student"]


def test_networks_of_one_architecture_do_not_start_alike(lab: Any) -> None:
    network = {"model": "mlp", "widths": [12]}
    links = links_of(lab.experiment(assistants=[network, network], train={"seed": 5}))
    assert [link.experiment.train.seed for link in links] == [6, 7, 5]
    assert [link.stage for link in links] == ["assistant-1", "assistant-2", "student"]


def test_a_wrong_layer_is_told_before_anything_is_trained(lab: Any) -> None:
    fields: dict[str, Any] = {**CHAIN, "assistants": [dict(each) for each in CHAIN["assistants"]]}
    wrong = {"pairs": [{"teacher": "hidden9", "student": "hidden1"}]}
    fields["assistants"][1]["objective"] = [{"term": "hint", **wrong}]
    with pytest.raises(ModelError, match=r"assistants\.1\.objective\.0\.pairs\.0\.teacher: no layer 'hidden9'"):
        lab.run(**fields)
    fields["assistants"] = [{"model": "cnn", "widths": [2, 2, 2, 2, 2, 2]}]
    with pytest.raises(ModelError, match=r"^(assistants\.0|objective)"):
        lab.run(**fields)


def test_a_further_teacher_that_cannot_be_built_is_told_before_anything_is_trained(lab: Any) -> None:
    further = {"model": "mlp", "weights": "nowhere.safetensors"}
    run = lab.project.create_run(lab.experiment(teachers=[further], objective=[{"term": "ensemble"}]))
    with pytest.raises(ModelError, match=r"teachers\.0\.weights: there is no file"):
        execute(run)
    assert lab.events(run) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"teacher": None, "objective": [{"term": "hard"}]}, "there are assistants and no teacher"),
        ({"objective": [{"term": "hint", **PAIR}]}, "assistants.0 has no terms"),
        (
            {"objective": [{"term": "hint", "until_epoch": 1, **PAIR}, {"term": "soft", "from_epoch": 1}]},
            r"no term of assistants\.0 \(it has the student's terms on outputs.*counts in epoch 0",
        ),
        ({"assistants": [{"model": "resnet21"}]}, "6 n [+] 2"),
        ({"guided": "dense", "teachers": [{"model": "mlp"}]}, "the assistants are the further teachers"),
    ],
)
def test_what_cannot_be_a_chain_is_refused(lab: Any, fields: dict[str, Any], said: str) -> None:
    plain = compact(lab.experiment())
    with pytest.raises(SpecError, match=said):
        validate(Experiment, {**plain, "assistants": [{"model": "mlp"}], **fields})


def test_a_chain_is_written_as_a_person_would(lab: Any) -> None:
    experiment = lab.experiment(**CHAIN)
    written = compact(experiment)
    assert written["assistants"][0] == {"model": "mlp", "widths": [20], "dropout": 0.2}
    assert written["assistants"][1]["objective"][0] == {"term": "soft", "weight": 1.0, "temperature": 2.0}
    assert validate(Experiment, written) == experiment
    assert "assistants" not in compact(lab.experiment())

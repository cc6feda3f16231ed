"""What a snapshot holds: logits of probes and pool, and how far the layers have come to agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kdstudio.engine import losses
from kdstudio.engine.cka import linear_cka
from kdstudio.engine.data import ArraySplit, DataBundle, Preprocess
from kdstudio.engine.evaluate import predict
from kdstudio.engine.looks import attention_of, relations_of
from kdstudio.engine.losses import attention_transfer_loss, similarity_preserving_loss
from kdstudio.engine.models import layer_names
from kdstudio.engine.models.cifar import CifarResNet
from kdstudio.engine.models.simple import CNN
from kdstudio.engine.objective import Objective
from kdstudio.engine.probes import Probes, balanced_order, spread
from kdstudio.engine.recorder import Recorder
from kdstudio.engine.taps import Taps
from kdstudio.project.folder import init_run
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import entropy, list_snapshots, read_looks, read_probes, read_snapshot
from kdstudio.project.spec import AttentionTerm, Experiment, HardTerm, HintTerm, LayerPair, MonitorSpec, SimilarityTerm

CLASSES = ["a", "b", "c"]
PAIRS = [LayerPair(teacher="layer2", student="stage1"), LayerPair(teacher="layer3", student="stage2")]
NAMES = ["layer2 → stage1", "layer3 → stage2"]


def make_bundle(validation: int = 40) -> DataBundle:
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> ArraySplit:
        images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
        return ArraySplit(images, torch.arange(count) % len(CLASSES))

    return DataBundle("x", split(12), split(validation), split(12), CLASSES, (1, 8, 8), [0.5], [0.25])


class Bench:
    """A recorder, a teacher with depth, a small student and their probes."""

    def __init__(self, root: Path, spec: MonitorSpec, validation: int = 40, teacher: bool = True) -> None:
        torch.manual_seed(0)
        plain = {"name": "x", "student": {"model": "mlp"}, "objective": [{"term": "hard"}]}
        experiment = Experiment.model_validate(plain)
        self.run: RunFolder = init_run(root / "run", experiment)
        self.bundle = make_bundle(validation)
        self.preprocess = Preprocess(self.bundle.mean, self.bundle.std, self.bundle.input_shape)
        self.teacher = CifarResNet(8, 1, 3, "B").eval() if teacher else None
        self.student = CNN(1, [4, 6], 3, 0.5)
        shapes = ({"stage1": (4, 8, 8), "stage2": (6, 4, 4)}, {"layer2": (32, 4, 4), "layer3": (64, 2, 2)})
        terms = [HintTerm(pairs=PAIRS)] if teacher else []
        self.objective = Objective(list(terms), 1, *shapes)
        self.recorder = Recorder(self.run)
        self.recorder.__enter__()
        device = torch.device("cpu")
        self.probes = Probes(spec, self.bundle, self.preprocess, self.recorder, device, self.teacher)

    def take(self, step: int = 1) -> None:
        self.probes.take(self.student, self.objective, "student", step, 0)
        self.recorder.flush_snapshots()

    def close(self) -> None:
        self.recorder.__exit__(None, None, None)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made: list[Bench] = []

    def make(validation: int = 40, teacher: bool = True, **spec: Any) -> Bench:
        fields = {"probes": 6, "pool": 20, "alignment_samples": 12, **spec}
        made.append(Bench(tmp_path / str(len(made)), MonitorSpec(**fields), validation, teacher))
        return made[-1]

    yield make
    for item in made:
        item.close()


def test_logits_of_probes_and_pool(bench: Any) -> None:
    it = bench()
    it.take(step=7)
    probes = read_probes(it.run)
    (info,) = list_snapshots(it.run)
    snapshot = read_snapshot(info)
    assert probes is not None
    assert snapshot is not None
    assert (snapshot.step, snapshot.epoch, snapshot.stage) == (7, 0, "student")
    assert probes.classes == CLASSES
    validation = it.bundle.validation
    assert probes.labels.tolist() == validation.labels[probes.indices].tolist() == [0, 1, 2, 0, 1, 2]
    assert probes.images is not None
    np.testing.assert_array_equal(probes.images[..., 0], validation.images[probes.indices][:, 0].numpy())
    student = predict(it.student, it.preprocess, validation, "cpu").numpy()
    teacher = predict(it.teacher, it.preprocess, validation, "cpu").numpy()
    pool = it.probes.pool_indices
    assert len(pool) == 20
    assert probes.pool_labels.tolist() == validation.labels[pool].tolist()
    np.testing.assert_allclose(snapshot.student_logits, student[probes.indices], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(probes.teacher_logits, teacher[probes.indices], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(probes.pool_teacher_logits, teacher[pool], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(snapshot.pool_student_logits, student[pool], atol=2e-3)  # kept in half precision


def test_entropy_can_be_worked_out_again(bench: Any) -> None:
    it = bench()
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    logits = predict(it.student, it.preprocess, it.bundle.validation, "cpu")[it.probes.pool_indices]
    for temperature in (1.0, 4.0, 20.0):
        soft = functional.softmax(logits.double() / temperature, dim=1)
        expected = torch.distributions.Categorical(probs=soft).entropy().numpy()
        np.testing.assert_allclose(entropy(snapshot.pool_student_logits, temperature), expected, atol=2e-3)


def test_map_and_pairs(bench: Any) -> None:
    it = bench()
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    assert snapshot.teacher_layers == layer_names(it.teacher)
    assert snapshot.student_layers == layer_names(it.student)
    assert snapshot.cka_map is not None
    assert snapshot.cka_map.shape == (len(snapshot.teacher_layers), len(snapshot.student_layers))
    assert list(snapshot.pair_cka) == list(snapshot.pair_error) == NAMES
    inputs = it.preprocess(it.bundle.validation.images[it.probes.pool_indices[:12]])
    with Taps(it.teacher, ["layer2", "layer3"]) as first, Taps(it.student, ["stage1", "stage2"]) as second:
        it.student.eval()
        with torch.no_grad():
            it.teacher(inputs)
            it.student(inputs)
        upper, lower = first.take(), second.take()
    for pair, name, regressor in zip(PAIRS, NAMES, it.objective.pair_terms()[0].regressors):
        expected = linear_cka(upper[pair.teacher], lower[pair.student])
        assert snapshot.pair_cka[name] == pytest.approx(expected, abs=1e-5)
        row, column = snapshot.teacher_layers.index(pair.teacher), snapshot.student_layers.index(pair.student)
        assert snapshot.cka_map[row, column] == pytest.approx(expected, abs=1e-5)
        with torch.no_grad():
            error = functional.mse_loss(regressor(lower[pair.student]), upper[pair.teacher])
        assert snapshot.pair_error[name] == pytest.approx(float(error), rel=1e-4)


def test_pairs_of_any_term_on_layers(bench: Any) -> None:
    """CKA of every pair; its error by the first term that has one for it."""
    it = bench()
    shapes = ({"stage1": (4, 8, 8), "stage2": (6, 4, 4)}, {"layer2": (32, 4, 4), "layer3": (64, 2, 2)})
    it.objective = Objective([SimilarityTerm(pairs=PAIRS[:1]), AttentionTerm(pairs=PAIRS)], 1, *shapes)
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    assert list(snapshot.pair_cka) == list(snapshot.pair_error) == NAMES
    inputs = it.preprocess(it.bundle.validation.images[it.probes.pool_indices[:12]])
    with Taps(it.teacher, ["layer2", "layer3"]) as first, Taps(it.student, ["stage1", "stage2"]) as second:
        it.student.eval()
        with torch.no_grad():
            it.teacher(inputs)
            it.student(inputs)
        upper, lower = first.take(), second.take()
    expected = (
        similarity_preserving_loss(lower["stage1"], upper["layer2"]),
        attention_transfer_loss(lower["stage2"], upper["layer3"]),
    )
    for name, error in zip(NAMES, expected):
        assert snapshot.pair_error[name] == pytest.approx(float(error), rel=1e-4)


def test_few_layers_of_the_map(bench: Any) -> None:
    """The layers of the pairs are always among them."""
    it = bench(max_layers=2)
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    assert {"layer2", "layer3"} <= set(snapshot.teacher_layers)
    assert {"stage1", "stage2"} <= set(snapshot.student_layers)
    assert len(snapshot.teacher_layers) == 4


@pytest.mark.parametrize("training", [True, False])
def test_no_random_numbers_no_gradients_and_the_mode_stays(bench: Any, training: bool) -> None:
    it = bench()
    it.student.train(training)
    before = {key: value.clone() for key, value in it.student.state_dict().items()}
    torch.manual_seed(3)
    np.random.seed(3)
    state, other = torch.get_rng_state(), np.random.get_state()[1]
    it.take(1)
    it.take(2)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], other)
    assert it.student.training is training
    assert all(module.training is training for module in it.student.modules())
    assert not it.teacher.training
    assert all(torch.equal(before[key], value) for key, value in it.student.state_dict().items())
    assert all(parameter.grad is None for parameter in it.student.parameters())
    assert not it.student.stage1._forward_hooks
    assert [info.step for info in list_snapshots(it.run)] == [1, 2]


def test_the_mode_stays_when_a_snapshot_fails(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    it = bench()
    it.student.train()
    monkeypatch.setattr(it.probes, "_measure", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        it.take()
    assert it.student.training


@pytest.mark.parametrize("validation", [1, 3, 4, 5])
def test_fewer_validation_samples_than_probes(bench: Any, validation: int) -> None:
    it = bench(validation=validation)
    it.take()
    snapshot, probes = read_snapshot(list_snapshots(it.run)[0]), read_probes(it.run)
    assert snapshot is not None
    assert probes is not None
    assert snapshot.student_logits.shape == snapshot.pool_student_logits.shape == (validation, 3)
    assert len(probes.labels) == len(probes.pool_labels) == validation
    assert (snapshot.cka_map is None) == (validation < 4)  # the unbiased estimate needs four


def test_more_probes_than_pool_and_more_aligned_samples(bench: Any) -> None:
    it = bench(probes=10, pool=2, alignment_samples=30)
    it.take()
    snapshot, probes = read_snapshot(list_snapshots(it.run)[0]), read_probes(it.run)
    assert snapshot is not None
    assert probes is not None
    assert snapshot.student_logits.shape == (10, 3) == probes.teacher_logits.shape
    assert len(probes.pool_labels) == len(snapshot.pool_student_logits) == 30
    assert it.probes.aligned == 30


def test_without_a_teacher(bench: Any) -> None:
    it = bench(teacher=False)
    it.take()
    snapshot, probes = read_snapshot(list_snapshots(it.run)[0]), read_probes(it.run)
    assert snapshot is not None
    assert probes is not None
    assert snapshot.cka_map is None
    assert probes.teacher_logits is None
    assert probes.pool_teacher_logits is None


def test_huge_logits_fit_into_half_precision(bench: Any) -> None:
    it = bench()
    with torch.no_grad():
        it.student.fc.weight.mul_(1e9)
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    assert np.isfinite(snapshot.pool_student_logits).all()
    assert float(np.abs(snapshot.student_logits).max()) > 65504


def test_layers_that_give_no_row_per_sample_are_left_out(bench: Any) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stage1, self.stage2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 2, 2)
            self.turned = nn.Identity()
            self.summed = nn.Linear(6, 6)
            self.fc = nn.Linear(6, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.stage2(self.stage1(images)).mean(dim=(2, 3))
            self.summed(features.mean(dim=0, keepdim=True))
            return self.fc(features)

    it = bench()
    it.student = Odd()
    it.take()
    snapshot = read_snapshot(list_snapshots(it.run)[0])
    assert snapshot is not None
    assert snapshot.student_layers == ["stage1", "stage2", "fc"]


def test_when_one_is_due(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, then after the interval, or later where snapshots are slow."""
    from kdstudio.engine import probes

    now = [100.0]
    monkeypatch.setattr(probes.time, "monotonic", lambda: now[0])
    it = bench(every_seconds=5)
    assert it.probes.due()
    it.probes._taken = probes.DENSE // 2
    it.take()
    now[0] += 4.9
    assert not it.probes.due()
    now[0] += 0.2
    assert it.probes.due()
    original = it.probes._measure

    def slow(*arguments: Any) -> Any:
        now[0] += 3.0
        return original(*arguments)

    monkeypatch.setattr(it.probes, "_measure", slow)
    for _ in range(30):  # the cost is a moving mean
        it.take()
    now[0] += 0.99 * 3.0 / probes.BUDGET
    assert not it.probes.due()
    now[0] += 0.02 * 3.0 / probes.BUDGET
    assert it.probes.due()


def test_the_first_ones_come_more_often(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student changes most at its start. What the very first one costs is not held against it."""
    from kdstudio.engine import probes

    now = [100.0]
    monkeypatch.setattr(probes.time, "monotonic", lambda: now[0])
    it = bench(every_seconds=8)
    original = it.probes._measure

    def slow_once(*arguments: Any) -> Any:
        monkeypatch.setattr(it.probes, "_measure", original)
        now[0] += 60.0
        return original(*arguments)

    monkeypatch.setattr(it.probes, "_measure", slow_once)
    for taken in range(1, probes.EARLY + 3):
        it.take()
        wait = 8.0 / probes.QUICKER if taken <= probes.EARLY else 8.0
        now[0] += wait - 0.01
        assert not it.probes.due()
        now[0] += 0.02
        assert it.probes.due()


def test_names_in_the_file_are_plain_json(bench: Any) -> None:
    from kdstudio.project.runs.snapshots import read_header

    it = bench()
    it.take()
    meta = read_header(list_snapshots(it.run)[0].path)
    assert {"step", "epoch", "stage", "time"} <= meta.keys()
    assert set(json.loads(meta["pair_cka"])) == set(NAMES)


def test_balanced_order() -> None:
    labels = np.array([0, 0, 0, 0, 2, 2, 1, 0])
    order = balanced_order(labels)
    assert sorted(order.tolist()) == list(range(8))
    assert labels[order].tolist() == [0, 1, 2, 0, 2, 0, 0, 0]
    assert order[:3].tolist() == [0, 6, 4]
    generator = np.random.default_rng(0)
    many = generator.integers(0, 7, 500)
    for length in (7, 70, 200):
        counts = np.bincount(many[balanced_order(many)[:length]], minlength=7)
        assert counts.max() - counts.min() <= 1
    assert balanced_order(np.array([], np.int64)).tolist() == []


def test_spread() -> None:
    names = [f"n{index}" for index in range(10)]
    assert spread(names, 10, []) == names
    assert spread(names, 2, []) == ["n0", "n9"]
    assert spread(names, 3, ["n7"]) == ["n0", "n4", "n7", "n9"]
    assert spread(names, 3, ["inner.part", "n7"]) == ["n0", "n4", "n7", "n9", "inner.part"]
    assert spread([], 3, ["x"]) == ["x"]


def test_attention_and_distances_of_the_probes(bench: Any) -> None:
    it = bench()
    it.take()
    it.take(step=2)
    first, second = list_snapshots(it.run)
    pairs = tuple((pair.teacher, pair.student) for pair in PAIRS)
    assert first.attention_pairs == first.relation_pairs == second.attention_pairs == pairs
    assert not (it.run.snapshots_dir / "teacher.safetensors").stat().st_size > 20_000
    validation = it.bundle.validation
    inputs = it.preprocess(validation.images[it.probes.probe_indices])
    names = [[one for one, _ in pairs], [other for _, other in pairs]]
    for model, side in ((it.teacher, 0), (it.student.eval(), 1)):
        with Taps(model, names[side]) as taps, torch.no_grad():
            model(inputs)
            captured = taps.take()
        for pair in pairs:
            features = captured[pair[side]]
            attention = read_looks(it.run, first, "attention", pair)
            relations = read_looks(it.run, first, "relations", pair)
            assert attention is not None
            assert relations is not None
            expected = losses.attention_map(features).reshape(6, *features.shape[2:])
            np.testing.assert_allclose(attention[side], expected.numpy(), atol=2e-3)
            rows = features.flatten(1)
            distances = torch.tensor([[float((one - other).norm()) for other in rows] for one in rows])
            mean = distances[distances > 0].mean()
            np.testing.assert_allclose(relations[side], (distances / mean).numpy(), atol=2e-3)


def test_without_pairs_the_last_layers_are_looked_at(bench: Any) -> None:
    it = bench()
    it.objective = Objective([HardTerm()], 1)
    it.take()
    (info,) = list_snapshots(it.run)
    assert len(info.attention_pairs) == len(info.relation_pairs) == 1
    assert info.pair_cosine == {}
    found = read_looks(it.run, info, "relations", info.relation_pairs[0])
    assert found is not None
    assert found[0].shape == found[1].shape == (6, 6)


def test_large_maps_are_made_small_and_many_probes_few() -> None:
    features = torch.rand(40, 3, 64, 48)
    assert attention_of(features).shape == (32, 16, 16)
    assert attention_of(features).dtype == np.float16
    assert relations_of(features).shape == (32, 32)
    same = relations_of(torch.ones(4, 5))
    assert np.isfinite(same).all()
    assert not same.any()


def test_the_cosine_is_that_after_the_regressor(bench: Any) -> None:
    it = bench()
    it.take()
    (info,) = list_snapshots(it.run)
    assert set(info.pair_cosine) == {f"{pair.teacher} → {pair.student}" for pair in PAIRS}
    assert all(-1 <= value <= 1 for value in info.pair_cosine.values())

"""Snapshots: what lies on disk, what of it is damaged, and the sums that panels make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from kdstudio.project.runs import snapshots
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.snapshots import (
    PROBES_FILE,
    SnapshotInfo,
    class_matrix,
    class_means,
    entropy,
    in_force,
    list_snapshots,
    log_soften,
    read_array,
    read_cka,
    read_header,
    read_probes,
    read_snapshot,
    soften,
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "snapshots").mkdir()
    return RunFolder(tmp_path)


def put(run: RunFolder, name: str, arrays: dict[str, np.ndarray], **meta: str) -> Path:
    path = run.snapshots_dir / name
    path.write_bytes(save(arrays, metadata=meta))
    return path


def put_snapshot(run: RunFolder, number: int, step: int, **more: Any) -> Path:
    arrays = {
        "student_logits": np.full((2, 3), step, np.float32),
        "pool_student_logits": np.full((4, 3), step, np.float16),
        **more.pop("arrays", {}),
    }
    meta = {"step": str(step), "epoch": "1", "stage": "student", "time": "12.5", **more}
    return put(run, f"{number:06d}.safetensors", arrays, **meta)


def put_probes(run: RunFolder, **more: np.ndarray) -> Path:
    arrays = {"labels": np.array([0, 1]), "indices": np.array([5, 7]), "pool_labels": np.array([0, 1, 1, 0]), **more}
    return put(run, PROBES_FILE, arrays, classes=json.dumps(["cat", "größer"]))


DAMAGE = {
    "empty": lambda data: b"",
    "cut in the length": lambda data: data[:5],
    "cut in the header": lambda data: data[:30],
    "cut in the arrays": lambda data: data[:-3],
    "zeros": lambda data: b"\x00" * len(data),
    "noise": lambda data: bytes(np.random.default_rng(0).integers(0, 256, len(data), np.uint8)),
    "text": lambda data: b"this is no safetensors file, whatever its name says",
    "a list": lambda data: (3).to_bytes(8, "little") + b"[1]",
    "no metadata": lambda data: save({"labels": np.zeros(2)}),
    "metadata of another kind": lambda data: (20).to_bytes(8, "little") + b'{"__metadata__": 55}',
    "a huge length": lambda data: (2**63).to_bytes(8, "little") + data[8:],
    "no text": lambda data: (4).to_bytes(8, "little") + b"\xff\xfe\xff\xfe",
}
damages = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())


# -- the probes ----------------------------------------------------------------------------------------------------


def test_probes(run: RunFolder) -> None:
    assert read_probes(run) is None
    put_probes(run)
    probes = read_probes(run)
    assert probes is not None
    assert probes.classes == ["cat", "größer"]
    assert probes.labels.tolist() == [0, 1]
    assert (probes.images, probes.teacher_logits, probes.pool_teacher_logits) == (None, None, None)
    put_probes(run, images=np.zeros((2, 8, 8, 1), np.uint8), teacher_logits=np.ones((2, 2), np.float32))
    probes = read_probes(run)
    assert probes is not None
    assert probes.images is not None
    assert probes.images.shape == (2, 8, 8, 1)
    assert read_probes(RunFolder(run.path / "nowhere")) is None


@damages
def test_damaged_probes_are_none(damage: Any, run: RunFolder) -> None:
    path = put_probes(run)
    path.write_bytes(damage(path.read_bytes()))
    assert read_probes(run) is None


def test_foreign_probes_are_none(run: RunFolder) -> None:
    put(run, PROBES_FILE, {"labels": np.zeros(2)}, classes="[]")
    assert read_probes(run) is None
    put(run, PROBES_FILE, {"labels": np.zeros(2), "indices": np.zeros(2), "pool_labels": np.zeros(2)}, classes="[")
    assert read_probes(run) is None
    put(run, PROBES_FILE, {"labels": np.zeros(2), "indices": np.zeros(2), "pool_labels": np.zeros(2)}, other="x")
    assert read_probes(run) is None


# -- the list ------------------------------------------------------------------------------------------------------


def test_snapshots_are_listed_in_their_order(run: RunFolder) -> None:
    assert list_snapshots(run) == []
    for number, step in ((10, 100), (2, 20), (9, 90)):
        put_snapshot(run, number, step)
    put_probes(run)
    for name in (".000011.safetensors.x", "000012.tmp", "x00013.safetensors", "²².safetensors"):
        (run.snapshots_dir / name).write_bytes(b"x")
    found = list_snapshots(run)
    assert [info.number for info in found] == [2, 9, 10]
    first = found[0]
    assert (first.step, first.epoch, first.stage, first.time) == (20, 1, "student", 12.5)
    assert list_snapshots(RunFolder(run.path / "nowhere")) == []


def test_more_than_a_million_snapshots_stay_in_order(run: RunFolder) -> None:
    for number in (1_000_000, 999_999):
        put_snapshot(run, number, 1)
    assert [info.number for info in list_snapshots(run)] == [999_999, 1_000_000]


def test_only_new_files_are_opened(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = snapshots.read_header

    def counted(path: Path) -> dict[str, Any]:
        opened.append(path.name)
        return original(path)

    monkeypatch.setattr(snapshots, "read_header", counted)
    known: dict[Path, SnapshotInfo] = {}
    put_snapshot(run, 1, 10)
    damaged = put_snapshot(run, 2, 20)
    good = damaged.read_bytes()
    damaged.write_bytes(good[:20])
    assert [info.number for info in list_snapshots(run, known)] == [1]
    put_snapshot(run, 3, 30)
    opened.clear()
    assert [info.number for info in list_snapshots(run, known)] == [1, 3]
    assert opened == ["000002.safetensors", "000003.safetensors"]  # a damaged one may become whole
    damaged.write_bytes(good)
    assert [info.number for info in list_snapshots(run, known)] == [1, 2, 3]
    opened.clear()
    list_snapshots(run, known)
    assert opened == []


@damages
def test_a_damaged_snapshot_is_left_out(damage: Any, run: RunFolder) -> None:
    put_snapshot(run, 1, 10)
    path = put_snapshot(run, 2, 20)
    (info,) = [info for info in list_snapshots(run) if info.number == 2]
    data = path.read_bytes()
    path.write_bytes(damage(data))
    numbers = [info.number for info in list_snapshots(run)]
    assert numbers == ([1, 2] if damage(data).startswith(data[:100]) else [1])  # the header may still be whole
    assert read_snapshot(info) is None
    assert read_cka(info) is None


@pytest.mark.parametrize(
    "meta",
    [
        {"step": "many"},
        {"time": "noon"},
        {"teacher_layers": "{"},
        {"pair_cka": "[1, 2]"},
        {"pair_error": '{"a": "low"}'},
        {"teacher_layers": "5"},
    ],
)
def test_a_foreign_header_is_left_out(meta: dict[str, str], run: RunFolder) -> None:
    arrays = {"student_logits": np.zeros((2, 3)), "pool_student_logits": np.zeros((2, 3))}
    put(run, "000001.safetensors", arrays, **{"step": "10", **meta})
    assert list_snapshots(run) == []


def test_a_header_is_read_without_the_arrays(run: RunFolder) -> None:
    path = put_snapshot(run, 1, 10)
    header = read_header(path)
    assert header["step"] == "10"
    path.write_bytes(path.read_bytes()[:-10])
    assert read_header(path) == header
    assert read_header(run.path / "nowhere") == {}


# -- one snapshot --------------------------------------------------------------------------------------------------


def test_a_snapshot(run: RunFolder) -> None:
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    put_snapshot(
        run,
        1,
        10,
        arrays={"cka_map": table},
        teacher_layers='["a", "b"]',
        student_layers='["c", "d", "e"]',
        pair_cka='{"a → c": 0.5, "b → d": null}',
        pair_error='{"a → c": 2}',
    )
    (info,) = list_snapshots(run)
    found = read_snapshot(info)
    assert found is not None
    assert (found.step, found.epoch, found.stage, found.time) == (10, 1, "student", 12.5)
    assert found.student_logits.shape == (2, 3)
    assert found.pool_student_logits.dtype == np.float32
    assert found.teacher_layers == ["a", "b"]
    assert found.student_layers == ["c", "d", "e"]
    assert found.pair_error == {"a → c": 2.0}
    assert found.pair_cka["a → c"] == 0.5
    assert np.isnan(found.pair_cka["b → d"])
    assert np.array_equal(found.cka_map, table)
    assert np.array_equal(read_cka(info), table)
    assert np.array_equal(read_array(info.path, "student_logits"), found.student_logits)
    assert read_array(info.path, "pool_student_logits").dtype == np.float32  # half as wide on disk
    assert read_array(info.path, "nothing") is None


def test_a_snapshot_without_a_teacher(run: RunFolder) -> None:
    put_snapshot(run, 1, 10)
    (info,) = list_snapshots(run)
    found = read_snapshot(info)
    assert found is not None
    assert found.cka_map is None
    assert found.pair_cka == {}
    assert read_cka(info) is None


def test_a_snapshot_without_logits_is_none(run: RunFolder) -> None:
    put(run, "000001.safetensors", {"other": np.zeros(2)}, step="1")
    (info,) = list_snapshots(run)
    assert read_snapshot(info) is None


def test_what_a_resume_took_back_is_left_out() -> None:
    def info(number: int, stage: str, step: int) -> SnapshotInfo:
        return SnapshotInfo(Path(f"{number}"), number, step, 0, stage, 0.0)

    steps = [("teacher", 1), ("teacher", 5), ("student", 0), ("student", 4), ("student", 8), ("student", 4)]
    infos = [info(number, *place) for number, place in enumerate([*steps, ("student", 9), ("baseline", 2)])]
    assert [found.number for found in in_force(infos)] == [0, 1, 2, 5, 6, 7]
    assert in_force([]) == []


# -- sums ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soften_and_entropy(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 5, (4, 3, 7)).astype(np.float32)
    found, bits = soften(logits, temperature), entropy(logits, temperature)
    assert found.shape == (4, 3, 7)
    assert bits.shape == (4, 3)
    for place in np.ndindex(4, 3):
        weights = [float(np.exp(float(value) / temperature)) for value in logits[place]]
        expected = np.array([weight / sum(weights) for weight in weights])
        np.testing.assert_allclose(found[place], expected, rtol=1e-9)
        np.testing.assert_allclose(bits[place], -sum(p * np.log(p) for p in expected), rtol=1e-7)
    np.testing.assert_allclose(log_soften(logits, temperature, np.float32), np.log(found), rtol=1e-4, atol=1e-5)


def test_extreme_logits() -> None:
    logits = np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0], [-1e30, -1e30, -1e30]])
    before = logits.copy()
    np.testing.assert_allclose(soften(logits, 1.0), [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3])
    np.testing.assert_allclose(entropy(logits, 1.0), [0, np.log(3), np.log(3)], atol=1e-12)
    assert np.array_equal(logits, before)
    assert np.isnan(soften(np.array([np.nan, 1.0]), 1.0)).all()


def test_whole_numbers_are_logits_too() -> None:
    np.testing.assert_allclose(soften(np.array([0, 0]), 2), [0.5, 0.5])


def test_temperature_softens() -> None:
    logits = np.random.default_rng(2).normal(size=(50, 10))
    means = [entropy(logits, temperature).mean() for temperature in (0.5, 1, 2, 4, 8)]
    assert means == sorted(means)
    assert means[-1] < np.log(10)


def test_class_matrix() -> None:
    chance = np.random.default_rng(3)
    logits, labels = chance.normal(size=(40, 5)), chance.integers(0, 4, 40)
    labels[labels == 2] = 0
    found = class_matrix(logits, labels, 3.0, 5)
    assert found.shape == (5, 5)
    softened = soften(logits, 3.0)
    for label in range(5):
        rows = [softened[index] for index in range(40) if labels[index] == label]
        if rows:
            np.testing.assert_allclose(found[label], sum(rows) / len(rows))
        else:
            assert np.isnan(found[label]).all()
    assert np.isnan(found[[2, 4]]).all()


def test_labels_outside_of_the_classes_count_nowhere() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0], [7.0, 7.0]])
    found = class_means(rows, np.array([0, 0, 9, -1]), 2)
    np.testing.assert_array_equal(found, [[0.5, 0.5], [np.nan, np.nan]])
    assert np.isnan(class_means(np.empty((0, 2)), np.empty(0, np.int64), 2)).all()

"""Splits: disjoint, stratified, and the same for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kdstudio.engine.counters import mix, splitmix64
from kdstudio.engine.data import ArraySplit, DataBundle, load_data
from kdstudio.engine.data.splits import hold_out, limit_balanced, make_bundle
from kdstudio.project.errors import DataError
from kdstudio.project.spec import Digits, NumpyFile

ROOT = Path()


def numbered(labels: list[int]) -> ArraySplit:
    """Features whose only value is the sample's number, so that samples can be told apart after a split."""
    return ArraySplit(torch.arange(len(labels), dtype=torch.float32)[:, None], torch.tensor(labels))


def members(bundle: DataBundle) -> list[list[int]]:
    return [split.images[:, 0].int().tolist() for split in bundle.splits.values()]


def test_the_hash_is_the_published_one() -> None:
    # First outputs of splitmix64 seeded with 0, from its reference implementation.
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    assert splitmix64(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4


def test_order_of_parts_matters() -> None:
    assert len({mix(1, 2), mix(2, 1), mix(1, 2, 0), mix(0, 1, 2)}) == 4


def test_splits_are_disjoint_and_complete() -> None:
    bundle = make_bundle(Digits(), "x", ["a", "b", "c"], numbered([0, 1, 2] * 40))
    parts = members(bundle)
    assert sorted(number for part in parts for number in part) == list(range(120))
    assert [len(part) for part in parts] == [92, 10, 18]


def test_splits_are_stratified() -> None:
    bundle = make_bundle(Digits(), "x", ["a", "b"], numbered([0] * 900 + [1] * 100))
    assert bundle.counts() == {"train": [688, 77], "validation": [77, 8], "test": [135, 15]}


def test_same_seed_same_split_and_other_seed_other_split() -> None:
    labels = [0, 1] * 50
    first, again, other = (
        members(make_bundle(Digits(split_seed=seed), "x", ["a", "b"], numbered(labels))) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_the_split_never_changes_between_releases() -> None:
    kept, held = hold_out(np.array([0, 1] * 10), 0.2, seed=0, purpose=1)
    assert held.tolist() == [4, 10, 11, 15]
    assert sorted([*kept, *held]) == list(range(20))


def test_every_class_is_in_every_split_even_when_tiny() -> None:
    bundle = make_bundle(Digits(), "x", ["a", "b"], numbered([0] * 200 + [1] * 3))
    assert [counts[1] for counts in bundle.counts().values()] == [1, 1, 1]


def test_own_test_samples_are_kept() -> None:
    test = numbered([0, 1])
    bundle = make_bundle(Digits(), "x", ["a", "b"], numbered([0, 1] * 10), test=test)
    assert bundle.test is test
    assert len(bundle.train) + len(bundle.validation) == 20


def test_a_class_with_two_samples_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least 3 samples.*'b' has 2") as caught:
        make_bundle(Digits(), "x", ["a", "b"], numbered([0] * 9 + [1] * 2))
    assert "one for validation, one for test" in caught.value.why


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="only one class"):
        make_bundle(Digits(), "x", ["a"], numbered([0] * 9))


def test_limit_is_balanced_and_nested() -> None:
    labels = np.array([0] * 50 + [1] * 5 + [2] * 30)
    small, large = limit_balanced(labels, 20, 7), limit_balanced(labels, 40, 7)
    assert np.bincount(labels[small]).tolist() in ([8, 5, 7], [7, 5, 8])
    assert len(large) == 40
    assert set(small) <= set(large)
    assert limit_balanced(labels, 1000, 7).tolist() == list(range(85))


def test_limit_leaves_validation_and_test_alone() -> None:
    full, limited = load_data(Digits(), ROOT), load_data(Digits(train_limit=100), ROOT)
    assert len(limited.train) == 100
    assert set(limited.counts()["train"]) == {10}
    assert torch.equal(full.validation.images, limited.validation.images)
    assert torch.equal(full.test.images, limited.test.images)


def test_the_share_of_test_samples_is_chosen(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.arange(400.0).reshape(200, 2), labels=np.arange(200) % 2)
    specs = [NumpyFile(path="a.npz", test_fraction=share) for share in (0.15, 0.3)]
    usual, more = (load_data(spec, tmp_path) for spec in specs)
    assert usual.fingerprint() == load_data(NumpyFile(path="a.npz"), tmp_path).fingerprint()
    assert usual.counts() == {"train": [76, 77], "validation": [9, 8], "test": [15, 15]}
    assert more.counts() == {"train": [63, 63], "validation": [7, 7], "test": [30, 30]}
    held = {tuple(row) for row in usual.test.images.tolist()}
    assert held < {tuple(row) for row in more.test.images.tolist()}, "a larger share holds the same samples, and more"


def test_limit_below_the_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError, match="train_limit is 9, and there are 10 classes"):
        load_data(Digits(train_limit=9), ROOT)


def test_digits() -> None:
    bundle = load_data(Digits(), ROOT)
    assert bundle.input_shape == (1, 8, 8)
    assert bundle.train.images.dtype == torch.uint8
    assert (bundle.train.images.min(), bundle.train.images.max()) == (0, 255)
    assert [len(split) for split in bundle.splits.values()] == [1374, 153, 270]
    assert bundle.classes == [str(digit) for digit in range(10)]
    scaled = bundle.train.images.double() / 255
    assert bundle.mean == pytest.approx([scaled.mean().item()], abs=1e-12)
    assert bundle.std == pytest.approx([scaled.std(correction=0).item()], abs=1e-12)


def test_fingerprint_is_stable_and_tells_everything_apart() -> None:
    base = load_data(Digits(), ROOT).fingerprint()
    assert base == load_data(Digits(batch_size=7, augment=["crop"]), ROOT).fingerprint()
    assert base == "658f0a685ef22dc36f70e17cf7239d34"
    others = [Digits(split_seed=1), Digits(train_limit=500), Digits(validation_fraction=0.2)]
    prints = [load_data(spec, ROOT).fingerprint() for spec in others]
    renamed = load_data(Digits(), ROOT)
    renamed.classes[0] = "zero"
    changed = load_data(Digits(), ROOT)
    changed.train.images[5, 0, 3, 3] ^= 1
    assert len({base, *prints, renamed.fingerprint(), changed.fingerprint()}) == 6


def test_constant_channels_can_be_divided_by() -> None:
    split = ArraySplit(torch.full((12, 1, 4, 4), 7, dtype=torch.uint8), torch.tensor([0, 1] * 6))
    bundle = make_bundle(Digits(), "x", ["a", "b"], split)
    assert bundle.mean == pytest.approx([7 / 255])
    assert bundle.std == [1.0]


def test_imbalance_is_a_problem_not_an_error() -> None:
    bundle = make_bundle(Digits(), "x", ["many", "few"], numbered([0] * 300 + [1] * 5))
    assert any("'few'" in problem for problem in bundle.problems)


def test_shifts_larger_than_the_image_are_refused() -> None:
    with pytest.raises(DataError, match="crop_padding is 8"):
        load_data(Digits(augment=["crop"], crop_padding=8), ROOT)


def test_augmented_features_are_refused() -> None:
    with pytest.raises(DataError, match="features, not images"):
        make_bundle(Digits(augment=["flip"]), "x", ["a", "b"], numbered([0, 1] * 9))

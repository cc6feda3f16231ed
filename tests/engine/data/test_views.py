"""Views: normalisation, augmentation, and batches that resume anywhere with the same pixels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from kdstudio.engine.counters import view_keys
from kdstudio.engine.data import ArraySplit, Batches, Preprocess, augment
from kdstudio.project.spec import Digits


def pictures(count: int, channels: int = 3, side: int = 9) -> ArraySplit:
    generator = torch.Generator().manual_seed(0)
    # No zeros, so that padding can be told from pixels.
    images = torch.randint(1, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)
    return ArraySplit(images, torch.arange(count) % 4)


def keys(count: int, view: int = 0) -> torch.Tensor:
    return view_keys(torch.arange(count), view)


def test_preprocess_normalises_pixels() -> None:
    preprocess = Preprocess([0.5, 0.25, 0.0], [0.5, 1.0, 2.0], (3, 4, 4))
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    result = preprocess(images)
    assert result.dtype == torch.float32
    assert result[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.75, 0.5])
    assert torch.equal(result, preprocess(images.float()))


def test_preprocess_standardises_features() -> None:
    preprocess = Preprocess([1.0, 2.0], [2.0, 4.0], (2,))
    assert preprocess(torch.tensor([[3.0, 2.0]])).tolist() == [[1.0, 0.0]]


def test_preprocess_survives_its_description() -> None:
    preprocess = Preprocess([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], (3, 8, 8))
    again = Preprocess.from_dict(preprocess.to_dict())
    images = pictures(2, side=8).images
    assert torch.equal(preprocess(images), again(images))
    assert again.input_shape == (3, 8, 8)
    assert not preprocess.state_dict()


def test_no_augmentation_returns_the_images() -> None:
    images = pictures(3).images
    assert augment(images, Digits(), keys(len(images))) is images


def test_flip_mirrors_about_half_and_nothing_else() -> None:
    images = pictures(200).images
    views = augment(images, Digits(augment=["flip"]), keys(len(images)))
    flipped = [bool(torch.equal(view, image.flip(-1))) for view, image in zip(views, images)]
    same = [bool(torch.equal(view, image)) for view, image in zip(views, images)]
    assert all(a != b for a, b in zip(flipped, same))
    assert 70 < sum(flipped) < 130


@pytest.mark.parametrize(("word", "reach"), [("crop", 4), ("jitter", 2)])
def test_shifts_are_padded_crops_of_every_offset(word: str, reach: int) -> None:
    images = pictures(400).images
    views = augment(images, Digits(augment=[word]), keys(len(images)))
    side = images.shape[-1]
    padded = F.pad(images, (reach, reach, reach, reach))
    offsets = set()
    for view, wide in zip(views, padded):
        found = [
            (y, x)
            for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
            if torch.equal(view, wide[:, y : y + side, x : x + side])
        ]
        assert len(found) == 1
        offsets.add(found[0])
    assert {y for y, _ in offsets} == {x for _, x in offsets} == set(range(2 * reach + 1))


def test_views_keep_type_and_shape_and_leave_the_input() -> None:
    images = pictures(16, channels=1).images
    before = images.clone()
    views = augment(images, Digits(augment=["crop", "flip", "jitter"], crop_padding=3), keys(len(images)))
    assert views.shape == images.shape
    assert views.dtype == torch.uint8
    assert torch.equal(images, before)


SPEC = Digits(augment=["crop", "flip"], crop_padding=2)


def batches(split: ArraySplit | None = None, size: int = 16, seed: int = 5) -> Batches:
    return Batches(split or pictures(100), size, seed, "cpu", SPEC)


def test_an_epoch_has_every_sample_once() -> None:
    split = pictures(100)
    loader = batches(split)
    seen = torch.cat([batch.indices for batch in loader.epoch(0)])
    assert sorted(seen.tolist()) == list(range(100))
    assert [len(batch.labels) for batch in loader.epoch(0)] == [16] * 6 + [4]
    assert len(loader) == 7
    for batch in loader.epoch(0):
        assert torch.equal(batch.labels, split.labels[batch.indices])


@pytest.mark.parametrize("start", [0, 1, 3, 6, 7])
def test_resuming_in_the_middle_gives_the_same_pixels(start: int) -> None:
    whole = list(batches().epoch(2))
    resumed = list(batches().epoch(2, start))
    assert len(resumed) == 7 - start
    for expected, batch in zip(whole[start:], resumed):
        assert torch.equal(expected.images, batch.images)
        assert torch.equal(expected.labels, batch.labels)
        assert torch.equal(expected.indices, batch.indices)


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    first = [batch.images for batch in batches().epoch(0)]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = [batch.images for batch in batches().epoch(0)]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(batches(seed=seed).order(epoch).tolist())

    assert len({order(0, 0), order(0, 1), order(1, 0), order(1, 1)}) == 4


def test_the_same_sample_gets_another_view_in_another_epoch() -> None:
    first, second = (batches().rows(0, 64, batches().view(epoch)).images for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_a_view_belongs_to_its_sample_and_not_to_its_batch() -> None:
    split = pictures(100)
    for epoch in (0, 1):
        loader = Batches(split, 16, 5, "cpu", SPEC)
        whole = loader.rows(0, 100, loader.view(epoch)).images
        for batch in loader.epoch(epoch):
            assert torch.equal(batch.images, whole[batch.indices])


def test_few_views_take_turns_and_are_the_same_for_all_seeds() -> None:
    spec = SPEC.model_copy(update={"views": 3})
    loaders = [Batches(pictures(100), 16, seed, "cpu", spec) for seed in range(8)]
    for loader in loaders:
        assert sorted(loader.view(epoch) for epoch in range(3)) == [0, 1, 2]
        assert loader.view(4) == loader.view(1)
    assert len({loader.view(0) for loader in loaders}) > 1
    assert torch.equal(loaders[0].rows(0, 9, 2).images, loaders[1].rows(0, 9, 2).images)
    assert not torch.equal(loaders[0].rows(0, 9, 2).images, loaders[0].rows(0, 9, 1).images)
    # a teacher that is trained has a new one each time, as has a spec that does not say
    endless = Batches(pictures(100), 16, 0, "cpu", spec, anew=True)
    assert len({endless.view(epoch) for epoch in range(50)}) == 50
    assert {Batches(pictures(9), 4, 0, "cpu", Digits(views=3)).view(epoch) for epoch in range(5)} == {0}


def test_a_single_left_over_sample_joins_the_batch_before() -> None:
    loader = batches(pictures(33))
    assert [len(batch.labels) for batch in loader.epoch(0)] == [16, 17]
    assert len(loader) == 2
    assert [len(batch.labels) for batch in batches(pictures(1)).epoch(0)] == [1]
    assert len(batches(pictures(3), size=1)) == 3


def test_without_a_spec_there_are_no_augmentations() -> None:
    split = pictures(10)
    batch = next(Batches(split, 10, 0, "cpu", None).epoch(0))
    assert torch.equal(batch.images, split.images[batch.indices])


def test_features_pass_unchanged() -> None:
    split = ArraySplit(torch.randn(10, 5), torch.zeros(10, dtype=torch.int64))
    batch = next(Batches(split, 10, 0, "cpu", Digits()).epoch(0))
    assert torch.equal(batch.images, split.images[batch.indices])


@pytest.mark.cuda
def test_on_a_cuda_device_without_a_host_sync() -> None:
    spec = Digits(augment=["crop", "flip", "jitter"], crop_padding=2)
    loader = Batches(pictures(100), 16, 5, "cuda", spec)
    whole = list(loader.epoch(1))
    resumed = Batches(pictures(100), 16, 5, "cuda", spec).epoch(1, 3)
    epoch = loader.epoch(1)
    next(epoch)  # moves the order of the epoch to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in epoch:
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for expected, batch in zip(whole[3:], resumed):
        assert torch.equal(expected.images, batch.images)

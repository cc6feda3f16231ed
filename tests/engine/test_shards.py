"""Ranks that share out the weights: the losses of one process, whole checkpoints, and the answers of any run."""

from __future__ import annotations

from typing import Any

from tests.engine.test_ranks import assert_alike

FSDP = {"devices": 2, "sharing": "fsdp"}


def test_two_ranks_with_shards_have_the_losses_of_one(lab: Any, hints: list[dict[str, Any]]) -> None:
    hints = [*hints[:2], {**hints[2], "until_epoch": 2}]
    fields = {
        "objective": hints,
        "data": {"source": "digits", "batch_size": 32, "train_limit": 165, "augment": ["jitter"]},
        "student": {"model": "mlp", "widths": [12, 7]},
        "cache": {"use": "off"},
        "baseline": True,
    }
    train = {"epochs": 3, "lr": 0.05, "accumulate": 2, "clip_norm": 0.5}
    one = lab.run(train=train, **fields)
    other = lab.new_project("other")  # without the first one's teacher
    two = lab.run(project=other, train={**train, **FSDP}, **fields)
    print(two.state().means)
    assert_alike(lab, one, two)

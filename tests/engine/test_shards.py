"""Ranks that share out the weights: the losses of one process, whole checkpoints, and the answers of any run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kdstudio.engine.models.cifar import CifarResNet
from kdstudio.engine.models.simple import MLP
from kdstudio.engine.ranks.group import RankLost, Ranks
from kdstudio.engine.ranks.join import shares_weights
from kdstudio.engine.ranks.shardable import block_classes, can_rest_in_shards, check_shardable
from kdstudio.engine.run import execute
from kdstudio.project.errors import InputError
from kdstudio.project.runs.control import request
from kdstudio.project.runs.place import Place
from kdstudio.project.runs.snapshots import list_snapshots
from kdstudio.project.runs.state import RunStatus
from kdstudio.project.spec import Experiment
from tests.engine.test_ranks import assert_alike, kill_worker

FSDP = {"devices": 2, "sharing": "fsdp"}


def test_blocks_are_the_outermost_parts_of_which_there_are_several() -> None:
    assert block_classes(MLP(4, [8, 8], 2)) == ["Hidden"]
    assert block_classes(MLP(4, [8], 2)) == []
    assert block_classes(CifarResNet(8, 3, 10)) == ["BasicBlock"]
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2, enable_nested_tensor=False)
    assert block_classes(nn.Sequential(nn.Linear(4, 8), layers)) == ["TransformerEncoderLayer"]
    assert block_classes(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))) == []


class Scaled(nn.Module):
    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = nn.Parameter(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (torch.ones(()), "'scale' is a single number, of which no rank can hold a part"),
        (torch.ones(2, dtype=torch.float64), "its weights are of several types: float32, float64"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_with_its_name(value: torch.Tensor, why: str) -> None:
    with pytest.raises(InputError, match=r"train\.sharing: the weights of the student cannot be shared out") as caught:
        check_shardable(Scaled(value), "student")
    assert caught.value.why == why
    assert "train.sharing to ddp" in caught.value.fix
    assert not can_rest_in_shards(Scaled(value))
    assert can_rest_in_shards(nn.Linear(2, 2))


def experiment(**fields: Any) -> Experiment:
    plain = {"name": "a", "student": {"model": "mlp"}, "objective": [{"term": "hard"}], "train": FSDP}
    return Experiment.model_validate({**plain, **fields})


def test_who_shares_out_weights() -> None:
    two = Ranks(Place(0, 2))
    assert shares_weights(experiment(), two)
    assert not shares_weights(experiment(), Ranks())
    plain = experiment(train={"devices": 2})
    assert not shares_weights(plain, two)
    launched = {"RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}
    assert shares_weights(plain, Ranks(Place.here(launched)))
    assert not Place.here({**launched, "ACCELERATE_USE_FSDP": "false"}).sharded
    writes = plain.model_copy(update={"on_policy": object()})
    assert not shares_weights(writes, two)
    with pytest.raises(InputError, match="where the student writes text as it learns"):
        shares_weights(writes, Ranks(Place.here(launched)))


def test_two_ranks_with_shards_have_the_losses_of_one(lab: Any, hints: list[dict[str, Any]]) -> None:
    """Views, an uneven last batch, micro-batches, clipping, terms that rest, and at first only one inside a block."""
    inside = {**hints[2], "pairs": [{"teacher": "hidden1", "student": "hidden2.linear"}], "until_epoch": 2}
    fields = {
        "objective": [{**hints[0], "from_epoch": 1}, {**hints[1], "from_epoch": 1}, inside],
        "data": {"source": "digits", "batch_size": 32, "train_limit": 165, "augment": ["jitter"]},
        "teacher": {"model": "mlp", "widths": [24, 16], "train": {"epochs": 2, "lr": 0.1}},
        "student": {"model": "mlp", "widths": [12, 7]},
        "cache": {"use": "off"},
    }
    train = {"epochs": 3, "lr": 0.05, "accumulate": 2, "clip_norm": 0.5, "checkpoint_seconds": 0}
    one = lab.run(train=train, **fields)
    two = lab.run(train={**train, **FSDP}, monitor={"every_seconds": 0.2}, **fields)
    assert two.state().means["weights"] == "1/2 on each rank (FSDP2), 2 blocks are gathered one at a time"
    assert two.state().means["teacher"] == "works at each step, 1/2 of it on each rank: cache.use is off"
    assert_alike(lab, one, two, "student")
    assert len(list_snapshots(two)) > 2, "some within an epoch, too"
    for name in ("last.pt", "best.pt"):
        weights, others = lab.module(one, name), lab.module(two, name)
        assert weights.keys() == others.keys()
        assert all(torch.allclose(weights[key], others[key], rtol=1e-4, atol=1e-6) for key in weights)
    assert (two.path / "student" / "student.json").exists()
    assert two.scorecard() is not None


def test_a_run_goes_from_one_device_to_shards_and_back(lab: Any) -> None:
    student = {"model": "mlp", "widths": [12, 7]}
    train = {"epochs": 8, "optimizer": "adamw", "lr": 0.01, "sharing": "fsdp"}
    fields = {"train": train, "teacher": None, "student": student, "objective": [{"term": "hard"}]}
    run = lab.project.create_run(lab.experiment(**fields))
    for step, devices in ((6, 1), (19, 2)):
        lab.before_step("student", step, lambda trainer: request(run, "park"))
        assert execute(run, devices=devices).phase == "parked"
        assert run.status() is RunStatus.PARKED
        assert ("weights" in run.state().means) == (devices == 2)
    content = torch.load(run.checkpoints_dir / "last.pt", weights_only=True)
    assert content["optimizer"]["state"][0]["exp_avg"].shape == next(iter(content["module"].values())).shape
    assert execute(run, devices=1).phase == "finished"
    whole = lab.run(**fields)
    assert lab.metrics(whole).series("student", "train", "loss").steps.tolist() == list(range(40))
    assert_alike(lab, whole, run, "student")


def test_a_rank_that_is_killed_with_its_shards_is_named(lab: Any) -> None:
    fields = {"train": {"epochs": 30, **FSDP}, "teacher": None, "objective": [{"term": "hard"}]}
    run = lab.project.create_run(lab.experiment(**fields))
    lab.before_step("student", 12, kill_worker)
    with pytest.raises(RankLost, match="rank 1 of 2 has ended"):
        execute(run)
    assert execute(run, devices=1).phase == "finished"

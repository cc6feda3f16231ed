"""What a stage keeps on disk, `last` and `best`, in a form that any number of ranks can go on from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kdstudio.engine.checkpoint import load_checkpoint, save_checkpoint, telling_misfits
from kdstudio.engine.device import random_states, restore_random_states, seed_rank

if TYPE_CHECKING:
    from kdstudio.engine.trainer import Trainer

logger = logging.getLogger("kdstudio")


def resume(trainer: Trainer) -> bool:
    """Goes back to the last checkpoint of a stage. False where there is none.

    Raises:
        StorageError: It is damaged, does not fit, or another rank sees another one.
    """
    ranks, progress = trainer.ranks, trainer.progress
    # what is to be shared out has no room on one device, perhaps
    content = load_checkpoint(trainer.last_path, "cpu" if trainer.weights.sharded else trainer.device)
    ranks.check_alike(trainer.last_path, content)
    if content is None:
        return False
    with telling_misfits(trainer.last_path):
        trainer.weights.load(content)
        if trainer.accelerator.scaler is not None and content["scaler"]:
            trainer.accelerator.scaler.load_state_dict(content["scaler"])
        trainer.progress = progress = type(progress)(**content["progress"])
        restore_random_states(content["random"])
        seed_rank(trainer.spec.seed, ranks.rank, progress.step)
    trainer.recorder.event("resume", trainer.stage, progress.step - 1, progress.epoch)
    logger.info("%s: resumed at step %d (epoch %d)", trainer.stage, progress.step, progress.epoch)
    return True


def save_last(trainer: Trainer) -> None:
    """Writes the state between two steps, whose weights are whole.

    It holds nothing that is one rank's own but the random states of rank 0, so any number of ranks can go on.

    Raises:
        StorageError: The disk is full.
    """
    if not trainer.ranks.main and not trainer.weights.sharded:
        return
    scaler = trainer.accelerator.scaler
    content = {
        **trainer.weights.state(),
        "scaler": scaler.state_dict() if scaler is not None else {},
        "progress": vars(trainer.progress),
        "random": random_states(),
    }
    if trainer.ranks.main:
        save_checkpoint(trainer.last_path, content)
        trainer.recorder.position(last_checkpoint=trainer.last_path.name)


def load_best(trainer: Trainer) -> None:
    """Puts the best epoch's weights into the network, on all ranks; the last ones where no epoch was scored."""
    content = load_checkpoint(trainer.best_path, trainer.device) if trainer.ranks.main else None
    trainer.weights.settle()
    if content is not None:
        with telling_misfits(trainer.best_path):
            trainer.raw.load_state_dict(content["module"])
    trainer.ranks.share(trainer.raw)

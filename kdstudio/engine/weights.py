"""What a trainer trains: a network with its objective and its optimizer, whole on each rank or in shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn

from kdstudio.engine.cache import PlannedTeacher
from kdstudio.engine.finite import check_weights
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.optim import build_optimizer
from kdstudio.engine.ranks.gather import Together
from kdstudio.engine.ranks.group import Ranks
from kdstudio.engine.teacher import Teacher
from kdstudio.project.spec import TrainSpec


class Weights:
    """Weights that each rank has whole: those of one process, or of several whose gradients DDP averages.

    Args:
        raw: The network with its objective, on its device.
        spec: Of the training.
        accelerator: Prepares them.
        ranks: The processes that share the work.

    Attributes:
        raw: As it was given; whole inside of `whole()` only, and there on rank 0 only.
        module: What is called in the steps.
        optimizer: Of the module.
    """

    #: Whether each rank holds a part of the weights. Then all ranks enter `whole()`, and call what is below, together.
    sharded = False

    def __init__(self, raw: DistillationModule, spec: TrainSpec, accelerator: Accelerator, ranks: Ranks) -> None:
        self.raw = raw
        self.ranks = ranks
        self.module: nn.Module = raw
        self.optimizer: Any = None
        self._prepare(spec, accelerator)

    def _prepare(self, spec: TrainSpec, accelerator: Accelerator) -> None:
        self.optimizer = build_optimizer(self.raw, spec)
        self.ranks.share(self.raw)
        if self.ranks.alone and accelerator.mixed_precision == "no":
            return  # nothing to prepare, and looking for shards loads torch.distributed
        if not self.ranks.alone:
            self.module = Together(self.raw).to(next(self.raw.parameters()).device)
        self.module, prepared = accelerator.prepare(self.module, self.optimizer)
        if accelerator.scaler is not None:
            # only where it is needed: it searches the disk for a package at each step, a tenth of a small step
            self.optimizer = prepared

    def share_teachers(self, teachers: Sequence[Teacher | PlannedTeacher]) -> None:
        """Shares the frozen weights out, too, of those who work at each step."""

    @contextmanager
    def whole(self, teachers: bool = False) -> Iterator[DistillationModule]:
        """While `raw` has the weights of the step, and the networks of the teachers theirs where that is asked for."""
        yield self.raw

    def check(self, stage: str, step: int) -> None:
        """See `check_weights`; inside of `whole()`."""
        check_weights(self.raw, stage, step)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of them, all in whole tensors; inside of `whole()`. It is complete on rank 0."""
        return {"module": self.raw.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` gave, on whatever number of ranks that was.

        Raises:
            RuntimeError, KeyError, ValueError...: It does not fit.
        """
        self.raw.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])

    def norm(self, found: Tensor) -> Tensor:
        """A norm of all gradients, as accelerate gives it, as a plain scalar."""
        return found

    def settle(self) -> None:
        """The training is over: `raw` and the teachers' networks are whole on all ranks from now on."""

    def means(self) -> str:
        """How they are shared out, in words; empty where they are not."""
        return ""


def weights_of(raw: DistillationModule, spec: TrainSpec, accelerator: Accelerator, ranks: Ranks) -> Weights:
    """The weights of a stage, in shards where the accelerator is made for them."""
    if not accelerator.is_fsdp2:
        return Weights(raw, spec, accelerator, ranks)
    from kdstudio.engine.shards import Shards  # takes a while to load, and torch.distributed

    return Shards(raw, spec, accelerator, ranks)

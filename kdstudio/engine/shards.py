"""Weights that are shared out over the ranks: FSDP2 of torch, by way of accelerate."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.state import PartialState
from accelerate.utils import DistributedType, ParallelismConfig
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from kdstudio.engine.arithmetic import laid_out
from kdstudio.engine.cache import PlannedTeacher
from kdstudio.engine.finite import check_weights
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.optim import begin_momentum, build_optimizer
from kdstudio.engine.ranks.group import is_lost_connection
from kdstudio.engine.ranks.shardable import block_classes, can_rest_in_shards, check_shardable, not_sharded
from kdstudio.engine.teacher import Teacher
from kdstudio.engine.weights import Weights
from kdstudio.project.runs.place import SHARDED_BY
from kdstudio.project.spec import TrainSpec


def sharding_accelerator(device: torch.device, precision: str, network: nn.Module, size: int) -> Accelerator:
    """An accelerator that shares out the weights, gradients and optimizer state of what it prepares.

    Args:
        device: Of this rank.
        precision: accelerate's word for the arithmetic.
        network: Its blocks are gathered one at a time. All else of a module is gathered for the whole of a step.
        size: The number of ranks.
    """
    classes = block_classes(network)
    # all that the plugin would else take from the environment, where a launcher may have said it, is said here
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        cpu_offload=False,
        auto_wrap_policy="transformer_based_wrap" if classes else "no_wrap",
        transformer_cls_names_to_wrap=classes or None,
        state_dict_type="FULL_STATE_DICT",
        activation_checkpointing=False,
        activation_checkpointing_offload=False,
        cpu_ram_efficient_loading=False,
        # As under DDP, autocast alone decides which operations take few bits: a policy would also round the weights of
        # norms, the sums of the ranks' gradients and the loss.
        mixed_precision_policy=MixedPrecisionPolicy(),
    )
    whole = ParallelismConfig(dp_shard_size=size)
    if device.type == "cuda":
        accelerator = Accelerator(mixed_precision=precision, fsdp_plugin=plugin, parallelism_config=whole)
    else:
        # accelerate takes the plugin for accelerators only, though fully_shard works on processors as well
        accelerator = Accelerator(cpu=True, mixed_precision=precision)
        state = accelerator.state
        state.distributed_type, state.fsdp_plugin, state.parallelism_config = DistributedType.FSDP, plugin, whole
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP  # the state is filled from there anew
        state.device_mesh = init_device_mesh("cpu", (size,), mesh_dim_names=("dp_shard_cp",))
    for name in (SHARDED_BY, "FSDP_CPU_RAM_EFFICIENT_LOADING"):  # set by the plugin; they would reach the next stages
        os.environ.pop(name, None)
    return accelerator


def blocks_of(module: nn.Module) -> dict[str, FSDPModule]:
    """The blocks of a prepared module by name, without the module itself."""
    return {name: part for name, part in module.named_modules() if name and isinstance(part, FSDPModule)}


def keep_gathered(module: nn.Module, student: str, taps: list[str]) -> None:
    """Keeps the blocks that are tapped inside gathered from the forward pass to the backward pass.

    A block is gathered anew when the gradient of its output comes. Where a term looks inside of the last block, and
    nothing at its output, none comes.

    Args:
        module: Prepared.
        student: The student's name in it.
        taps: Names of the student's layers (see `Taps`).
    """
    for name, block in blocks_of(module).items():
        if any(f"{student}.{tap}".replace("#", ".").startswith(f"{name}.") for tap in taps):
            block.set_reshard_after_forward(False, recurse=False)


class Shared:
    """A network of which each rank holds a part, and the whole one that it was made of.

    Args:
        raw: Lets its weights go, so that others find the network as they know it when it is whole again.
    """

    def __init__(self, raw: nn.Module) -> None:
        self.raw = raw
        # the copy takes the tensors over, so a device holds them once
        taken: dict[int, Any] = {
            id(own): nn.Parameter(own.data.contiguous(), own.requires_grad) for own in raw.parameters()
        }
        #: To be shared out.
        self.module: nn.Module = copy.deepcopy(raw, taken)
        self.let_go()
        self._depth = 0

    @contextmanager
    def whole(self, keep: bool) -> Iterator[None]:
        """While `raw` has the weights, on the ranks that keep them; all ranks enter."""
        if not self._depth:
            self.gather(keep)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.let_go()

    def gather(self, keep: bool) -> None:
        """Brings the weights together; this rank keeps them in `raw`, or does not."""
        with torch.no_grad():
            for own, part in zip(self.raw.parameters(), self.module.parameters(), strict=True):
                whole = full(part)
                if keep:
                    own.data = whole
            for kept, buffer in zip(self.raw.buffers(), self.module.buffers(), strict=True):
                kept.copy_(buffer)
        if keep:
            laid_out(self.raw)

    def let_go(self) -> None:
        """Leaves nothing in `raw` but its buffers."""
        for own in self.raw.parameters():
            own.data = own.data.new_empty(0)


class Shards(Weights):
    """Weights of which each rank holds a part, beside those of their gradients and of the optimizer's state (FSDP2).

    What is trained is a copy of `raw` (see `Shared`), and teachers that work at each step answer by one.

    Raises:
        InputError: They cannot be shared out.
    """

    sharded = True

    def _prepare(self, spec: TrainSpec, accelerator: Accelerator) -> None:
        check_shardable(self.raw, "student with its terms")
        self.ranks.share(self.raw)
        self._own = Shared(self.raw)
        self._teachers: list[Shared] = []
        # of fused optimizers DTensor knows AdamW
        optimizer = build_optimizer(self._own.module, spec, fused=spec.optimizer == "adamw")
        with _telling("student with its terms"):
            self.module, prepared = accelerator.prepare(self._own.module, optimizer)
        if spec.optimizer == "sgd" and spec.momentum > 0:
            begin_momentum(optimizer)  # where whole weights would have it, so that any number of ranks can go on
        self.optimizer = prepared if accelerator.scaler is not None else optimizer
        keep_gathered(self.module, "student", self.raw.objective.layers("student"))
        agreed = {
            f"{place}.{name}" for place, part in self.module.named_modules() for name in getattr(part, "agreed", ())
        }
        self._buffers = [buffer for name, buffer in self.module.named_buffers() if name not in agreed]
        self.module.register_forward_pre_hook(self._take_buffers)
        self._mesh = accelerator.torch_device_mesh[tuple(accelerator.parallelism_config.fsdp_dim_names)]

    def share_teachers(self, teachers: Sequence[Teacher | PlannedTeacher]) -> None:
        models = [id(teacher.model) for teacher in teachers]
        for teacher in teachers:
            if not isinstance(teacher, PlannedTeacher) or models.count(id(teacher.model)) > 1:
                continue
            fits = not teacher.choices and can_rest_in_shards(teacher.model)
            if self.ranks.least(partial(int, fits)):
                teacher.live = self._shared_teacher(teacher.live)
                teacher.shards = self.ranks.size

    def _shared_teacher(self, teacher: Teacher) -> Teacher:
        """One that answers alike, if all ranks ask it at the same time; the one given is whole inside of `whole()`."""
        teacher.taps.close()  # or the copy's hooks would be theirs
        shared = Shared(teacher.model)
        teacher.taps.__enter__()
        found = Teacher(shared.module, teacher.taps.names)
        for parameter in shared.module.parameters():
            parameter.data = parameter.data.contiguous()
        classes = block_classes(shared.module)
        blocks = [part for part in shared.module.modules() if type(part).__name__ in classes]
        with _telling("teacher"):
            for part in (*reversed(blocks), shared.module):  # no backward pass comes that would let the last ones go
                fully_shard(part, mesh=self._mesh, reshard_after_forward=True)
        self._teachers.append(shared)
        return found

    def _take_buffers(self, *_: Any) -> None:
        """All ranks take rank 0's buffers before a forward pass, as under DDP."""
        with torch.no_grad():
            for kind in dict.fromkeys(buffer.dtype for buffer in self._buffers):
                alike = [buffer for buffer in self._buffers if buffer.dtype == kind and buffer.numel()]
                if not alike:
                    continue
                flat = torch.cat([buffer.flatten() for buffer in alike])
                distributed.broadcast(flat.view(torch.uint8), src=0)  # as bytes any type can be sent
                if not self.ranks.main:
                    for buffer, part in zip(alike, flat.split([buffer.numel() for buffer in alike])):
                        buffer.copy_(part.view_as(buffer))

    @contextmanager
    def whole(self, teachers: bool = False) -> Iterator[DistillationModule]:
        with ExitStack() as stack:
            for shared in (self._own, *(self._teachers if teachers else ())):
                stack.enter_context(shared.whole(self.ranks.main))
            yield self.raw

    def check(self, stage: str, step: int) -> None:
        self.ranks.first(lambda: check_weights(self.raw, stage, step))

    def state(self) -> dict[str, Any]:
        found = self.optimizer.state_dict()
        for number in sorted(found["state"]):
            values = found["state"][number]
            found["state"][number] = {name: self._whole_value(values[name]) for name in sorted(values)}
        # a resume on whole weights goes on in the form that it would have begun in
        fused = all(own.device.type in ("cpu", "cuda") for own in self.raw.parameters())
        found["param_groups"] = [{**group, "fused": fused} for group in found["param_groups"]]
        return {"module": self.raw.state_dict() if self.ranks.main else {}, "optimizer": found}

    def _whole_value(self, value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        whole = full(value)
        return whole.cpu() if self.ranks.main else None

    def load(self, state: dict[str, Any]) -> None:
        parts = list(self.module.parameters())
        for own, part in zip(self.raw.parameters(), parts, strict=True):
            own.data = torch.empty(part.shape, dtype=part.dtype)
        self.raw.load_state_dict(state["module"])
        with torch.no_grad():
            for own, part in zip(self.raw.parameters(), parts, strict=True):
                _local(part).copy_(_local(_part_of(own.data, part)))
            for kept, buffer in zip(self.raw.buffers(), self.module.buffers(), strict=True):
                buffer.copy_(kept)
        self._own.let_go()
        groups = self.optimizer.param_groups
        forms = [group["fused"] for group in groups]
        parameters = [parameter for group in groups for parameter in group["params"]]
        values = {
            number: {name: _part_of(value, parameters[number]) for name, value in kept.items()}
            for number, kept in state["optimizer"]["state"].items()
        }
        self.optimizer.load_state_dict({**state["optimizer"], "state": values})
        for group, form in zip(self.optimizer.param_groups, forms):
            group["fused"] = form

    def norm(self, found: Tensor) -> Tensor:
        return full(found)

    def settle(self) -> None:
        for shared in (self._own, *self._teachers):
            shared.gather(True)

    def means(self) -> str:
        blocks = len(blocks_of(self.module))
        gathered = f"{blocks} blocks are gathered one at a time" if blocks else "all is gathered at each step"
        return f"1/{self.ranks.size} on each rank (FSDP2), {gathered}"


@contextmanager
def _telling(owner: str) -> Iterator[None]:
    """While PyTorch shares weights out: what it refuses is told in words.

    Raises:
        InputError: It refuses them.
    """
    try:
        yield
    except (ValueError, RuntimeError, KeyError, AssertionError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError) or is_lost_connection(error):
            raise
        raise not_sharded(owner, error) from error


def full(value: Any) -> Tensor:
    """The whole of a tensor that is shared out, for which all ranks call this; anything else as it is."""
    return value.full_tensor().detach() if isinstance(value, DTensor) else value


def _local(value: Any) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def _part_of(value: Any, like: Any) -> Any:
    """This rank's part of a whole tensor, shared out as another of the same shape; anything else as it is."""
    if not isinstance(value, Tensor) or not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    # every rank has the whole of it, so nothing is sent
    return distribute_tensor(value.detach(), like.device_mesh, like.placements, src_data_rank=None)

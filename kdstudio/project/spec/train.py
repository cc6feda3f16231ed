"""Training: the budget, the optimizer, its schedule, precision and seeds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from kdstudio.project.spec.base import Strict, switch


class TrainSpec(Strict):
    """How one network is trained."""

    epochs: int = Field(10, ge=1, le=100000)
    """Passes over the training samples."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (with momentum, usual for convolutional nets) or adamw."""
    lr: float = Field(0.05, gt=0, le=100)
    """Peak learning rate (sgd: 0.01 to 0.1; adamw: 1e-4 to 3e-3)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of sgd (usual 0.9)."""
    nesterov: bool = False
    """Nesterov's form of momentum."""
    weight_decay: float = Field(5e-4, ge=0, le=1)
    """Weight decay (sgd: 1e-4 to 5e-4; adamw: 0.01 to 0.1). Not applied to biases and norms."""
    schedule: Literal["cosine", "multistep", "constant"] = "cosine"
    """How the learning rate falls: cosine to zero, in steps at the milestones, or not at all."""
    milestones: list[int] = Field(default_factory=list)
    """Epochs after which multistep multiplies the rate by gamma (for example [150, 180, 210])."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor of each milestone."""
    warmup_epochs: float = Field(0, ge=0)
    """Epochs over which the rate rises linearly from zero (usual 0 to 5)."""
    clip_norm: float | None = Field(None, gt=0)
    """Gradients with a larger norm are scaled down to it (empty: no clipping; usual 1 to 5)."""
    accumulate: int = Field(1, ge=1, le=4096)
    """Split each batch into this many micro-batches to save memory; the result is the same."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic: auto is bf16 where the device has it (a processor: for large batches of large networks), or fp32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the student with torch.compile: auto on a CUDA device in long trainings; on wherever it works; off."""
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto, cpu, cuda, cuda:1 or mps."""
    devices: int = Field(1, ge=1, le=1024)
    """Devices of this machine that share each batch, one process each; those of the experiment count for all its
    networks. Under torchrun the processes that it has started count."""
    sharing: Literal["ddp", "fsdp"] = "ddp"
    """What several devices share: ddp, each batch; fsdp, also weights, gradients and the optimizer's state, of which
    each device then holds a part. That of the experiment counts for all its networks."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Seed of the initial weights, the order of samples, augmentation and dropout."""
    deterministic: bool = True
    """Ask PyTorch for deterministic kernels: the same numbers each time on one machine, at a small cost in speed."""
    early_stop: int | None = Field(None, ge=1)
    """Stop after this many epochs without a better validation score (empty: never)."""
    checkpoint_seconds: float = Field(30, ge=0)
    """Save the last state at least this often while training, and at each epoch's end."""

    @field_validator("compile", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return switch(value)

    @model_validator(mode="after")
    def _milestones(self) -> TrainSpec:
        if self.schedule == "multistep" and not self.milestones:
            raise ValueError("schedule 'multistep' needs 'milestones'; for example [15, 25]")
        if self.milestones != sorted(set(self.milestones)) or any(epoch < 1 for epoch in self.milestones):
            raise ValueError("milestones must rise, from 1 on; for example [15, 25]")
        if self.warmup_epochs > self.epochs:
            raise ValueError("warmup_epochs is longer than the whole training; make it smaller than epochs")
        return self

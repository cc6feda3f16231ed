"""Weights that are no numbers any more: found before they are kept."""

from __future__ import annotations

import torch
from torch import nn

from kdstudio.engine.meter import NOT_FINITE_FIX, NOT_FINITE_WHY
from kdstudio.project.errors import NotFiniteError


def check_weights(module: nn.Module, stage: str, step: int) -> None:
    """A step's loss can be finite and its update not be.

    Args:
        module: What is trained.
        stage, step: Where the training stands, for the message.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    finite = torch.stack([torch.isfinite(parameter.detach()).all() for parameter in module.parameters()])
    if not finite.all():
        name = next(key for (key, _), fine in zip(module.named_parameters(), finite.tolist()) if not fine)
        raise NotFiniteError(
            f"the weights of the {stage} are not finite after step {step - 1}: {name}",
            why=NOT_FINITE_WHY,
            fix=NOT_FINITE_FIX,
        )

"""Losses: pure functions, tensors in and a scalar tensor out. One file a family."""

from kdstudio.engine.losses.features import hint_loss
from kdstudio.engine.losses.outputs import soft_target_loss

__all__ = ["hint_loss", "soft_target_loss"]

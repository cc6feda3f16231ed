"""Hidden states of text networks as the alignment panel compares them: which layers, and one row a sample or token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdstudio.engine.models import layer_names
from kdstudio.engine.text.network import TextNetwork

#: Parts of names of what gives no features of tokens: tables of positions, and their angles.
_POSITIONS = ("position", "wpe", "rotary")


def layers_of(model: nn.Module) -> list[str]:
    """The layers whose outputs are compared: embeddings, blocks and what follows; of other networks all worth tapping.

    What only holds the blocks gives the last block's output once more, and the head of a language model gives as many
    numbers as there are words: both are left out.
    """
    names = layer_names(model)
    if not isinstance(model, TextNetwork):
        return names
    path = model.blocks
    if f"{path}.0" not in names:  # a single block is not seen to be one
        names = _around(model, path) + [name for name in names if not path.startswith(f"{name}.")]
    kept = [name for name in names if not f"{path}.".startswith(f"{name}.")]
    kept = [name for name in kept if not any(part in name.rpartition(".")[2] for part in _POSITIONS)]
    if model.facts.is_language_model:
        base = str(model.inner.base_model_prefix)
        kept = [name for name in kept if name.partition(".")[0] == base]
    return kept


def _around(model: TextNetwork, path: str) -> list[str]:
    """The parts of a body and, in the place of what holds them, its blocks."""
    base = path.partition(".")[0]
    found: list[str] = []
    for name, child in model.get_submodule(base).named_children():
        full = f"{base}.{name}"
        if path == full or path.startswith(f"{full}."):
            found += [f"{path}.{number}" for number in range(int(model.config.num_hidden_layers))]
        elif not isinstance(child, nn.Dropout):
            found.append(full)
    return found


def mean_of_real(features: Tensor, mask: Tensor | None) -> Tensor:
    """One row a sample: of tokens (B, S, D) the mean over the real ones, (B, D); others flattened.

    Padding would count in a flattened row, and texts of one length would be alike for it.

    Args:
        features: What a layer gives.
        mask: Boolean (B, S), True for real tokens; None where samples are no padded texts.
    """
    if mask is None or features.ndim != 3 or features.shape[:2] != mask.shape:
        return features.flatten(1)
    kept = torch.where(mask[..., None], features.float(), 0.0)  # what padding gives need not even be finite
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp_min(1)


def mean_cosine(student: Tensor, teacher: Tensor, mask: Tensor | None, tokens: bool) -> float:
    """The mean cosine of two layers' features of one shape.

    Args:
        student, teacher: (B, ...), or (B, S, D) of tokens.
        mask: Boolean (B, S), True for real tokens; None for all.
        tokens: Whether (B, S, D) are tokens, each with a cosine of its own; else a sample is one vector.
    """
    if tokens and student.ndim == 3:
        if mask is not None and mask.shape == student.shape[:2]:
            student, teacher = student[mask], teacher[mask]
        student, teacher = student.flatten(0, -2), teacher.flatten(0, -2)
    return float(functional.cosine_similarity(student.float().flatten(1), teacher.float().flatten(1), dim=1).mean())

"""Weights of one task for another: the body of a language model for a classifier, and the like."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from kdstudio.engine.models.weights import compare, listed, read_weights
from kdstudio.engine.text.build import head_names
from kdstudio.engine.text.network import TextNetwork

logger = logging.getLogger("kdstudio")

#: Parts of a body that some tasks do not have: a language model has no pooler.
_OPTIONAL = ".pooler."


def load_text_weights(model: TextNetwork, path: Path, field: str) -> None:
    """Copies the weights of a file into a network for texts: general distillation first, then the task's own.

    The body has to fit as a whole. The head is taken where it is the same, and is new where the file has it for another
    task or for other classes: as in fine-tuning BERT (Devlin et al. 2019, 1810.04805, section 3.2). What was taken and
    what is new stands in the log.

    Args:
        model: The network; what is new keeps the weights that it has.
        path: See `load_weights`.
        field: `student`, for the log.

    Raises:
        ModelError: The file is missing, damaged or unsafe, or its body is another one.
    """
    state = read_weights(path)
    own = model.state_dict()
    heads = head_names(model)
    fresh = [
        name
        for name, value in own.items()
        if (name.startswith(heads) or _OPTIONAL in name) and (name not in state or state[name].shape != value.shape)
    ]
    # half a head is none: its layers were trained for one another
    torn = {name.split(".")[0] for name in fresh if _OPTIONAL not in name}
    tied = _tied(model, own)
    fresh = [name for name in own if name in fresh or (name.split(".")[0] in torn and name not in tied)]
    base = f"{model.inner.base_model_prefix}."
    left = [name for name in state if name not in own and (not name.startswith(base) or _OPTIONAL in name)]
    taken = {name: value for name, value in state.items() if name not in left and name not in fresh}
    compare({name: value for name, value in own.items() if name not in fresh}, taken, path)
    model.load_state_dict(taken, strict=False)
    if fresh or left:
        words = f"{field}: took {len(taken)} of {len(own)} weights from {path.parent.name}/{path.name}"
        words += f"; new are {listed(fresh)}" if fresh else ""
        words += f"; left are {listed(left)}" if left else ""
        logger.info(words)


def _tied(model: nn.Module, own: dict[str, torch.Tensor]) -> set[str]:
    """Names of weights that a head shares with the embeddings."""
    places: dict[int, list[str]] = {}
    for name, value in own.items():
        places.setdefault(value.data_ptr(), []).append(name)
    return {name for names in places.values() if len(names) > 1 for name in names}

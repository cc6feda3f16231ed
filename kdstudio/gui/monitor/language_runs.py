"""Runs of language models: what the panels on single samples say of them."""

from __future__ import annotations

from kdstudio.gui.language import mark
from kdstudio.project.spec import Experiment, HubText, TextCorpus

#: Snapshots hold outputs of a few samples; of a language model these would be its vocabulary for each token.
LANGUAGE = mark(
    "No snapshots are taken of a language model. Its perplexity, agreement and KL are under Quality; what it writes "
    "is shown by kdstudio write."
)


def is_language(experiment: Experiment | None) -> bool:
    """Whether what is learned are the tokens of a text."""
    if experiment is None:
        return False
    data = experiment.data
    return isinstance(data, TextCorpus) or (isinstance(data, HubText) and data.task != "classification")

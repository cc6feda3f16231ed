"""Runs of language models: what the panels on single samples say of them."""

from __future__ import annotations

from kdstudio.gui.language import mark
from kdstudio.project.spec import Experiment, HubText, TextCorpus

#: What this panel draws are classes; a language model has a vocabulary for each token.
LANGUAGE = mark(
    "This panel shows classifiers. Of a language model see perplexity, agreement and KL under Quality; its likeliest "
    "words for each token of the probe text lie in the snapshots of the run folder."
)


def is_language(experiment: Experiment | None) -> bool:
    """Whether what is learned are the tokens of a text."""
    if experiment is None:
        return False
    data = experiment.data
    return isinstance(data, TextCorpus) or (isinstance(data, HubText) and data.task != "classification")

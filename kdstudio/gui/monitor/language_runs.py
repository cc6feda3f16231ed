"""Runs of language models: what the panels on single samples say of them."""

from __future__ import annotations

from kdstudio.gui.language import mark
from kdstudio.project.spec import Experiment, TextData

EMPTY_LANGUAGE = mark(
    "The likeliest words of teacher and student at each token of a few texts appear here, as soon as the student "
    "trains."
)
NONE_RECORDED = mark(
    "This run kept no words of its networks: those from this version on do. Its perplexity, agreement and KL are under "
    "Quality."
)


EMPTY_TAGS = mark(
    "What teacher and student say of each word of a few sentences appears here, as soon as the student trains."
)
#: Of a run of an earlier version.
NO_TAGS = mark(
    "This run on tagged words kept no snapshots of its networks: those from this version on do. Its F1 score, "
    "agreement and KL are under Quality."
)


def is_tagged(experiment: Experiment | None) -> bool:
    """Whether what is learned are the tags of words."""
    return experiment is not None and getattr(experiment.data, "task", "") == "token-classification"


def is_language(experiment: Experiment | None) -> bool:
    """Whether what is learned are the tokens of a text."""
    if experiment is None:
        return False
    return isinstance(experiment.data, TextData) and experiment.data.task != "classification"

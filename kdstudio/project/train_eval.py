"""Training samples on which the student is held against its teacher while it learns: how many, and their split."""

from __future__ import annotations

#: The split under which these figures are recorded.
SPLIT = "train-eval"
MOST = 1024


def sample_count(train: int, validation: int) -> int:
    """How many training samples are looked at: no more than validation takes, so that it never costs more."""
    return min(train, validation, MOST)

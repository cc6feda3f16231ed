"""Language models that learn from text which a network writes: the teacher beforehand, or the student as it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kdstudio.project.spec.base import Strict
from kdstudio.project.spec.network_terms import EnsembleTerm
from kdstudio.project.spec.terms import PairTerm, TermBase
from kdstudio.project.spec.text_data import HubText, TextCorpus

if TYPE_CHECKING:
    from kdstudio.project.spec.experiment import Experiment


class WrittenSpec(Strict):
    """Text that the teacher writes once, in the place of some of the data (sequence-level distillation)."""

    share: float = Field(0.5, gt=0, le=1)
    """Share of the training blocks that the teacher writes; 1 leaves nothing but the beginnings of the data's own."""
    prompt_tokens: int = Field(8, ge=1, le=8191)
    """Tokens of the data that begin each block; the teacher writes the rest (usual 4 to 32)."""
    temperature: float = Field(1.0, ge=0, le=10)
    """At 1 it draws from its distribution, below it keeps to likely words, at 0 it takes the likeliest (usual 1)."""
    top_k: int | None = Field(None, ge=1)
    """Draw among so many of the likeliest tokens only (empty: among all; usual 50)."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Which blocks, and what is drawn."""


class OnPolicySpec(Strict):
    """Text that the student writes while it learns, and the teacher judges (on-policy distillation, GKD)."""

    share: float = Field(0.5, gt=0, le=1)
    """Share of the steps whose batch the student goes on with; the other steps learn from the data (usual 0.5 to 1)."""
    prompt_tokens: int = Field(8, ge=1, le=8191)
    """Tokens of each block that the student is given (usual 4 to 32)."""
    new_tokens: int = Field(16, ge=1, le=8191)
    """Tokens that it writes; the terms on outputs compare the networks on these alone (usual 16 to 128)."""
    temperature: float = Field(1.0, ge=0, le=10)
    """At 1 it draws from its distribution, below it keeps to likely words, at 0 it takes the likeliest (usual 1)."""


def judges(term: TermBase) -> bool:
    """Whether a term can compare two networks on text that has no right answer."""
    return term.asks_teacher and not term.asks_labels and not isinstance(term, (PairTerm, EnsembleTerm))


def check_language(experiment: Experiment) -> None:
    """Raises ValueError where an experiment lacks what writing asks for."""
    data = experiment.data
    for field, spec in (("written", experiment.written), ("on_policy", experiment.on_policy)):
        if spec is None:
            continue
        if not isinstance(data, (TextCorpus, HubText)) or data.task != "causal-lm":
            raise ValueError(
                f"'{field}' is for language models that write; set data.task to causal-lm, or remove '{field}'"
            )
        if experiment.teacher is None:
            raise ValueError(f"'{field}' needs a teacher; add 'teacher', or remove '{field}'")
        tokens = spec.prompt_tokens + (spec.new_tokens if isinstance(spec, OnPolicySpec) else 1)
        if tokens > data.max_tokens:
            words = "prompt_tokens and new_tokens make" if isinstance(spec, OnPolicySpec) else "with a token after it,"
            raise ValueError(
                f"{field}: {words} {tokens} tokens, and a sample has {data.max_tokens}; "
                f"make {field}.prompt_tokens smaller, or data.max_tokens larger"
            )
    if experiment.on_policy is not None and not any(judges(term) for term in experiment.objective):
        raise ValueError(
            "on_policy: no term compares the outputs of the networks without a label; "
            "add one, such as soft, reverse-kl or jsd"
        )

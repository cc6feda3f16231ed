"""Chains: assistants between teacher and student, each distilled from the network before it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from kdstudio.project.spec.models import ModelSpec
from kdstudio.project.spec.network_terms import MutualTerm
from kdstudio.project.spec.objective import Term
from kdstudio.project.spec.terms import PairTerm
from kdstudio.project.spec.train import TrainSpec


class AssistantSpec(ModelSpec):
    """A network between teacher and student: it learns from the one before it, and teaches the next."""

    train: TrainSpec | None = None
    """How it is trained (empty: as the student, with a seed of its own)."""
    objective: list[Term] = Field(default_factory=list)
    """Its own terms (empty: the student's terms on outputs). Layer pairs name layers of the network before it."""


def assistant_terms(assistant: AssistantSpec, objective: Sequence[Term]) -> list[Term]:
    """What an assistant minimises: its own terms, or those of the student that need no layers and no peers."""
    if assistant.objective:
        return list(assistant.objective)
    return [term for term in objective if not isinstance(term, (PairTerm, MutualTerm))]


def assistant_train(assistant: AssistantSpec, place: int, train: TrainSpec) -> TrainSpec:
    """How an assistant is trained: its own way, or the student's with the seed moved on by its place (from 1).

    Networks of one architecture must not start alike, as in born-again distillation they would.
    """
    if assistant.train is not None:
        return assistant.train
    return train.model_copy(update={"seed": (train.seed + place) % 2**31})


def check_epochs(terms: Sequence[Term], epochs: int, where: str = "the objective") -> None:
    """Refuses terms of which none counts, always or in some epoch.

    Raises:
        ValueError: So it is.
    """
    if all(term.weight == 0 for term in terms):
        raise ValueError(f"every term of {where} has weight 0; give at least one a weight above 0")
    # A gap begins at the start, or where a term ends
    ends = {term.until_epoch for term in terms if term.until_epoch is not None}
    for epoch in sorted({0} | {end for end in ends if end < epochs}):
        active = [
            term
            for term in terms
            if term.weight > 0 and term.from_epoch <= epoch and (term.until_epoch is None or epoch < term.until_epoch)
        ]
        if not active:
            raise ValueError(f"no term of {where} counts in epoch {epoch}; change from_epoch or until_epoch of a term")

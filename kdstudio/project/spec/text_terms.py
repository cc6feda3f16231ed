"""Terms on the layers of text networks: attention, and hidden states of single tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from kdstudio.project.spec.joining import JoinRule
from kdstudio.project.spec.terms import LayerPair, PairTerm


class AttentionRelationTerm(PairTerm):
    """Attention relations: what each token attends to, and how the tokens' values relate (MiniLM)."""

    joins: ClassVar[JoinRule] = "blocks"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 1)."""
    term: Literal["attention-relation"] = "attention-relation"
    """Relations inside attention blocks."""
    attention: float = Field(1.0, ge=0)
    """Weight of the attention distributions; with relation heads, of queries and of keys (usual 1; 0 leaves it out)."""
    values: float = Field(1.0, ge=0)
    """Weight of the relations between values (usual 1; 0 leaves it out)."""
    heads: int | None = Field(None, ge=1, le=1024)
    """Relation heads, as in MiniLMv2: any numbers of heads and widths fit (empty: the networks' own; 12 to 64)."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of attention blocks, usually the last one of both networks; the losses are added."""

    @property
    def parts(self) -> tuple[str, ...]:
        chosen = ("query", "key") if self.attention > 0 else ()
        return (*chosen, "value") if self.values > 0 else chosen

    @property
    def asks_scores(self) -> bool:
        return self.heads is None and self.attention > 0

    @model_validator(mode="after")
    def _something(self) -> AttentionRelationTerm:
        if not self.parts:
            raise ValueError("attention and values are both 0, so there is nothing to learn; give one of them a weight")
        return self


class AttentionScoreTerm(PairTerm):
    """Attention scores: squared differences of what stands before the softmax of attention (TinyBERT)."""

    joins: ClassVar[JoinRule] = "scores"

    weight: float = Field(1.0, ge=0)
    """Weight of the term in the sum (usual 1)."""
    term: Literal["attention-score"] = "attention-score"
    """Scores of attention blocks."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of attention blocks with as many heads in both networks; the losses are added."""

    @property
    def parts(self) -> tuple[str, ...]:
        return ("query", "key")

    @property
    def asks_scores(self) -> bool:
        return True


class PatientTerm(PairTerm):
    """Patient distillation: the direction of the state that stands for the whole text, at several layers (PKD)."""

    joins: ClassVar[JoinRule] = "states"

    weight: float = Field(0.1, ge=0)
    """Weight of the term in the sum (usual 0.003 to 0.3)."""
    term: Literal["patient"] = "patient"
    """States of whole texts."""
    pairs: list[LayerPair] = Field(min_length=1)
    """Pairs of layers that give tokens of the same width; the losses are added."""

"""What a project keeps of its teachers' answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from kdstudio.project.spec.base import Strict, switch


class CacheSpec(Strict):
    """The teacher's answers, asked for once and kept in the project's `cache/` for all runs that ask the same."""

    use: Literal["auto", "on", "off"] = "auto"
    """auto: where it saves work and fits; on: also if each epoch has new views; off: the teacher works at each step."""
    features: bool = True
    """Also keep what the teacher's layers give, for hints and other terms on layers (where it fits)."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Numbers as they are kept: auto is fp16 unless that changes the teacher's answers too much, fp32 repeats them."""
    vocabulary: Literal["off", "top-k", "samples"] = "off"
    """Of language models: the likeliest words of each token; words drawn, right on average at T = 1; or nothing."""
    per_token: int = Field(64, ge=1, le=65536)
    """Words that are kept, or drawn, at each token of a language model (usual 32 to 256)."""
    limit_gb: float = Field(10.0, gt=0, le=100000)
    """Gigabytes that the project's cache may take: what was not used for longest makes room."""

    @field_validator("use", "vocabulary", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return switch(value)

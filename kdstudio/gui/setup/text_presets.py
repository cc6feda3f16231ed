"""Presets for texts: published settings of DistilBERT, DistilGPT2, MiniLM, TinyBERT, PKD and GKD."""

from __future__ import annotations

from typing import Any

from kdstudio.gui.language import mark
from kdstudio.gui.setup.facts import Facts
from kdstudio.gui.setup.preset import Changes, Preset, hard, paired, soft
from kdstudio.gui.setup.schema import complete
from kdstudio.project.spec import (
    FROM_TEACHER,
    AttentionRelationTerm,
    AttentionScoreTerm,
    CosineTerm,
    HintTerm,
    JSDTerm,
    PatientTerm,
    StudentSpec,
)
from kdstudio.project.spec.language import OnPolicySpec

MASKED, CAUSAL, LABELS = "masked-lm", "causal-lm", "classification"


def task_of(value: dict[str, Any]) -> str | None:
    """The task of an experiment's texts; None where it has no texts."""
    data = value.get("data")
    if not isinstance(data, dict) or data.get("source") not in ("table", "tagged", "corpus", "hub"):
        return None
    if data.get("source") in ("table", "tagged"):
        return LABELS
    if data.get("task") == "token-classification":
        return LABELS
    return str(data.get("task") or (CAUSAL if data.get("source") == "corpus" else LABELS))


def _half(**layers: Any) -> dict[str, Any]:
    """A student of half the teacher's layers."""
    return complete(StudentSpec, {"model": FROM_TEACHER, "layers": layers})


def _last(value: dict[str, Any], facts: Facts, model: Any, **more: Any) -> dict[str, Any]:
    """A term on the last layers alone."""
    term = paired(model, value, facts, **more)
    return {**term, "pairs": term["pairs"][-1:]}


def _distilbert(value: dict[str, Any], facts: Facts) -> Changes:
    cosine = _last(value, facts, CosineTerm, weight=1.0)
    return {
        "student": _half(rule="spread"),
        "objective": [hard(2.0), soft(5.0, 2.0), cosine],
        "train.optimizer": "adamw",
        "train.lr": 5e-4,
        "train.weight_decay": 0.0,
        "train.clip_norm": 5.0,
    }


def _distilgpt2(value: dict[str, Any], facts: Facts) -> Changes:
    cosine = _last(value, facts, CosineTerm, weight=1.0)
    return {
        "student": _half(rule="spread"),
        "objective": [hard(0.5), soft(5.0, 2.0), cosine],
        "train.optimizer": "adamw",
        "train.lr": 2.5e-4,
        "train.weight_decay": 0.0,
        "train.clip_norm": 5.0,
    }


def _minilm(value: dict[str, Any], facts: Facts) -> Changes:
    return {"objective": [_last(value, facts, AttentionRelationTerm, weight=1.0)]}


def _embeddings(facts: Facts) -> list[dict[str, str]]:
    """The pair of the networks' embeddings, where both have such a layer by name."""
    known = (facts.guide.known, facts.student.known)
    found = [
        next((str(layer["name"]) for layer in (side or {}).get("layers", []) if _ends(layer)), "") for side in known
    ]
    return [{"teacher": found[0], "student": found[1]}] if all(found) else []


def _ends(layer: dict[str, Any]) -> bool:
    return str(layer["name"]).rpartition(".")[2] == "embeddings"


def _tinybert(value: dict[str, Any], facts: Facts) -> Changes:
    scores = paired(AttentionScoreTerm, value, facts, weight=1.0)
    pairs = [*_embeddings(facts), *scores["pairs"]] if scores["pairs"] else []
    # its loss is a sum over the layers, and hints are a mean over their pairs
    hints = complete(HintTerm, {"term": "hint", "weight": float(len(pairs) or 1), "pairs": pairs})
    return {"objective": [scores, hints, soft(1.0, 1.0)]}


def _patient(value: dict[str, Any], facts: Facts) -> Changes:
    states = paired(PatientTerm, value, facts, weight=0.1)
    if len(states["pairs"]) > 1:  # the last layer is for the soft targets
        states = {**states, "pairs": states["pairs"][:-1]}
    return {"student": _half(rule="first"), "objective": [hard(0.5), soft(0.5, 10.0), states]}


def _on_policy(value: dict[str, Any], facts: Facts) -> Changes:
    return {
        "objective": [complete(JSDTerm, {"term": "jsd", "weight": 1.0, "beta": 0.5})],
        "on_policy": complete(OnPolicySpec, {"share": 0.5}),
    }


TEXT_PRESETS = (
    Preset(
        mark("DistilBERT"),
        mark("half the layers, 5 soft + 2 masked + 1 cosine, T = 2"),
        mark("As published (1910.01108) with the released weights. Sets student, objective and optimizer."),
        _distilbert,
        (MASKED, LABELS),
    ),
    Preset(
        mark("DistilGPT2"),
        mark("half the layers, 5 soft + 0.5 next tokens + 1 cosine, T = 2"),
        mark("As released with DistilBERT's code. Sets student, objective and optimizer."),
        _distilgpt2,
        (CAUSAL,),
    ),
    Preset(
        mark("MiniLM"),
        mark("attention and values of the last layer alone"),
        mark("As published (2002.10957): relations inside the last layer, with no labels. Sets the objective."),
        _minilm,
        (MASKED, CAUSAL),
    ),
    Preset(
        mark("TinyBERT"),
        mark("attention scores and hidden states by a map of layers"),
        mark("As published (1909.10351): every student layer from its teacher layer. Sets the objective."),
        _tinybert,
        (MASKED, LABELS),
    ),
    Preset(
        mark("Patient distillation (PKD)"),
        mark("the first layers, 0.5 hard + 0.5 soft + 0.1 patient"),
        mark("As published (1908.09355): the state of the whole text, layer by layer. Sets student and objective."),
        _patient,
        (LABELS,),
    ),
    Preset(
        mark("On-policy distillation (GKD)"),
        mark("half the steps on what the student writes, JSD"),
        mark("As published (2306.13649): the teacher judges what the student writes. Sets objective and on-policy."),
        _on_policy,
        (CAUSAL,),
    ),
)  # fmt: skip

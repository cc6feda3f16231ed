"""Validation of language models: the loss a token chooses the best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import nn

from kdstudio.engine.data import ArraySplit, Preprocess
from kdstudio.engine.objective import DistillationModule
from kdstudio.engine.terms import StepOutputs
from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.language_eval import Answers, Tally, at_targets, metrics, tally, views
from kdstudio.engine.validate import Validation

#: Of so many kinds of tags figures are recorded.
MOST_KINDS = 40


class LanguageValidation(Validation):
    """Scores a language model on the validation blocks, beside its teacher.

    Args:
        split, preprocess, device: See `Validation`.
        facts: The text task.
        teacher: None without one. Its outputs are too many to be kept, so it is asked each time.
    """

    metric = "perplexity"

    def __init__(
        self,
        split: ArraySplit,
        preprocess: Preprocess,
        device: torch.device,
        facts: TextFacts,
        teacher: nn.Module | None,
    ) -> None:
        super().__init__(split, preprocess, device, None)
        self.facts = facts
        self.teacher = teacher

    def score(self, module: DistillationModule, accelerator: Accelerator) -> dict[str, float]:
        """Cross-entropy a token, perplexity, accuracy, and with a teacher top-1 agreement, KL at T = 1 and the mean
        acceptance; `term.hard`, `term.soft...` are the objective's own terms on outputs.

        Of a tagger in the place of perplexity and acceptance `f1`, `precision` and `recall`, and these of each kind of
        tag as `f1.KIND`.
        """
        module.eval()
        sums, answers = Tally(self.device), Answers(self.facts)
        terms = [
            term
            for term in module.objective.term_modules()
            if term.outputs_only and not (term.needs_teacher and self.teacher is None)
        ]
        with torch.no_grad():
            for inputs, targets in views(self.split.images, self.facts, self.device, labels=self.split.labels):
                with accelerator.autocast():
                    logits = module.student(inputs)
                    said = None if self.teacher is None else self.teacher.eval()(inputs)
                answers.add(logits, targets, len(inputs))
                targets, (kept, said) = at_targets(self.facts, targets, logits, said)
                assert kept is not None
                logits = kept
                tally(logits, targets, said, sums)
                outputs = StepOutputs(logits.float(), targets, None if said is None else said.float())
                for term in terms:
                    sums.add(f"term.{term.name}", term(outputs) * len(targets))
                sums.add("every", torch.ones_like(targets))
        found = sums.values()
        values = answers.told(metrics(found))
        told = {"loss": values["nll"], "accuracy": values["accuracy"], self.metric: values[self.metric]}
        told |= values.get("fidelity", {})
        told |= {name: values[name] for name in ("precision", "recall") if name in values}
        for kind, figures in list(values.get("per_tag", {}).items())[:MOST_KINDS]:
            told |= {f"{name}.{kind}": figures[name] for name in ("f1", "precision", "recall")}
        told |= {name: total / found["every"] for name, total in found.items() if name.startswith("term.")}
        return told

    @staticmethod
    def criterion(values: Mapping[str, float]) -> float:
        """The figure by which epochs are compared: less loss is better."""
        return -values["loss"] if math.isfinite(values["loss"]) else float("-inf")


class TagValidation(LanguageValidation):
    """Scores a tagger on the validation sentences: the F1 score chooses the best epoch."""

    metric = "f1"

    @staticmethod
    def criterion(values: Mapping[str, float]) -> float:
        """The figure by which epochs are compared; of equal ones the smaller loss."""
        return values["f1"] - 1e-9 * values["loss"] if math.isfinite(values["loss"]) else float("-inf")

"""The objective: weighted terms over student outputs, teacher outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from kdstudio.engine.taps import Taps
from kdstudio.engine.terms import Facts, PairModule, StandIn, StepOutputs, TermModule, make_term
from kdstudio.engine.terms.dense import densely_guided
from kdstudio.engine.text.facts import IGNORED
from kdstudio.engine.text.network import is_tagger, token_mask_of
from kdstudio.project.schedules import weight_at
from kdstudio.project.spec import Term, term_names
from kdstudio.project.spec.language import judges

Shapes = dict[str, tuple[int, ...]]


class Objective(nn.Module):
    """The plain weighted sum of the terms, L = sum_i w_i(epoch) L_i.

    Args:
        terms: The terms of the spec, in order.
        epochs: Length of the training, for schedules.
        student_shapes, teacher_shapes: Output shapes of the tapped layers, without the batch dimension.
        facts: What terms with state need to know; None where only shapes are checked.
        dense: Whether terms on the teacher's outputs look at those of the further teachers alike (`DenseModule`).
        drop: With `dense`, the chance of each teacher to be left out of a step.

    Raises:
        ModelError: A pair whose shapes cannot be joined.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        epochs: int,
        student_shapes: Shapes | None = None,
        teacher_shapes: Shapes | None = None,
        facts: Facts | None = None,
        dense: bool = False,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.epochs = epochs
        made = [
            make_term(spec, name, student_shapes or {}, teacher_shapes or {}, f"objective.{index}", facts)
            for index, (spec, name) in enumerate(zip(terms, term_names(terms)))
        ]
        self.terms = nn.ModuleList(densely_guided(term, drop) if dense else term for term in made)
        self._modules_in_order = tuple(term for term in self.terms if isinstance(term, TermModule))
        # asked several times a step, and the same for a whole epoch
        self._weights: dict[int, list[float | None]] = {}
        self._layers: dict[tuple[str, int], list[str]] = {}

    @property
    def names(self) -> list[str]:
        return [term.name for term in self.term_modules()]

    def term_modules(self) -> tuple[TermModule, ...]:
        """The terms in the spec's order."""
        return self._modules_in_order

    def pair_terms(self) -> list[PairModule]:
        """The terms on pairs of layers."""
        return [term for term in self.terms if isinstance(term, PairModule)]

    def weights(self, epoch: int) -> list[float | None]:
        """The weight of each term in an epoch; None where it does not count."""
        if epoch not in self._weights:
            self._weights[epoch] = [weight_at(term.spec, epoch, self.epochs) for term in self.term_modules()]
        return self._weights[epoch]

    def needs_teacher(self, epoch: int) -> bool:
        """Whether any term of the epoch looks at the teacher."""
        return any(
            term.needs_teacher and weight is not None for term, weight in zip(self.term_modules(), self.weights(epoch))
        )

    def judges(self, epoch: int) -> bool:
        """Whether a term of the epoch compares the networks on text that the student wrote."""
        return any(judges(term.spec) and weight for term, weight in zip(self.term_modules(), self.weights(epoch)))

    def needs_others(self, epoch: int) -> bool:
        """Whether any term of the epoch looks at the further teachers."""
        pairs = zip(self.term_modules(), self.weights(epoch))
        return any(term.needs_others and weight is not None for term, weight in pairs)

    def trains_outputs(self, epoch: int) -> bool:
        """Whether a term on the logits counts in the epoch: without one the score says nothing about progress."""
        pairs = zip(self.term_modules(), self.weights(epoch))
        return any(weight and not isinstance(term, PairModule) for term, weight in pairs)

    def layers(self, side: str, epoch: int | None = None) -> list[str]:
        """The layers to tap of the `student` or the `teacher`: all, or those that count in an epoch."""
        if epoch is None:
            return self._layers_with(side, [0.0] * len(self.terms))
        if (side, epoch) not in self._layers:
            self._layers[side, epoch] = self._layers_with(side, self.weights(epoch))
        return self._layers[side, epoch]

    def _layers_with(self, side: str, weights: list[float | None]) -> list[str]:
        found: list[str] = []
        for term, weight in zip(self.term_modules(), weights):
            if weight is not None:
                found += term.student_layers if side == "student" else term.teacher_layers
        return list(dict.fromkeys(found))

    def stand_ins(self) -> dict[str, StandIn]:
        """What may be kept of the teacher's layers in place of all they give: where all terms on a layer agree."""
        found: dict[str, list[StandIn | None]] = {}
        for term in self.term_modules():
            for layer in term.teacher_layers:
                found.setdefault(layer, []).append(term.stand_in(layer))
        agreed = {}
        for layer, (first, *rest) in found.items():
            if first is not None and all(each is not None and each.name == first.name for each in rest):
                agreed[layer] = first
        return agreed

    def forward(self, outputs: StepOutputs, epoch: int) -> tuple[Tensor, Tensor]:
        """The total and the parts.

        A term that does not count in the epoch is not computed, nor is one that asks for more than the networks'
        outputs where the student wrote the samples. A term of weight 0 is computed, so that it can be
        watched, and left out of the sum, so that it cannot spoil it.

        Returns:
            The total, a scalar with a gradient; and (2, terms) float32 without one: the unweighted losses and the
            weighted ones, NaN where a term does not count. The total is the sum of the second row.
        """
        total: Tensor | None = None
        plain: list[Tensor] = []
        weighted: list[Tensor] = []
        missing: Tensor | None = None
        for term, weight in zip(self.term_modules(), self.weights(epoch)):
            if weight is None or (outputs.written and not judges(term.spec)):
                if missing is None:
                    missing = torch.full((), float("nan"), device=outputs.student_logits.device)
                plain.append(missing)
                weighted.append(missing)
                continue
            with torch.set_grad_enabled(torch.is_grad_enabled() and weight > 0):
                loss = term(outputs)
                share = loss * weight
                own = term.own_loss(outputs)
            if weight > 0:
                if own is not None:  # moves the term's own parts, and nothing that is told
                    share = share + (own - own.detach())
                total = share if total is None else total + share
            plain.append(loss.detach().float())
            weighted.append(share.detach().float() if weight > 0 else torch.zeros_like(plain[-1]))
        if total is None:
            total = outputs.student_logits.sum() * 0.0
        return total, torch.stack([*plain, *weighted]).view(2, -1)


class DistillationModule(nn.Module):
    """The student with the objective around it: what is optimised, wrapped and checkpointed as one.

    The teacher is not a child: its outputs come in as tensors, so `train()` cannot reach it and no optimizer or
    checkpoint can hold it. The loss is computed inside `forward`, so data-parallel wrappers see the whole step.
    """

    def __init__(self, student: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        #: Runs the student in the place of the plain way: `CompiledStudent`.
        self.compiled: Callable[[Tensor, list[str]], tuple[Tensor, dict[str, Tensor]]] | None = None
        self._taps: dict[tuple[str, ...], Taps] = {}

    def answer(self, inputs: Tensor, layers: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The student's logits, and what its layers give, by name."""
        if self.compiled is not None:
            return self.compiled(inputs, layers)
        key = tuple(layers)
        if key not in self._taps:  # looking the layers up takes longer than a small layer's work
            self._taps[key] = Taps(self.student, layers, "the student")
        with self._taps[key] as taps:
            return self.student(inputs), taps.take()

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        epoch: int,
        teacher_logits: Tensor | None,
        teacher_taps: dict[str, Tensor],
        indices: Tensor | None = None,
        other_logits: list[Tensor] | None = None,
        prompt: int = 0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One forward pass of the student and its objective.

        Args:
            prompt: See `Batch`; with one the outputs are cut down to the tokens that the student wrote.

        Returns:
            The total loss, the parts (see `Objective.forward`), and the logits (B, C) without a gradient.
        """
        logits, features = self.answer(inputs, self.objective.layers("student", epoch))
        outputs = StepOutputs(
            logits,
            targets,
            teacher_logits,
            features,
            teacher_taps,
            inputs,
            indices,
            other_logits or [],
            token_mask_of(self.student, inputs),
        )
        if prompt:
            outputs = written_only(outputs, len(inputs), prompt)
        told = outputs.student_logits.detach()
        if is_tagger(self.student):
            outputs = words_only(outputs)
        total, parts = self.objective(outputs, epoch)
        return total, parts, told


def words_only(outputs: StepOutputs) -> StepOutputs:
    """The outputs of a tagger at the tokens that have a tag: the others are parts of words, and padding."""
    kept = outputs.targets != IGNORED
    teacher = outputs.teacher_logits
    return replace(
        outputs,
        student_logits=outputs.student_logits[kept],
        targets=outputs.targets[kept],
        teacher_logits=None if teacher is None else teacher[kept],
        other_logits=[each[kept] for each in outputs.other_logits],
    )


def written_only(outputs: StepOutputs, samples: int, prompt: int) -> StepOutputs:
    """The outputs of a language model at the tokens that the student wrote: (B * (S - 1), V) to (B * (S - P), V).

    Args:
        outputs: Of whole samples.
        samples, prompt: Their number B, and the tokens P of each that it was given.
    """

    def cut(logits: Tensor) -> Tensor:
        return logits.unflatten(0, (samples, -1))[:, prompt - 1 :].flatten(0, 1)

    teacher = outputs.teacher_logits
    return replace(
        outputs,
        student_logits=cut(outputs.student_logits),
        teacher_logits=None if teacher is None else cut(teacher),
        other_logits=[cut(each) for each in outputs.other_logits],
        written=True,
    )

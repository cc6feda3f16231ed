"""Terms on the layers of text networks. The docstrings are what docs/methods is made from."""

from __future__ import annotations

import torch
from torch import Tensor

from kdstudio.engine.losses import (
    attention_distribution_loss,
    attention_score_loss,
    attention_scores,
    patient_loss,
    value_relation_loss,
)
from kdstudio.engine.terms.base import StepOutputs
from kdstudio.engine.terms.pairs import PairModule, Wiring, without_padding
from kdstudio.engine.text.blocks import causal_network, taps_of
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import AttentionRelationTerm, AttentionScoreTerm, LayerPair, PairTerm

Parts = dict[str, Tensor]


class BlockModule(PairModule):
    """A term on parts of attention blocks, (B, heads, S, d) each."""

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        self.causal = causal_network(wiring.facts.teacher if wiring.facts is not None else None)
        for index, pair in enumerate(spec.pairs):
            for part in spec.parts:
                student, teacher = wiring.student[f"{pair.student}#{part}"], wiring.teacher[f"{pair.teacher}#{part}"]
                found = self.misfit(part, student, teacher)
                if found is not None:
                    names = f"'{pair.teacher}' of the teacher and '{pair.student}' of the student"
                    raise ModelError(f"{wiring.where}.pairs.{index}: {names}: {found[0]}", *found[1:], kind="pair")

    def misfit(self, part: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> tuple[str, str, str] | None:
        """What does not fit, why and what to do, where the heads differ; None where all fits.

        Args:
            part: query, key or value.
            student, teacher: (heads, S, d) of each side.
        """
        if student[0] == teacher[0]:
            return None
        heads = "heads of values" if part == "value" else "heads"
        return (
            f"{student[0]} {heads} (student) and {teacher[0]} (teacher) cannot be compared",
            "the term compares head by head",
            "use a student with as many heads, or attention-relation with heads (for example 16), which makes heads "
            "of its own",
        )

    @property
    def student_layers(self) -> list[str]:
        return [tap for pair in self.spec.pairs for tap in taps_of(self.spec, pair.student)]

    @property
    def teacher_layers(self) -> list[str]:
        return [tap for pair in self.spec.pairs for tap in taps_of(self.spec, pair.teacher)]

    def parts(self, outputs: StepOutputs, pair: LayerPair) -> tuple[Parts, Parts]:
        """Student's and teacher's parts of a pair, by query, key and value."""
        student = {part: outputs.student_taps[f"{pair.student}#{part}"] for part in self.spec.parts}
        teacher = {part: outputs.teacher_taps[f"{pair.teacher}#{part}"] for part in self.spec.parts}
        return student, teacher

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        """The last part of each pair as (B, S, width); 0 at tokens that are padding."""
        found = []
        for pair in self.spec.pairs:
            sides = [parts[self.spec.parts[-1]].transpose(1, 2).flatten(2) for parts in self.parts(outputs, pair)]
            found.append((without_padding(sides[0], outputs.token_mask), without_padding(sides[1], outputs.token_mask)))
        return found

    def pair_losses(self, outputs: StepOutputs) -> list[Tensor]:
        mask = outputs.token_mask
        return [self.block_loss(*self.parts(outputs, pair), mask) for pair in self.spec.pairs]

    def block_loss(self, student: Parts, teacher: Parts, mask: Tensor | None) -> Tensor:
        """The loss of one pair.

        Args:
            student, teacher: (B, heads, S, d) by part.
            mask: Boolean (B, S), True for real tokens; None for all.
        """
        raise TypeError(f"{type(self).__name__} does not define its loss")


class AttentionRelationModule(BlockModule):
    """Attention relations: the student attends as the teacher does, and relates values alike
    (`attention_distribution_loss`, `value_relation_loss`).

    Equation:
        L = attention L_AT + values L_VR, the sum over the pairs; L_AT = mean over heads and tokens of KL(A_t || A_s)
        with A = softmax(Q K' / sqrt(d)), L_VR the same of softmax(V V' / sqrt(d)). With relation heads, Q, K and V of
        both networks are cut into so many heads anew, and L = attention (L_QQ + L_KK) + values L_VV with
        softmax(Q Q' / sqrt(d)) and so on

    When it helps:
        With a student that is shallower and thinner than its teacher: the last block alone says how the teacher's
        tokens go together, and no widths have to agree. It asks for no labels and fits any task's head, so it suits
        a first stage on unlabelled text.

    Usual weights:
        1 alone, on the last block of both (MiniLM). With relation heads 1 as well, 48 of them for networks of width
        768 and 64 for 1024, on the last block of a base and one of the upper middle of a large teacher (MiniLMv2:
        21st of 24).

    Traps:
        Without relation heads both networks need as many heads, and rotary positions (Llama, ModernBERT) are refused:
        their scores cannot be read from the projections. With them the width has to be a multiple of the heads. The
        output layer above the block learns nothing from it: add soft targets or labels, or train it afterwards.

    Paper:
        Wang et al. 2020, MiniLM (2002.10957), equations 5 to 8; Wang et al. 2021, MiniLMv2 (2012.15828), section 3.
    """

    spec: AttentionRelationTerm

    def misfit(self, part: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> tuple[str, str, str] | None:
        if self.spec.heads is None:
            return super().misfit(part, student, teacher)
        widths = {"student": student[0] * student[2], "teacher": teacher[0] * teacher[2]}
        wrong = [side for side, width in widths.items() if width % self.spec.heads]
        if not wrong:
            return None
        many = {"query": "queries", "key": "keys", "value": "values"}[part]
        return (
            f"the {many} of the {wrong[0]} have a width of {widths[wrong[0]]}, which {self.spec.heads} relation heads "
            "cannot share",
            "each relation head takes as many numbers as every other",
            f"set heads to a divisor of {widths['student']} and {widths['teacher']}",
        )

    def block_loss(self, student: Parts, teacher: Parts, mask: Tensor | None) -> Tensor:
        spec, found = self.spec, []
        if spec.heads is not None:
            for part in spec.parts:
                sides = [relation_heads(side[part], spec.heads) for side in (student, teacher)]
                weight = spec.values if part == "value" else spec.attention
                found.append(weight * value_relation_loss(sides[0], sides[1], mask, self.causal))
            return torch.stack(found).sum()
        if spec.attention > 0:
            scores = [attention_scores(side["query"], side["key"]) for side in (student, teacher)]
            found.append(spec.attention * attention_distribution_loss(scores[0], scores[1], mask, self.causal))
        if spec.values > 0:
            found.append(spec.values * value_relation_loss(student["value"], teacher["value"], mask, self.causal))
        return torch.stack(found).sum()


def relation_heads(part: Tensor, heads: int) -> Tensor:
    """(B, h, S, d) cut into other heads: (B, heads, S, h d / heads)."""
    return part.transpose(1, 2).flatten(2).unflatten(-1, (heads, -1)).transpose(1, 2)


class AttentionScoreModule(BlockModule):
    """Attention scores: what stands before the softmax of attention, head by head (`attention_score_loss`).

    Equation:
        L = mean of (A_s - A_t)^2 with A = Q K' / sqrt(d), over heads and pairs of real tokens; of causal networks over
        a token and those before it; the sum over the pairs

    When it helps:
        As one part of TinyBERT: for each layer of the student a layer of the teacher, evenly spread (layer m takes
        layer 3m of 12 with 4), with hints on the same pairs and on the embeddings.

    Usual weights:
        1 for each pair. TinyBERT puts together three terms: attention-score on the mapped blocks; hint on
        the embeddings (bert.embeddings) and the same blocks, with the number of pairs as its weight, because hints
        are the mean over their pairs; both until most epochs have passed, then soft targets at T = 1 alone.

    Traps:
        Scores are not bounded, and a shift of a whole row, which the softmax does not see, counts as well. Both
        networks need as many heads; rotary positions are refused.

    Paper:
        Jiao et al. 2020, TinyBERT (1909.10351), equation 7.
    """

    spec: AttentionScoreTerm

    def block_loss(self, student: Parts, teacher: Parts, mask: Tensor | None) -> Tensor:
        scores = [attention_scores(side["query"], side["key"]) for side in (student, teacher)]
        return attention_score_loss(scores[0], scores[1], mask, self.causal)


class PatientModule(PairModule):
    """Patient distillation: the state of the whole text points where the teacher's does, layer by layer
    (`patient_loss`).

    Equation:
        L = mean over texts of | s / |s| - t / |t| |^2, and the sum over the pairs; s and t are the states of the first
        token, [CLS]; of the last real token where tokens attend to those before them only (GPT-2, Llama), because that
        is the one that has seen the whole text

    When it helps:
        With classification, a fine-tuned teacher, and a student of its width: the student follows how the teacher's
        summary of a text comes about. PKD-skip takes every other layer, PKD-last the last ones; the top layer is left
        to soft targets.

    Usual weights:
        0.003 to 0.3 beside hard labels and soft targets (T 5 to 20) of 0.5 each. The paper's 10 to 1000 is for a mean
        over the width and the layers: divided by 768 times 5.

    Traps:
        There is no regressor: the widths have to be the same. The first token says little in a network that was not
        trained to sum up a text there, as in language models on packed blocks.

    Paper:
        Sun, Cheng, Gan and Liu 2019, Patient Knowledge Distillation (1908.09355), equation 7.
    """

    def __init__(self, spec: PairTerm, name: str, wiring: Wiring) -> None:
        super().__init__(spec, name, wiring)
        self.causal = causal_network(wiring.facts.teacher if wiring.facts is not None else None)

    def features(self, outputs: StepOutputs) -> list[tuple[Tensor, Tensor]]:
        mask = outputs.token_mask
        return [
            (
                text_state(outputs.student_taps[pair.student], mask, self.causal),
                text_state(outputs.teacher_taps[pair.teacher], mask, self.causal),
            )
            for pair in self.spec.pairs
        ]

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return patient_loss(student, teacher)


def text_state(features: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """The state that stands for a text: of the first token, or of the last real one.

    Args:
        features: (B, S, D).
        mask: Boolean (B, S), True for real tokens; None where all are.
        causal: Whether only the last token has seen the whole text.

    Returns:
        (B, D).
    """
    if not causal:
        return features[:, 0]
    if mask is None:
        return features[:, -1]
    last = mask.long().cumsum(dim=1).argmax(dim=1)  # the first place where all real ones are counted
    return features[torch.arange(len(features), device=features.device), last]

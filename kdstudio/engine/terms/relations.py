"""Terms on relations between the samples of a batch. The docstrings are what docs/methods is made from."""

from __future__ import annotations

from torch import Tensor

from kdstudio.engine.losses import (
    correlation_congruence_loss,
    probabilistic_transfer_loss,
    relational_angle_loss,
    relational_distance_loss,
    similarity_preserving_loss,
)
from kdstudio.engine.terms.pairs import PairModule


class DistanceModule(PairModule):
    """Relational distances: samples are as far from each other as for the teacher (`relational_distance_loss`).

    Equation:
        L = mean over all B x B entries of huber(d_s[i, j] - d_t[i, j]), where d are Euclidean distances divided by
        their mean over positive entries, each network by its own; the sum over the pairs

    When it helps:
        For embeddings, search and clustering, where places among each other are what counts; and between networks of
        any two widths.

    Usual weights:
        25, together with angles of weight 50, beside hard labels of weight 1; the last features before the classifier.

    Traps:
        Relations are those within a batch, or a micro-batch where train.accumulate is set: small batches say little. A
        batch of one gives 0.

    Paper:
        Park, Kim, Lu and Cho 2019, Relational Knowledge Distillation (1904.05068), section 3.2.1.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return relational_distance_loss(student, teacher)


class AngleModule(PairModule):
    """Relational angles: any three samples form the angle that they form for the teacher (`relational_angle_loss`).

    Equation:
        L = mean over all B^3 entries of huber(cos_s[i, j, k] - cos_t[i, j, k]), with the angle at j; the sum over the
        pairs

    When it helps:
        As distances, with more detail; the two belong together.

    Usual weights:
        50, together with distances of weight 25, beside hard labels of weight 1.

    Traps:
        The work grows with the third power of the batch (512 samples: 134 million angles); memory does not, the table
        is made in pieces. Relations are those within a batch, or a micro-batch where train.accumulate is set.

    Paper:
        Park, Kim, Lu and Cho 2019, Relational Knowledge Distillation (1904.05068), section 3.2.2.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return relational_angle_loss(student, teacher)


class SimilarityModule(PairModule):
    """Similarity preserving: samples that excite a layer alike do so in both networks (`similarity_preserving_loss`).

    Equation:
        L = ||R(F_t F_t') - R(F_s F_s')||^2 / B^2, where F holds one flattened sample a row and R divides each row by
        its L2 norm; the sum over the pairs

    When it helps:
        Between networks of different kinds, whose features cannot be compared one by one.

    Usual weights:
        3000 beside hard labels of weight 1; the last maps.

    Traps:
        After a ReLU all inner products are positive and the matrix is dominated by what samples have in common.
        Relations are those within a batch, or a micro-batch where train.accumulate is set.

    Paper:
        Tung and Mori 2019, Similarity-Preserving Knowledge Distillation (1907.09682), section 3.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return similarity_preserving_loss(student, teacher)


class ProbabilisticModule(PairModule):
    """Probabilistic transfer: each sample has the neighbours it has for the teacher (`probabilistic_transfer_loss`).

    Equation:
        L = mean over B x B of p_t log(p_t / p_s), where p are the rows of (cos + 1) / 2, divided by their sum; the sum
        over the pairs

    When it helps:
        For retrieval, and between networks of any two widths; it asks for who is near, not how far.

    Usual weights:
        30000 beside hard labels of weight 1 (the mean over B^2 small probabilities makes the loss tiny); the last
        features before the classifier.

    Traps:
        The size of the loss falls with the square of the batch, so another batch size needs another weight. Relations
        are those within a batch, or a micro-batch where train.accumulate is set.

    Paper:
        Passalis and Tefas 2018, Learning Deep Representations with Probabilistic Knowledge Transfer (1803.10837),
        section 3.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return probabilistic_transfer_loss(student, teacher)


class CongruenceModule(PairModule):
    """Correlation congruence: errors of neighbours in a batch must not fall together (`correlation_congruence_loss`).

    Equation:
        L = mean over i of <|d[i]|, |d[i + 1]|> with d = s - t, flattened for each sample; the sum over the pairs

    When it helps:
        Beside another term that leads the student to the teacher; alone it is a weak one.

    Usual weights:
        0.02 beside hard labels of weight 1.

    Traps:
        There is no regressor: the layers need the same width; the logits always have it. This is the short form that
        benchmarks compare, not the kernels of the paper.

    Paper:
        Peng et al. 2019, Correlation Congruence for Knowledge Distillation (1904.01802); in the form of 1910.10699.
    """

    def pair_loss(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        return correlation_congruence_loss(student, teacher)

"""The sums behind the soft-targets panel: both networks' outputs at one temperature, each computed when first asked."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from kdstudio.gui.language import tr
from kdstudio.project.runs.snapshots import Probes, Snapshot, class_means, log_soften


class Softened:
    """One network at a temperature.

    Args:
        logits: Of the probe samples, (P, K).
        pool_logits: Of the pool, (N, K).
        labels: Of the pool, (N).
        temperature: T.
        classes: The number of classes that labels can name.
    """

    def __init__(
        self, logits: np.ndarray, pool_logits: np.ndarray, labels: np.ndarray, temperature: float, classes: int
    ) -> None:
        self.logits = logits
        self.pool_logits = pool_logits
        self.labels = labels
        self.temperature = temperature
        self.classes = classes

    @cached_property
    def logs(self) -> np.ndarray:
        """log softmax(z / T) of the probe samples, (P, K)."""
        return log_soften(self.logits, self.temperature, np.float32)

    @cached_property
    def says(self) -> np.ndarray:
        """The most probable class of each probe sample, (P)."""
        return self.logits.argmax(axis=1)

    @cached_property
    def pool_logs(self) -> np.ndarray:
        """log softmax(z / T) of the pool, (N, K)."""
        return log_soften(self.pool_logits, self.temperature, np.float32)

    @cached_property
    def _pool_probabilities(self) -> np.ndarray:
        return np.exp(self.pool_logs)

    @cached_property
    def pool_entropy(self) -> np.ndarray:
        """Entropy of each sample of the pool in nats, (N)."""
        return -(self._pool_probabilities * self.pool_logs).sum(axis=1)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The dark-knowledge matrix, (classes, K): row r is the mean over samples of class r; NaN without samples."""
        return class_means(self._pool_probabilities, self.labels, self.classes)

    @cached_property
    def alike(self) -> list[int]:
        """Classes, those first whose samples are given the most to each other."""
        size = min(self.matrix.shape)
        square = self.matrix[:size, :size]
        pairs = np.triu(np.nan_to_num(square) + np.nan_to_num(square.T), 1)
        most = min(pairs.size, 4 * size)
        order = np.argpartition(-pairs, most - 1, axis=None)[:most]
        order = order[np.argsort(-pairs.ravel()[order], kind="stable")]
        return list(dict.fromkeys(np.column_stack(np.unravel_index(order, pairs.shape)).ravel().tolist()))

    def divergence_to(self, other: Softened) -> np.ndarray:
        """KL(self || other) of each sample of the pool in nats, (N)."""
        return (self._pool_probabilities * (self.pool_logs - other.pool_logs)).sum(axis=1)


class SoftTargets:
    """Teacher and student at one moment and one temperature. The teacher's half is kept while only time passes."""

    def __init__(
        self, probes: Probes, snapshot: Snapshot, temperature: float, before: SoftTargets | None = None
    ) -> None:
        self.probes = probes
        self.snapshot = snapshot
        self.temperature = temperature
        outputs = snapshot.student_logits.shape[1]
        self.names = [
            *probes.classes,
            *(tr("class {number}", number=index) for index in range(len(probes.classes), outputs)),
        ]
        labels = probes.pool_labels
        self.student = Softened(
            snapshot.student_logits, snapshot.pool_student_logits, labels, temperature, len(self.names)
        )
        self.teacher: Softened | None = None
        if before is not None and before.probes is probes and before.temperature == temperature:
            self.teacher = before.teacher
        elif (
            probes.teacher_logits is not None
            and probes.pool_teacher_logits is not None
            and probes.teacher_logits.shape[1] == outputs
        ):
            self.teacher = Softened(
                probes.teacher_logits, probes.pool_teacher_logits, labels, temperature, len(self.names)
            )

    def name(self, label: int) -> str:
        """A class in words."""
        return self.names[label] if 0 <= label < len(self.names) else tr("class {number}", number=label)

    @cached_property
    def agreement(self) -> float:
        """The share of the pool in which both give the same class the most; NaN without a teacher."""
        if self.teacher is None or not len(self.student.labels):
            return float("nan")
        return float(np.mean(self.teacher.pool_logits.argmax(axis=1) == self.student.pool_logits.argmax(axis=1)))

    @cached_property
    def divergence(self) -> float:
        """The mean KL(teacher || student) over the pool in nats; NaN without a teacher."""
        if self.teacher is None or not len(self.student.labels):
            return float("nan")
        return float(np.mean(self.teacher.divergence_to(self.student)))

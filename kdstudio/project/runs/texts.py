"""What snapshots of language models hold: the top words of teacher and student at each place of a few texts.

Logarithms of probabilities at T = 1 are kept for the words that a network gives the most, and of its whole distribution
what makes them probabilities at any other temperature: with b = 1 / T, L(b) = log of the sum over all words of
exp(b log p), and its slope, at a few b. Between these a cubic that meets both values and both slopes is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdstudio.project.runs.snapshots import SnapshotInfo, read_header

TEXTS_FILE = "texts.safetensors"
#: The 1 / T at which the masses of the distributions are kept; T = 1 is exact, and so are 0.5, 2, 4, 8 and 16. Between
#: them a probability is within 2 % of itself.
BETAS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class Spoken:
    """What one network says at each place of the texts.

    Attributes:
        ids: (B, N, k) its top words, the first one the most probable.
        logs: (B, N, k + 1) log probabilities of these, and of the word that stands there.
        others: (B, N, k) log probabilities of the other network's top words; None without another.
        mass: (B, N, len(BETAS), 2) L and its slope.
    """

    ids: np.ndarray
    logs: np.ndarray
    others: np.ndarray | None
    mass: np.ndarray


@dataclass(frozen=True)
class Texts:
    """The probe texts of a run of language models.

    Attributes:
        task: causal-lm or masked-lm.
        words: All tokens as people read them, by number.
        ids: (B, S) what the networks are given.
        targets: (B, N) the word that stands at each place; place n of causal-lm is token n + 1, of masked-lm token n.
        hidden: (B, N) whether the network has to say it: at every place of causal-lm, at hidden ones of masked-lm.
        teacher_ids, teacher_logs, teacher_mass: See `Spoken`; None without a teacher.
        tags: Of taggers (token-classification) the names of the tags. `targets` are numbers of these then, -1 at tokens
            at which no word begins, and `hidden` are those at which one does.
        teacher_tags: (B, S, C) the teacher's log probabilities of all tags; None of other runs and without a teacher.
        kinds: (B, S) of taggers 0 for padding, 1 for what the tokenizer has put there, 2 for parts of words.
    """

    task: str
    words: list[str]
    ids: np.ndarray
    targets: np.ndarray
    hidden: np.ndarray
    teacher_ids: np.ndarray | None
    teacher_logs: np.ndarray | None
    teacher_mass: np.ndarray | None
    tags: tuple[str, ...] = ()
    teacher_tags: np.ndarray | None = None
    kinds: np.ndarray | None = None

    def tokens(self, text: int) -> list[str]:
        """The tokens of a text as the networks see them, without padding."""
        row = self.ids[text] if self.kinds is None else self.ids[text][self.kinds[text] > 0]
        return [self.word(int(number)) for number in row]

    @property
    def shift(self) -> int:
        """How many tokens stand before the one of place 0."""
        return self.ids.shape[1] - self.targets.shape[1]

    def word(self, number: int) -> str:
        """A token as people read it."""
        return self.words[number] if 0 <= number < len(self.words) else f"[{number}]"

    def teacher(self, said: Said) -> Spoken | None:
        """The teacher's side at a moment: what it gives the student's top words depends on these."""
        if self.teacher_ids is None or self.teacher_logs is None or self.teacher_mass is None:
            return None
        return Spoken(self.teacher_ids, self.teacher_logs, said.teacher_others, self.teacher_mass)


@dataclass(frozen=True)
class Said:
    """What the student says at one moment.

    Attributes:
        step, epoch: The moment.
        student: Its side.
        teacher_others: What the teacher gives the student's top words; None without one.
        kl: (B, N) KL(teacher || student) in nats at T = 1; None without a teacher.
    """

    step: int
    epoch: int
    student: Spoken
    teacher_others: np.ndarray | None
    kl: np.ndarray | None


@dataclass(frozen=True)
class SaidTags:
    """What the student of a tagger says at one moment.

    Attributes:
        step, epoch: The moment.
        student: (B, S, C) log probabilities of all tags at each token.
        kl: (B, S) KL(teacher || student) in nats at T = 1 where a word begins, NaN elsewhere; None without a teacher.
    """

    step: int
    epoch: int
    student: np.ndarray
    kl: np.ndarray | None


def read_texts(run: Any) -> Texts | None:
    """The probe texts of a run; None where it is no language model's, or they have not been written."""
    from safetensors.numpy import load_file

    path = run.snapshots_dir / TEXTS_FILE
    meta = read_header(path)
    if not meta:
        return None
    try:
        arrays = load_file(path)
        return Texts(
            task=json.loads(meta["task"]),
            words=json.loads(meta["words"]),
            ids=arrays["ids"],
            targets=arrays["targets"],
            hidden=arrays["hidden"].astype(bool),
            teacher_ids=arrays.get("teacher.ids"),
            teacher_logs=_wide(arrays.get("teacher.logs")),
            teacher_mass=_wide(arrays.get("teacher.mass")),
            tags=tuple(json.loads(meta.get("tags", "[]"))),
            teacher_tags=_wide(arrays.get("teacher.tags")),
            kinds=arrays.get("kinds"),
        )
    except Exception:  # a file that is cut off or foreign: the panel waits for a good one
        return None


def read_said(info: SnapshotInfo) -> Said | SaidTags | None:
    """What the student says at a moment; None where the file is damaged or of another kind."""
    from safetensors.numpy import load_file

    try:
        arrays = load_file(info.path)
        tags = _wide(arrays.get("student.tags"))
        if tags is not None:
            return SaidTags(info.step, info.epoch, tags, arrays.get("kl"))
        others = _wide(arrays.get("student.others"))
        logs, mass = _wide(arrays["student.logs"]), _wide(arrays["student.mass"])
        assert logs is not None
        assert mass is not None
        student = Spoken(arrays["student.ids"], logs, others, mass)
        return Said(info.step, info.epoch, student, _wide(arrays.get("teacher.others")), arrays.get("kl"))
    except Exception:  # see read_texts
        return None


def _wide(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else array.astype(np.float32)


def mass_at(mass: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """L and its slope at 1 / T, by Hermite's cubic between the kept ones; beyond the last along its slope.

    Args:
        mass: (..., len(BETAS), 2).
        temperature: T.

    Returns:
        L (...), slope (...).
    """
    beta, nodes = 1.0 / temperature, np.array(BETAS)
    values, slopes = mass[..., 0].astype(float), mass[..., 1].astype(float)
    if beta >= nodes[-1]:
        return values[..., -1] + (beta - nodes[-1]) * slopes[..., -1], slopes[..., -1]
    at = int(np.searchsorted(nodes, beta, side="right")) - 1
    width = nodes[at + 1] - nodes[at]
    t = (beta - nodes[at]) / width
    low, high, rise, fall = values[..., at], values[..., at + 1], slopes[..., at], slopes[..., at + 1]
    value = (2 * t**3 - 3 * t**2 + 1) * low + (3 * t**2 - 2 * t**3) * high
    value = value + width * ((t**3 - 2 * t**2 + t) * rise + (t**3 - t**2) * fall)
    slope = (6 * t**2 - 6 * t) * (low - high) / width + (3 * t**2 - 4 * t + 1) * rise + (3 * t**2 - 2 * t) * fall
    return value, slope


def entropy_at(mass: np.ndarray, temperature: float) -> np.ndarray:
    """Entropy in nats of softmax(z / T) over all words: L(b) - b L'(b)."""
    value, slope = mass_at(mass, temperature)
    return np.maximum(value - slope / temperature, 0.0)

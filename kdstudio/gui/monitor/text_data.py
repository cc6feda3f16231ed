"""The sums behind the panels of language models: what both networks say at each place, at one temperature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import number
from kdstudio.gui.monitor.text_words import seen
from kdstudio.project.runs.texts import Said, SaidTags, Spoken, Texts, entropy_at, mass_at

EXACT = mark(
    "At T = 0.5, 1, 2, 4, 8 and 16 the bars are exact to half a per cent, between them to 2 %; the last row is what "
    "all other words of the vocabulary get. Colours and KL are always those at T = 1."
)

DIVERGENCE = mark("How far the student's words are from the teacher's: KL(teacher || student) at T = 1; 0 is the same")
SURPRISE = mark("How little the student expects the word that stands there: -log p at T = 1")


@dataclass(frozen=True)
class Words:
    """The words that teacher and student give the most at a place, and the one that stands there.

    Attributes:
        ids, names: The words.
        teacher, student: What each gets at the temperature; no teacher without one.
        teacher_rest, student_rest: What all other words get together.
        others: How many these are.
        there: Which of the words stands there.
    """

    ids: list[int]
    names: list[str]
    teacher: np.ndarray | None
    student: np.ndarray
    teacher_rest: float | None
    student_rest: float
    others: int
    there: int


class TextTargets:
    """Teacher and student of a language model at one moment and one temperature."""

    #: How exact the figures are.
    exact = EXACT

    def __init__(self, texts: Texts, said: Said, temperature: float) -> None:
        self.texts = texts
        self.said: Said | SaidTags = said
        self.temperature = temperature
        self.student = said.student
        self.teacher = texts.teacher(said)

    @cached_property
    def shade(self) -> np.ndarray:
        """(B, N) the figure that colours a text: KL(teacher || student), or without a teacher the student's surprise
        -log p of the word there, in nats at T = 1."""
        return -self.student.logs[..., -1] if self.said.kl is None else self.said.kl

    @property
    def shade_name(self) -> str:
        """What that figure is called."""
        return tr("surprise") if self.said.kl is None else tr("KL")

    @property
    def shade_tip(self) -> str:
        """What that figure says."""
        return tr(SURPRISE) if self.said.kl is None else tr(DIVERGENCE)

    def values(self, text: int) -> list[float]:
        """That figure of each token of a text; NaN where nothing is said."""
        return [float("nan")] * self.texts.shift + self.shade[text].tolist()

    def mean(self, text: int | None = None) -> float:
        """Its mean over a text, or over all."""
        chosen = range(len(self.texts.ids)) if text is None else [text]
        return float(np.mean([value for each in chosen for value in self.values(each)[self.texts.shift :]]))

    @property
    def answers(self) -> int:
        """Among how many words, or tags, the networks choose."""
        return len(self.texts.words)

    def label(self, word: int) -> str:
        """One of these by its number."""
        return self.texts.word(word)

    def length(self, text: int) -> int:
        """How many tokens a text has."""
        return self.texts.ids.shape[1]

    def first(self, text: int) -> int:
        """The token of a text to look at first: a hidden one, or the middle."""
        hidden = self.hidden(text)
        return hidden.index(True) if any(hidden) else self.length(text) // 2

    def place(self, token: int) -> int:
        """The place at which a token is said; below 0 for the first one of causal-lm, which nobody says."""
        return token - self.texts.shift

    def token_words(self, text: int) -> list[str]:
        """The tokens of a text as they were, hidden ones too."""
        texts = self.texts
        numbers = texts.ids[text].tolist()
        numbers[texts.shift :] = texts.targets[text].tolist()
        return [texts.word(int(number)) for number in numbers]

    def names(self, text: int) -> list[str]:
        """The same with signs for what cannot be seen."""
        return [seen(word) for word in self.token_words(text)]

    def hidden(self, text: int) -> list[bool]:
        """Which tokens of a masked-lm text are hidden; none of a causal one is."""
        if self.texts.task != "masked-lm":
            return [False] * self.texts.ids.shape[1]
        return [bool(each) for each in self.texts.hidden[text]]

    def given(self, text: int, token: int) -> str:
        """The token that the networks see at a place."""
        return self.texts.word(int(self.texts.ids[text, token]))

    def words(self, text: int, place: int) -> Words:
        """The words at a place: the union of both networks' top words, and the word there."""
        at = (text, place)
        target = int(self.texts.targets[at])
        logs: dict[int, tuple[float | None, float]] = {}
        student, teacher = self.student, self.teacher
        if teacher is not None and teacher.others is not None and student.others is not None:
            for word, own, other in zip(teacher.ids[at], teacher.logs[at], student.others[at]):
                logs[int(word)] = (float(own), float(other))
            for word, own, other in zip(student.ids[at], student.logs[at], teacher.others[at]):
                logs.setdefault(int(word), (float(other), float(own)))
            logs.setdefault(target, (float(teacher.logs[at][-1]), float(student.logs[at][-1])))
        else:
            for word, own in zip(student.ids[at], student.logs[at]):
                logs[int(word)] = (None, float(own))
            logs.setdefault(target, (None, float(student.logs[at][-1])))
        ids = list(logs)
        mine, rest = self._shares(student, at, [logs[word][1] for word in ids])
        theirs: np.ndarray | None = None
        left: float | None = None
        if teacher is not None:
            theirs, left = self._shares(teacher, at, [logs[word][0] or 0.0 for word in ids])
        names = [seen(self.texts.word(word)) for word in ids]
        others = max(0, len(self.texts.words) - len(ids))
        return Words(ids, names, theirs, mine, left, rest, others, ids.index(target))

    def _shares(self, side: Spoken, at: tuple[int, int], logs: list[float]) -> tuple[np.ndarray, float]:
        """Probabilities of some words at the temperature, and what is left for all others."""
        mass, _ = mass_at(side.mass[at], self.temperature)
        shares = np.exp(np.array(logs) / self.temperature - float(mass))
        total = float(shares.sum())
        return shares / max(total, 1.0), max(0.0, 1.0 - total)

    @cached_property
    def student_entropy(self) -> np.ndarray:
        """(B N) entropies in nats at the temperature."""
        return entropy_at(self.student.mass, self.temperature).ravel()

    @cached_property
    def teacher_entropy(self) -> np.ndarray | None:
        """The same of the teacher; None without one."""
        return None if self.teacher is None else entropy_at(self.teacher.mass, self.temperature).ravel()

    @cached_property
    def agreement(self) -> float:
        """The share of places where both have the same most probable word; NaN without a teacher."""
        if self.teacher is None:
            return float("nan")
        return float(np.mean(self.teacher.ids[..., 0] == self.student.ids[..., 0]))

    @property
    def legend(self) -> str:
        """What colours and frames of tokens say."""
        if self.texts.task == "masked-lm":
            return tr("{figure} in nats; dashed: hidden", figure=self.shade_name)
        return tr("{figure} in nats", figure=self.shade_name)

    def head(self, text: int, token: int) -> str:
        """A token and what stands before it, as rich text."""
        word = escape(seen(self.token_words(text)[token]))
        if self.texts.task == "causal-lm":
            before = escape(seen(self.token_words(text)[token - 1]))
            return tr("<b>{word}</b> after {before}", word=word, before=before)
        if self.hidden(text)[token]:
            given = escape(seen(self.given(text, token)))
            return tr("<b>{word}</b>, hidden behind {given}", word=word, given=given)
        return tr("<b>{word}</b>, not hidden", word=word)

    def tell(self, text: int, token: int) -> str:
        """A token in words."""
        word = seen(self.token_words(text)[token])
        place = self.place(token)
        if place < 0:
            return tr("{word}: the first token, which nothing stands before", word=word)
        lines = [word]
        if self.hidden(text)[token]:
            given = seen(self.given(text, token))
            lines = [tr("{word}, hidden: the networks see {given}", word=word, given=given)]
        value = number(float(self.shade[text, place]))
        lines.append(tr("{figure} {value} nats at T = 1", figure=self.shade_name, value=value))
        for name, side in ((tr("teacher"), self.teacher), (tr("student"), self.student)):
            if side is not None:
                first = seen(self.texts.word(int(side.ids[text, place, 0])))
                share = number(float(np.exp(side.logs[text, place, 0])))
                lines.append(tr("{network}: {word} ({share} at T = 1)", network=name, word=first, share=share))
        return "\n".join(lines)

"""The sums behind the panels of taggers: what both networks say of each word, at one temperature."""

from __future__ import annotations

from functools import cached_property
from html import escape

import numpy as np

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.palettes import number
from kdstudio.gui.monitor.text_data import TextTargets, Words
from kdstudio.project.runs.snapshots import log_soften
from kdstudio.project.runs.texts import SaidTags, Texts

EXACT = mark("All tags are kept: the bars are exact at any temperature. Colours and KL are always those at T = 1.")
DIVERGENCE = mark(
    "How far the student's tags are from the teacher's: KL(teacher || student) at T = 1; 0 is the same. Dashed: the "
    "student's likeliest tag is not the word's"
)
SURPRISE = mark(
    "How little the student expects the word's tag: -log p at T = 1. Dashed: its likeliest tag is another one"
)


class TagTargets(TextTargets):
    """Teacher and student of a tagger at one moment and one temperature; tokens are whole words here.

    The pieces of a word stand together, as its tag is said at the first of them; what the tokenizer has put around the
    sentence is left out.
    """

    exact = EXACT

    def __init__(self, texts: Texts, said: SaidTags, temperature: float) -> None:
        self.texts = texts
        self.said = said
        self.temperature = temperature
        self._student = said.student
        self._teacher = texts.teacher_tags
        #: The places at which words of each text begin.
        self._begins = [np.flatnonzero(row) for row in texts.hidden]

    # -- words -----------------------------------------------------------------------------------------------

    def place(self, token: int) -> int:
        return token

    def length(self, text: int) -> int:
        return len(self._begins[text])

    def first(self, text: int) -> int:
        """The first word at which the student is wrong, or else the first with another tag than most words have."""
        wrong = self.hidden(text)
        if any(wrong):
            return wrong.index(True)
        usual = np.bincount(self._all(self.texts.targets)).argmax()
        others = np.flatnonzero(self.texts.targets[text][self._begins[text]] != usual)
        return int(others[0]) if len(others) else self.length(text) // 2

    def _at(self, text: int, token: int) -> tuple[int, int]:
        return text, int(self._begins[text][token])

    def names(self, text: int) -> list[str]:
        texts, begins = self.texts, self._begins[text]
        ends = [*begins[1:], texts.ids.shape[1]]
        kinds = texts.kinds[text] if texts.kinds is not None else np.full(texts.ids.shape[1], 2)
        return [
            "".join(texts.word(int(texts.ids[text, at])) for at in range(begin, end) if kinds[at] == 2).strip()
            for begin, end in zip(begins, ends)
        ]

    def token_words(self, text: int) -> list[str]:
        return [f" {name}" for name in self.names(text)]

    def hidden(self, text: int) -> list[bool]:
        """At which words the student's likeliest tag is another one than the word has."""
        begins = self._begins[text]
        said = self._student[text][begins].argmax(axis=1)
        return [bool(wrong) for wrong in said != self.texts.targets[text][begins]]

    @property
    def shade_tip(self) -> str:
        return tr(SURPRISE) if self.said.kl is None else tr(DIVERGENCE)

    # -- figures ---------------------------------------------------------------------------------------------

    @cached_property
    def shade(self) -> np.ndarray:
        """(B, words of the longest text) KL, or the student's surprise at the tag; NaN after the end of a text."""
        found = np.full((len(self._begins), max(map(len, self._begins))), np.nan)
        for text, begins in enumerate(self._begins):
            if self.said.kl is not None:
                found[text, : len(begins)] = self.said.kl[text][begins]
            else:
                targets = self.texts.targets[text][begins].astype(int)
                found[text, : len(begins)] = -self._student[text][begins, targets]
        return found

    def values(self, text: int) -> list[float]:
        return self.shade[text][: self.length(text)].tolist()

    def _all(self, each: np.ndarray) -> np.ndarray:
        """What belongs to the words of all texts, (W, ...), of (B, S, ...)."""
        return each[self.texts.hidden]

    def _entropy(self, logs: np.ndarray) -> np.ndarray:
        soft = log_soften(self._all(logs), self.temperature)
        return -(np.exp(soft) * soft).sum(axis=1)

    @cached_property
    def student_entropy(self) -> np.ndarray:
        return self._entropy(self._student)

    @cached_property
    def teacher_entropy(self) -> np.ndarray | None:
        return None if self._teacher is None else self._entropy(self._teacher)

    @cached_property
    def agreement(self) -> float:
        if self._teacher is None:
            return float("nan")
        return float(np.mean(self._all(self._teacher).argmax(axis=1) == self._all(self._student).argmax(axis=1)))

    @property
    def answers(self) -> int:
        return len(self.texts.tags)

    def label(self, word: int) -> str:
        return self.texts.tags[word]

    def words(self, text: int, place: int) -> Words:
        """All tags, in their order."""
        at = self._at(text, place)
        teacher = None if self._teacher is None else np.exp(log_soften(self._teacher[at], self.temperature))
        student = np.exp(log_soften(self._student[at], self.temperature))
        names, rest = list(self.texts.tags), None if teacher is None else 0.0
        return Words(list(range(len(names))), names, teacher, student, rest, 0.0, 0, int(self.texts.targets[at]))

    # -- in words --------------------------------------------------------------------------------------------

    @property
    def legend(self) -> str:
        return tr("{figure} in nats; dashed: the student is wrong", figure=self.shade_name)

    def head(self, text: int, token: int) -> str:
        at = self._at(text, token)
        word, tag = escape(self.names(text)[token]), escape(self.label(int(self.texts.targets[at])))
        if self.hidden(text)[token]:
            own = escape(self.label(int(self._student[at].argmax())))
            return tr("<b>{word}</b>, {tag}; the student says {own}", word=word, tag=tag, own=own)
        return tr("<b>{word}</b>, {tag}", word=word, tag=tag)

    def tell(self, text: int, token: int) -> str:
        at = self._at(text, token)
        tag = self.label(int(self.texts.targets[at]))
        lines = [tr("{word}: {tag}", word=self.names(text)[token], tag=tag)]
        value = number(float(self.shade[text, token]))
        lines.append(tr("{figure} {value} nats at T = 1", figure=self.shade_name, value=value))
        for name, logs in ((tr("teacher"), self._teacher), (tr("student"), self._student)):
            if logs is not None:
                first = int(logs[at].argmax())
                share = number(float(np.exp(logs[at][first])))
                lines.append(
                    tr("{network}: {word} ({share} at T = 1)", network=name, word=self.label(first), share=share)
                )
        return "\n".join(lines)

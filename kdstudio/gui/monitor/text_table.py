"""The soft-targets panel of language models as rows of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence

from kdstudio.gui.monitor.text_data import TextTargets
from kdstudio.project.runs.snapshots import SnapshotInfo

HEAD = ("part", "step", "temperature", "text", "token", "there", "hidden", "figure", "word", "teacher", "student")


def text_rows(data: TextTargets, infos: Sequence[SnapshotInfo]) -> list[Sequence[object]]:
    """Each place of the probe texts, the words there with what both networks give them, and the means over time.

    `figure` is KL(teacher || student) of a place in nats at T = 1, without a teacher -log p of the word there;
    probabilities are those at the temperature.
    """
    rows: list[Sequence[object]] = [HEAD]
    for text in range(len(data.texts.ids)):
        tokens, hidden = data.token_words(text), data.hidden(text)
        for token in range(data.texts.shift, len(tokens)):
            place = data.place(token)
            start = (data.said.step, data.temperature, text, token, tokens[token], int(hidden[token]))
            figure, words = float(data.shade[text, place]), data.words(text, place)
            rows.append(("token", *start, figure, "", "", ""))
            for index, number in enumerate(words.ids):
                taught = "" if words.teacher is None else float(words.teacher[index])
                rows.append(("word", *start, figure, data.label(number), taught, float(words.student[index])))
            if not words.others:
                continue
            left = "" if words.teacher_rest is None else words.teacher_rest
            rows.append(("other words", *start, figure, "", left, words.student_rest))
    key = "nll" if data.said.kl is None else "kl"
    rows += [("mean", info.step, 1.0, "", "", "", "", info.spoken.get(key, ""), "", "", "") for info in infos]
    return rows

"""Tags of words, as of named entities: exact spans, and the F1 score of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kdstudio.engine.text.facts import IGNORED

Span = tuple[str, int, int]
#: First letters of tags of spans: begin, inside, end, single (BIO, IOB2, BIOES, BILOU).
_MARKS = ("B-", "I-", "E-", "S-", "L-", "U-")


def has_spans(tags: Sequence[str]) -> bool:
    """Whether tags mark spans, as `B-PER` and `I-PER` do, and are no plain kinds as parts of speech."""
    return any(tag.startswith(_MARKS) for tag in tags)


def spans(tags: Sequence[str]) -> set[Span]:
    """The spans of a sentence: kind, first word, word after the last.

    As the evaluation of CoNLL-2000 does (Tjong Kim Sang and Buchholz 2000): a span begins at B-, S- and U-, and where
    an I-, E- or L- follows no word of its kind; it ends before a word that does not go on with it.
    """
    found: set[Span] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, own = (tag[:2], tag[2:]) if tag.startswith(_MARKS) else ("", "")
        goes_on = mark in ("I-", "E-", "L-") and own == kind
        if kind and not goes_on:
            found.add((kind, start, place))
            kind = ""
        if mark and not goes_on:
            kind, start = own, place
        if mark in ("E-", "S-", "L-", "U-") and kind:
            found.add((kind, start, place + 1))
            kind = ""
    return found


def tag_scores(predicted: Tensor, targets: Tensor, tags: Sequence[str]) -> dict[str, Any]:
    """Scores of tags.

    Args:
        predicted: int64 (N, S), numbers of tags.
        targets: int64 (N, S), `IGNORED` where no word begins.
        tags: Their names.

    Returns:
        `f1`, `precision`, `recall` of exact spans over all kinds together (micro); of tags without spans, the mean of
        the tags' own F1 (macro), as some are rare. And `per_tag`: {name: {precision, recall, f1, count}} of each kind.
    """
    marked = has_spans(tags)
    right: dict[str, int] = {}
    said: dict[str, int] = {}
    there: dict[str, int] = {}
    for row, goal in zip(predicted.tolist(), targets.tolist()):
        ours = [tags[number] for number, target in zip(row, goal) if target != IGNORED]
        theirs = [tags[number] for number in goal if number != IGNORED]
        if marked:
            mine, wanted = spans(ours), spans(theirs)
        else:
            mine = {(tag, place, place) for place, tag in enumerate(ours)}
            wanted = {(tag, place, place) for place, tag in enumerate(theirs)}
        for counts, group in ((right, mine & wanted), (said, mine), (there, wanted)):
            for kind, *_ in group:
                counts[kind] = counts.get(kind, 0) + 1
    kinds = sorted({*said, *there})
    per_tag = {kind: _scores(right.get(kind, 0), said.get(kind, 0), there.get(kind, 0)) for kind in kinds}
    whole = _scores(sum(right.values()), sum(said.values()), sum(there.values()))
    if not marked and per_tag:
        for name in ("precision", "recall", "f1"):
            whole[name] = sum(each[name] for each in per_tag.values()) / len(per_tag)
    return {**{name: whole[name] for name in ("f1", "precision", "recall")}, "per_tag": per_tag}


def _scores(right: int, said: int, there: int) -> dict[str, Any]:
    precision, recall = right / said if said else 0.0, right / there if there else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "count": there}

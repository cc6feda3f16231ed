"""What is in texts, for people and for the window: samples as text, lengths in tokens, and how much is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kdstudio.engine.data import DataBundle

#: Texts are shown up to so many characters.
SHOWN = 400
BINS = 24
#: The histogram goes as far as so many samples' tokens; few texts are far longer than all others.
REACH = 4


def text_report(bundle: DataBundle, examples: int) -> dict[str, Any]:
    """Of a bundle of texts, as plain data.

    Args:
        bundle: The data.
        examples: Texts of each class; of a corpus, blocks from its beginning.

    Returns:
        `task`, `facts` (see `TextFacts`), `vocabulary`, `tokenizer`, `tokens` (over all splits: shortest, median and
        longest sample before any is cut, the share that is cut, a histogram of `counts` between `edges`, and how many
        lie `beyond` its last edge, which are counted there; `total` is of what is left), and `texts`: label (-1 in a
        corpus), index in the training samples, text and tokens of each example.
    """
    assert bundle.text is not None
    assert bundle.tokenizer is not None
    facts = bundle.text
    used = np.concatenate([_lengths(split.images.numpy(), facts.pad) for split in bundle.splits.values()])
    lengths = bundle.lengths if bundle.lengths is not None else used
    reach = int(min(lengths.max(), max(REACH * facts.max_tokens, 1)))
    counts, edges = np.histogram(np.minimum(lengths, reach), BINS, (0, max(reach, facts.max_tokens)))
    report: dict[str, Any] = {
        "task": facts.task,
        "facts": facts.to_dict(),
        "vocabulary": facts.vocabulary,
        "tokenizer": bundle.tokenizer.source,
        "tokens": {
            "total": int(used.sum()),
            "shortest": int(lengths.min()),
            "median": float(np.median(lengths)),
            "longest": int(lengths.max()),
            "cut": float((lengths > facts.max_tokens).mean()),
            "beyond": int((lengths > reach).sum()),
            "counts": counts.tolist(),
            "edges": edges.tolist(),
        },
    }
    if bundle.is_language:
        chosen = [(-1, index) for index in range(min(examples, len(bundle.train)))]
    else:
        labels = bundle.train.labels
        chosen = [
            (label, index)
            for label in range(len(bundle.classes))
            for index in (labels == label).nonzero().flatten()[:examples].tolist()
        ]
    report["texts"] = [_text(bundle, label, index) for label, index in chosen]
    return report


def _lengths(ids: np.ndarray, pad: int | None) -> np.ndarray:
    return np.full(len(ids), ids.shape[1]) if pad is None else (ids != pad).sum(axis=1)


def _text(bundle: DataBundle, label: int, index: int) -> dict[str, Any]:
    assert bundle.tokenizer is not None
    assert bundle.text is not None
    ids = bundle.train.images[index].tolist()
    text = bundle.tokenizer.text(ids)
    if bundle.text.is_tagger:
        text = _with_tags(bundle, ids, bundle.train.labels[index].tolist())
    tokens = len(ids) if bundle.text.pad is None else sum(token != bundle.text.pad for token in ids)
    return {"label": label, "index": index, "text": text[:SHOWN], "tokens": tokens, "whole": len(text) <= SHOWN}


def _with_tags(bundle: DataBundle, ids: list[int], marks: list[int]) -> str:
    """A sentence with the tag of each word in brackets, but for those of no kind."""
    assert bundle.tokenizer is not None
    assert bundle.text is not None
    parts: list[str] = []
    tag = "O"
    for token, piece, mark in zip(ids, bundle.tokenizer.words(ids), marks):
        if mark < 0 and token in {bundle.text.pad, *bundle.text.special}:
            continue
        if mark >= 0:  # a word begins; what follows without a tag are its other pieces
            parts.append("" if tag == "O" else f" [{tag}]")
            tag = bundle.classes[mark]
        parts.append(piece)
    parts.append("" if tag == "O" else f" [{tag}]")
    return "".join(parts).strip()


def _cut(text: dict[str, Any]) -> str:
    """How many texts lose their end."""
    most, share = text["facts"]["max_tokens"], 100 * text["tokens"]["cut"]
    if text["task"] not in ("classification", "token-classification"):
        return f"blocks of {most}"
    return f"{share:.3g} % are longer than {most} and are cut" if share else f"none is cut at {most}"


def text_lines(report: dict[str, Any]) -> list[str]:
    """The same for a terminal."""
    text = report["text"]
    tokens = text["tokens"]
    kinds = {"classification": "labelled texts", "token-classification": "sentences with tags"}
    what = kinds.get(text["task"], "blocks of text")
    lines = [
        f"{what} as tokens of {text['tokenizer']} ({text['vocabulary']:,} in its vocabulary)",
        f"tokens: {tokens['total']:,} in all; {tokens['shortest']} to {tokens['longest']} a sample, "
        f"half have {tokens['median']:g} or fewer; {_cut(text)}",
    ]
    for each in text["texts"]:
        name = f"{report['classes'][each['label']]}: " if each["label"] >= 0 else ""
        shown = " ".join(each["text"].split())
        lines.append(f"  {name}{shown[:100]}{'...' if len(shown) > 100 else ''}")
    return lines

"""Texts for tests: small tables and corpora whose answer can be learned in seconds, and networks to match."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

SMALL_BERT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
SMALL_GPT2 = {"n_embd": 32, "n_layer": 4, "n_head": 4}
_GOOD = ["a fine day", "the best meal", "we love it", "so kind of you"]
_BAD = ["a dull day", "the worst meal", "we hate it", "so rude of you"]


def write_table(path: Path, count: int = 120, seed: int = 0) -> Path:
    """A CSV with the columns text and label; two classes."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(count):
            good = number % 2 == 0
            words = " and ".join(chance.choice(_GOOD if good else _BAD) for _ in range(chance.randint(1, 3)))
            writer.writerow([f"{words}, number {number}.", "good" if good else "bad"])
    return path


def write_corpus(path: Path, sentences: int = 600, seed: int = 0) -> Path:
    """Plain text, a sentence a line."""
    chance = random.Random(seed)
    lines = [
        f"The {chance.choice(['cat', 'dog', 'bird'])} {chance.choice(['sees', 'hears'])} the "
        f"{chance.choice(['house', 'river', 'tree'])} {chance.choice(['today', 'at night'])}."
        for _ in range(sentences)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table_data(**fields: Any) -> dict[str, Any]:
    return {
        "source": "table",
        "path": "texts.csv",
        "tokenizer": "bpe:300",
        "max_tokens": 16,
        "batch_size": 16,
        **fields,
    }


def corpus_data(task: str, **fields: Any) -> dict[str, Any]:
    plain = {"source": "corpus", "path": "corpus.txt", "task": task, "tokenizer": "bpe:300", "max_tokens": 16}
    return {**plain, "batch_size": 16, "train_limit": 64, "validation_fraction": 0.05, "test_fraction": 0.05, **fields}


def train(epochs: int = 2, **fields: Any) -> dict[str, Any]:
    return {"epochs": epochs, "optimizer": "adamw", "lr": 2e-3, "momentum": 0.9, **fields}


def tagged_sentences(count: int = 240, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Sentences with names of people and of towns, which the words around them tell."""
    chance = random.Random(seed)
    people, towns = ["Ann", "Bob", "Mary Jane", "Old Tom"], ["Rome", "New York", "Paris", "San Marco"]

    def tagged(name: str, kind: str) -> list[tuple[str, str]]:
        return [(word, f"{'I' if place else 'B'}-{kind}") for place, word in enumerate(name.split())]

    found = []
    for _ in range(count):
        pairs = [
            *tagged(chance.choice(people), "PER"),
            (chance.choice(["went", "came", "drove"]), "O"),
            ("to", "O"),
            *tagged(chance.choice(towns), "LOC"),
            (chance.choice(["today", "yesterday", "again"]), "O"),
            (".", "O"),
        ]
        found.append(([word for word, _ in pairs], [tag for _, tag in pairs]))
    return found


def write_tagged(path: Path, count: int = 240, seed: int = 0) -> Path:
    """The same as CoNLL, or as JSON lines, by the ending."""
    sentences = tagged_sentences(count, seed)
    if path.suffix == ".jsonl":
        lines = [json.dumps({"tokens": words, "tags": tags}) for words, tags in sentences]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
    blocks = ["\n".join(f"{word}\tx\t{tag}" for word, tag in zip(*sentence)) for sentence in sentences]
    path.write_text("-DOCSTART- -X- O\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def tagged_data(**fields: Any) -> dict[str, Any]:
    plain = {"source": "tagged", "path": "names.conll", "tokenizer": "bpe:300", "max_tokens": 32, "batch_size": 16}
    return {**plain, **fields}

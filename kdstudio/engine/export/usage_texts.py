"""README of an exported student of texts."""

from __future__ import annotations

from typing import Any

from kdstudio.engine.export.usage import checked_words
from kdstudio.engine.student_io import TOKENIZER, some

_NEEDS = {
    "safetensors": "kdstudio",
    "torch-export": "torch transformers",
    "onnx": "onnxruntime transformers",
    "onnx-int8": "onnxruntime transformers",
    "transformers": "torch transformers",
}
_OUTPUTS = {
    "classification": "`logits`, (batch, {classes}); labels: {labels}",
    "token-classification": "`logits`, (batch, sequence, {classes}); the tag of a word at its first piece: {labels}",
    "causal-lm": "`logits`, (batch, sequence, {vocabulary}): at each place those of the next token",
    "masked-lm": "`logits`, (batch, sequence, {vocabulary}): at each place those of the token that stands there",
}
_TEXT = {
    "classification": "a text of yours",
    "token-classification": "a text of yours",
    "causal-lm": "The state of the",
    "masked-lm": "The state of the {mask}.",
}

_HEADS = {
    "onnx": """import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("TOKENIZER")
session = onnxruntime.InferenceSession("FILE", providers=["CPUExecutionProvider"])
text = TEXT
ids = tokenizer(text, return_tensors="np", truncation=True, max_length=MOST)
inputs = {"input_ids": ids["input_ids"], "attention_mask": ids["attention_mask"]}
(logits,) = session.run(["logits"], inputs)
""",
    "torch-export": """import torch
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("TOKENIZER")
model = torch.export.load("FILE").module()
text = TEXT
ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=MOST)
with torch.no_grad():
    logits = model(ids["input_ids"], ids["attention_mask"]).numpy()
""",
    "transformers": """import torch
from transformers import CLASS, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = CLASS.from_pretrained(".")
text = TEXT
ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=MOST)
with torch.no_grad():
    logits = model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).logits.numpy()
""",
    "safetensors": """from pathlib import Path

import torch
from transformers import AutoTokenizer

from kdstudio.engine.student_io import load_student

tokenizer = AutoTokenizer.from_pretrained("TOKENIZER")
student = load_student(Path("."))
text = TEXT
ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=MOST)
with torch.no_grad():
    inner = student.model.inner
    logits = inner(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).logits.numpy()
""",
}
_TAILS = {
    "token-classification": """seen = set()
for place, word in enumerate(ids.word_ids()):
    if word is not None and word not in seen:
        seen.add(word)
        print(text[slice(*ids.word_to_chars(word))], LABELS[int(logits[0, place].argmax())])
""",
    "classification": "print(LABELS[int(logits[0].argmax())])\n",
    "causal-lm": "print(tokenizer.decode(int(logits[0, -1].argmax())))\n",
    "masked-lm": 'place = list(ids["input_ids"][0]).index(tokenizer.mask_token_id)\n'
    "print(tokenizer.decode(int(logits[0, place].argmax())))\n",
}


def text_snippet(metadata: dict[str, Any]) -> str:
    """The usage that README shows; it runs in the artifact's folder."""
    from kdstudio.engine.export.texts import CLASSES

    task = metadata["preprocessing"]["text"]
    kind = metadata["format"].removesuffix("-int8")
    sentence = repr(_TEXT[task["task"]])
    if task["task"] == "masked-lm":
        sentence = 'f"The state of the {tokenizer.mask_token}."'
    text = _HEADS[kind] + _TAILS[task["task"]]
    words = {
        "TOKENIZER": TOKENIZER,
        "FILE": metadata["file"],
        "TEXT": sentence,
        "MOST": str(task["max_tokens"]),
        "CLASS": CLASSES[task["task"]],
        "LABELS": repr(metadata["labels"]),
    }
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def text_readme(metadata: dict[str, Any], parity: dict[str, Any]) -> str:
    """What the artifact is, how it was checked and how it is used."""
    task = metadata["preprocessing"]["text"]
    outputs = _OUTPUTS[task["task"]].format(
        classes=len(metadata["labels"]), labels=some(metadata["labels"], 20), vocabulary=f"{task['vocabulary']:,}"
    )
    name = metadata["file"]
    return f"""# {metadata["model"]} ({metadata["format"]})

A distilled student, exported by KD Studio {metadata["versions"]["kdstudio"]}.

- file: `{name}` (SHA-256 `{metadata["files"][name]}`)
- input: `input_ids` and `attention_mask`, (batch, sequence), {metadata["input"]}
- output: {outputs}
- {checked_words(parity)}

To use it (`pip install {_NEEDS[metadata["format"]]}`), run this in the folder:

```python
{text_snippet(metadata)}```
"""

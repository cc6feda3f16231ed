"""What the networks of a run write, side by side from the same beginnings: by the likeliest tokens, and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdstudio.engine.counters import mix
from kdstudio.engine.data import DataBundle
from kdstudio.engine.student_io import TOKENIZER, Student
from kdstudio.engine.text.generate import write
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import Tokenizer, load_kept_tokenizer
from kdstudio.project.errors import InputError
from kdstudio.project.runs.folder import RunFolder, write_bytes

#: Beginnings that are taken of the data after a run, the most tokens of one, and how many are written.
PROMPTS, PROMPT_TOKENS, TOKENS = 4, 16, 48
_DRAWN = 61
Progress = Callable[[str, int, int], None]


def continuations(
    models: Mapping[str, TextNetwork],
    tokenizer: Tokenizer,
    prompt: list[int],
    tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """How each network goes on.

    Args:
        models: Of the task causal-lm, by their names in the run.
        tokenizer: Theirs.
        prompt: Token ids.
        tokens: How many each writes.
        temperature, top_k, seed: Of what is drawn; all networks draw with the same seed.
        device: Of the networks.

    Returns:
        `prompt` (its text), and `networks`: for each `greedy` and `sampled`, the texts that follow it.
    """
    given = torch.tensor([prompt], dtype=torch.int64, device=device)
    found: dict[str, Any] = {}
    for name, model in models.items():
        greedy = write(model, given, tokens, seed, 0)
        drawn = write(model, given, tokens, mix(seed, _DRAWN) >> 1, temperature, top_k)
        found[name] = {"greedy": _after(tokenizer, prompt, greedy), "sampled": _after(tokenizer, prompt, drawn)}
    return {"prompt": tokenizer.text(prompt), "networks": found}


def _after(tokenizer: Tokenizer, prompt: list[int], ids: Tensor) -> str:
    """The text behind the prompt: decoded with it, because a token's bytes may belong to the character before."""
    before, whole = tokenizer.text(prompt), tokenizer.text(ids[0].tolist())
    return whole[len(before) :] if whole.startswith(before) else tokenizer.text(ids[0, len(prompt) :].tolist())


def keep_written(
    run: RunFolder,
    networks: Mapping[str, tuple[Path, Student]],
    bundle: DataBundle,
    device: torch.device,
    progress: Progress,
) -> None:
    """Has all networks go on with blocks of the test samples (of the validation samples, where no test is scored)."""
    assert bundle.tokenizer is not None
    experiment = run.experiment()
    split = "test" if experiment.evaluate.test else "validation"
    blocks = bundle.splits[split].images
    length, width = bundle.input_shape[0], min(PROMPT_TOKENS, max(1, bundle.input_shape[0] // 4))
    places = torch.linspace(0, len(blocks) - 1, min(PROMPTS, len(blocks))).long().tolist()
    tokens = min(TOKENS, length - width)
    models = {name: model.to(device) for name, model in writers(networks, run.name).items()}
    seed, samples = experiment.train.seed, []
    for number, place in enumerate(places):
        progress("writing samples", number, len(places))
        prompt = blocks[place, :width].tolist()
        samples.append(
            continuations(models, bundle.tokenizer, prompt, tokens, seed=mix(seed, number) >> 1, device=device)
        )
    content = {"version": 1, "split": split, "tokens": tokens, "temperature": 1.0, "seed": seed, "samples": samples}
    write_bytes(run.written_path, json.dumps(content, indent=1).encode())


def tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer that travelled with a network."""
    return load_kept_tokenizer(folder / TOKENIZER)


def writers(networks: Mapping[str, tuple[Path, Student]], name: str) -> dict[str, TextNetwork]:
    """The networks of a run, where they can write.

    Raises:
        InputError: They are no causal language models.
    """
    found = {key: network.model for key, (_, network) in networks.items()}
    models = {key: model for key, model in found.items() if isinstance(model, TextNetwork) and model.writes}
    if models.keys() != found.keys():
        raise InputError(
            f"{name}: the networks of this run do not write",
            why="they were not trained to say the next token of a text",
            fix="use a run whose data.task is causal-lm",
        )
    return models

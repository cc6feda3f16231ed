"""Before the first step: teacher, student and data have to mean the same by a token's number."""

from __future__ import annotations

from pathlib import Path

from kdstudio.engine.data import DataBundle
from kdstudio.engine.text.tokens import TOKENIZER_FILES, lent_by, load_tokenizer, resolve, same_vocabulary
from kdstudio.project.errors import ModelError
from kdstudio.project.spec import AS_RUN, HUB_PREFIX, Experiment, ModelSpec


def check_tokenizers(experiment: Experiment, bundle: DataBundle, root: Path) -> None:
    """Compares the tokenizers of teachers, assistants and student with the data's.

    Networks without weights of their own have none to compare: they are built for the data's.

    Raises:
        ModelError: Two differ; the message names the place and what is different.
    """
    if bundle.tokenizer is None:
        return
    places: list[tuple[str, ModelSpec | None]] = [("teacher", experiment.teacher), ("student", experiment.student)]
    places += [(f"teachers.{place}", spec) for place, spec in enumerate(experiment.teachers)]
    places += [(f"assistants.{place}", spec) for place, spec in enumerate(experiment.assistants)]
    for where, spec in places:
        name = _tokenizer_of(spec)
        if spec is None or name is None or name == bundle.tokenizer.source:
            continue
        with lent_by(where, name):
            folder = resolve(name, root)
            if folder is not None and not any((folder / file).exists() for file in TOKENIZER_FILES):
                continue
            difference = same_vocabulary(load_tokenizer(name, root), bundle.tokenizer)
        if difference:
            what = name if spec.model == AS_RUN else spec.model
            raise ModelError(
                f"{where}: the tokenizer of {what} does not match the data's ({bundle.tokenizer.source}): {difference}",
                "the number of a token would mean another word to each of the networks",
                "use a teacher and a student of one tokenizer, and leave data.tokenizer empty or set it to theirs",
                kind="tokenizer",
            )


def _tokenizer_of(spec: ModelSpec | None) -> str | None:
    """Where the tokenizer lies that a network's weights were trained with; None where it has no weights yet."""
    if spec is None:
        return None
    if spec.weights and spec.weights.startswith("run:"):
        return spec.weights
    return spec.model.removeprefix(HUB_PREFIX) if spec.pretrained and spec.model.startswith(HUB_PREFIX) else None

"""Builds networks of the transformers library: by hub id, folder or kind, or out of a teacher's layers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdstudio.engine.text.facts import TextFacts
from kdstudio.engine.text.families import blocks_of, is_encoder
from kdstudio.engine.text.network import TextNetwork
from kdstudio.engine.text.tokens import looks_like_path, quiet, resolve
from kdstudio.project.errors import ModelError
from kdstudio.project.kept_layers import chosen_layers
from kdstudio.project.spec import HUB_PREFIX, LayersSpec, ModelSpec, suggestion

logger = logging.getLogger("kdstudio")

_ATTENTION = "sdpa"


def build_transformers(spec: ModelSpec, facts: TextFacts | None, num_classes: int, root: Path) -> nn.Module:
    """A model of the library with a head for the task, in float32. No code of a hub is ever run.

    Args:
        spec: `transformers:` and a hub id, a folder, or a kind of architecture (`bert`, `gpt2`).
        facts: The text task.
        num_classes: For classification.
        root: The project's folder.

    Raises:
        ModelError: It cannot be built or had, or it does not fit the tokenizer.
    """
    if facts is None:
        raise ModelError(
            f"model: {spec.model} takes texts, and the data are none",
            fix="choose a source of texts (data.source: table, corpus or hub), or another model",
        )
    name = spec.model.removeprefix(HUB_PREFIX)
    config = _configuration(name, spec, root)
    maker = _maker(facts.task)
    _check_head(maker, config, facts.task, spec)
    _fit(config, facts, num_classes, spec)
    try:
        with quiet():
            if spec.pretrained:
                inner = maker.from_pretrained(
                    str(resolve(name, root) or name),
                    config=config,
                    trust_remote_code=False,
                    dtype=torch.float32,
                    attn_implementation=_ATTENTION,
                    ignore_mismatched_sizes=True,  # another number of classes: the head is new then
                )
            else:
                inner = maker.from_config(config, attn_implementation=_ATTENTION)
    except Exception as error:  # the library raises whatever its parts do
        raise _not_built(spec, error) from None
    return TextNetwork(inner.float(), facts)


def _maker(task: str) -> Any:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    return {
        "classification": AutoModelForSequenceClassification,
        "token-classification": AutoModelForTokenClassification,
        "masked-lm": AutoModelForMaskedLM,
        "causal-lm": AutoModelForCausalLM,
    }[task]


def _configuration(name: str, spec: ModelSpec, root: Path) -> Any:
    """The configuration, with the fields of `spec.args` in it."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if name in CONFIG_MAPPING:
        if spec.pretrained:
            raise ModelError(
                f"model: {spec.model} is a kind of architecture, which has no weights of its own",
                fix="give a hub id or a folder, or set pretrained to false",
            )
        config = CONFIG_MAPPING[name]()
        return _changed(config, spec, str(name))
    folder = resolve(name, root)
    if folder is not None and not (folder / "config.json").exists():
        raise ModelError(
            f"model: {folder} has no config.json",
            "a model of the transformers library is a folder with config.json and model.safetensors",
            "give that folder",
        )
    if folder is None and looks_like_path(name):
        raise ModelError(
            f"model: there is no folder '{name}'",
            f"looked for {root / name}",
            "give a folder relative to the project, or a hub id such as distilbert-base-uncased",
        )
    if folder is not None and spec.pretrained and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"model: {folder} has no weights in a .safetensors file",
            "other files could run code when they are read",
            "convert them: model.save_pretrained(folder)",
        )
    try:
        with quiet():
            config = AutoConfig.from_pretrained(str(folder or name), trust_remote_code=False)
    except Exception as error:  # the library raises whatever its parts do
        if folder is None:
            near = suggestion(name, list(CONFIG_MAPPING))
            raise ModelError(
                f"model: '{name}' could not be had from the hub",
                _first_line(error),
                near or "check the id and the network; a folder on this computer needs no network",
                kind="download",
            ) from None
        raise _not_built(spec, error) from None
    return _changed(config, spec, str(config.model_type))


def _changed(config: Any, spec: ModelSpec, kind: str) -> Any:
    """The configuration with other sizes; rebuilt, so that what depends on them follows."""
    if not spec.args:
        return config
    known = {**config.to_dict(), **getattr(config, "attribute_map", {})}
    for key in spec.args:
        if key not in known and not hasattr(config, key):
            near = suggestion(key, [str(field) for field in known]) or "see the model's configuration"
            raise ModelError(f"args.{key}: a {kind} has no such field", "", near)
    plain = config.to_dict()
    if any(key in spec.args for key in ("num_hidden_layers", "n_layer", "n_layers")):
        plain.pop("layer_types", None)  # one a layer: the library makes those of another depth
    if {"hidden_size", "num_attention_heads"} & set(spec.args):
        plain.pop("head_dim", None)  # of the widths that the library has by itself
    try:
        return type(config).from_dict({**plain, **spec.args})
    except Exception as error:  # a configuration checks itself in its own way
        raise _not_built(spec, error) from None


def _fit(config: Any, facts: TextFacts, num_classes: int, spec: ModelSpec) -> None:
    """Fits a configuration to the data's tokenizer, length and classes."""
    named = "vocab_size" in spec.args
    # an encoder looks at the tokens after, too: as a causal model it would see those that it is to say
    turned = is_encoder(config) and hasattr(config, "is_decoder")
    if spec.pretrained or named:
        if config.vocab_size < facts.vocabulary:
            raise ModelError(
                f"model: the tokenizer does not match {spec.model}: it has {facts.vocabulary:,} tokens, and the "
                f"model's vocabulary has {config.vocab_size:,}",
                "the numbers of tokens would mean other words, or nothing",
                "use the tokenizer that came with the model: leave data.tokenizer empty",
            )
    else:
        config.vocab_size = facts.vocabulary
    longest = getattr(config, "max_position_embeddings", None)
    # RoBERTa's positions begin behind the padding's
    offset = 2 if str(config.model_type) in ("roberta", "xlm-roberta", "camembert") else 0
    if longest is not None and longest - offset < facts.max_tokens:
        if spec.pretrained or spec.weights:
            raise ModelError(
                f"model: {spec.model} takes texts of {longest - offset} tokens, and data.max_tokens is "
                f"{facts.max_tokens}",
                fix=f"set data.max_tokens to {longest - offset} or less",
            )
        config.max_position_embeddings = facts.max_tokens + offset
    if facts.task in ("classification", "token-classification"):
        config.num_labels = num_classes
        config.pad_token_id = facts.pad
    elif not spec.pretrained:
        config.pad_token_id = None if facts.task == "causal-lm" and not turned else facts.filler
    if not spec.pretrained:
        for key, number in (("bos_token_id", facts.begin), ("eos_token_id", facts.end)):
            if hasattr(config, key):
                setattr(config, key, number)
    if facts.task == "causal-lm" and turned:
        config.is_decoder = True


_OTHER_TASK = {
    "causal-lm": "choose a GPT-like model, for example transformers:gpt2, or set data.task to masked-lm",
    "masked-lm": "choose a BERT-like model, for example transformers:bert, or set data.task to causal-lm",
}


def _check_head(maker: Any, config: Any, task: str, spec: ModelSpec) -> None:
    """Refuses a kind of network that the library has no head for.

    Raises:
        ModelError: It has none.
    """
    if type(config) not in maker._model_mapping:
        raise ModelError(
            f"model: {spec.model} cannot do {task}: the library has no such head for a {config.model_type}",
            fix=_OTHER_TASK.get(task, "choose another model, for example transformers:bert or transformers:gpt2"),
        )


def _not_built(spec: ModelSpec, error: Exception) -> ModelError:
    return ModelError(
        f"model: {spec.model} could not be built",
        f"{type(error).__name__}: {_first_line(error)}",
        "check 'args'" if spec.args else "choose another model",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


# -- out of a teacher ----------------------------------------------------------------------------------------


def from_teacher(teacher: nn.Module, layers: LayersSpec) -> TextNetwork:
    """A student out of its teacher's layers (DistilBERT, 1910.01108, section 3).

    What is not copied keeps the random weights that it has by torch's global random state.

    Args:
        teacher: A `TextNetwork`.
        layers: Which.

    Raises:
        ModelError: The teacher is none, or has not these layers.
    """
    if not isinstance(teacher, TextNetwork):
        raise ModelError(
            "model: a student can be made of the layers of a transformers model, and the teacher is none",
            fix="choose a student by its name, or a teacher with model: transformers:...",
        )
    total = int(teacher.config.num_hidden_layers)
    kept = chosen_layers(layers, total)
    config = type(teacher.config).from_dict(teacher.config.to_dict())
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and len(kinds) == total:
        config.layer_types = [kinds[number] for number in kept]
    config.num_hidden_layers = len(kept)
    inner = type(teacher.inner)._from_config(config, attn_implementation=_ATTENTION)
    student = TextNetwork(inner.float(), teacher.facts)
    _copy(teacher, student, kept, layers)
    if layers.slim:
        student = _slim(student)
    if layers.freeze_positions:
        _freeze_positions(student)
    return student


def _copy(teacher: TextNetwork, student: TextNetwork, kept: list[int], layers: LayersSpec) -> None:
    ours, theirs = student.blocks, teacher.blocks
    head = head_names(teacher)
    source = teacher.state_dict()
    found: dict[str, torch.Tensor] = {}
    for name in student.state_dict():
        if name.startswith(f"{ours}."):
            number, _, rest = name.removeprefix(f"{ours}.").partition(".")
            if layers.weights:
                found[name] = source[f"{theirs}.{kept[int(number)]}.{rest}"]
        elif name.startswith(head):
            if layers.head:
                found[name] = source[name]
        elif layers.embeddings:
            found[name] = source[name]
    with torch.no_grad():
        student.load_state_dict({name: value.clone() for name, value in found.items()}, strict=False)
    if layers.weights:
        lost = [
            f"{theirs}.{number}.{rest}"
            for place, number in enumerate(kept)
            for rest in (name.removeprefix(f"{theirs}.{number}.") for name in source)
            if f"{theirs}.{number}.{rest}" in source and f"{ours}.{place}.{rest}" not in found
        ]
        if lost:  # a first block may be built otherwise, as ModernBERT's is
            logger.warning("student: no place for %s of the teacher in the layers that were kept", ", ".join(lost))


def head_names(model: TextNetwork) -> tuple[str, ...]:
    """Prefixes of what is not the base model: the head of the task."""
    base = str(model.inner.base_model_prefix)
    return tuple(f"{name}." for name, _ in model.named_children() if name != base)


def _freeze_positions(student: TextNetwork) -> None:
    found = False
    for name, parameter in student.named_parameters():
        if any(part in name for part in ("position_embeddings", "embed_positions", "wpe.weight")):
            parameter.requires_grad_(False)
            found = True
    if not found:
        logger.warning("student: a %s has no position embeddings that could be frozen", student.config.model_type)


def _slim(student: TextNetwork) -> TextNetwork:
    """A BERT as a DistilBERT: no token types, whose first row moves into the positions, and no pooler."""
    from transformers import AutoConfig

    config = student.config
    if str(config.model_type) != "bert":
        raise ModelError(
            f"layers.slim: token types and pooler can be left away of a BERT, and this is a {config.model_type}",
            fix="set layers.slim to false",
        )
    slim_config = AutoConfig.for_model(
        "distilbert",
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        dim=config.hidden_size,
        hidden_dim=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        activation=config.hidden_act,
        pad_token_id=config.pad_token_id,
        num_labels=config.num_labels,
    )
    inner = _maker(student.facts.task).from_config(slim_config, attn_implementation=_ATTENTION)
    slim = TextNetwork(inner.float(), student.facts)
    source = student.state_dict()
    source["bert.embeddings.position_embeddings.weight"] = (
        source["bert.embeddings.position_embeddings.weight"] + source["bert.embeddings.token_type_embeddings.weight"][0]
    )
    found = {}
    for name in slim.state_dict():
        origin = _bert_name(name)
        if origin in source:
            found[name] = source[origin].clone()
    slim.load_state_dict(found, strict=False)
    return slim


_RENAMED = {
    "distilbert.embeddings.": "bert.embeddings.",
    "distilbert.transformer.layer.": "bert.encoder.layer.",
    ".attention.q_lin.": ".attention.self.query.",
    ".attention.k_lin.": ".attention.self.key.",
    ".attention.v_lin.": ".attention.self.value.",
    ".attention.out_lin.": ".attention.output.dense.",
    ".sa_layer_norm.": ".attention.output.LayerNorm.",
    ".ffn.lin1.": ".intermediate.dense.",
    ".ffn.lin2.": ".output.dense.",
    ".output_layer_norm.": ".output.LayerNorm.",
    "vocab_transform.": "cls.predictions.transform.dense.",
    "vocab_layer_norm.": "cls.predictions.transform.LayerNorm.",
    "vocab_projector.": "cls.predictions.decoder.",
}


def _bert_name(name: str) -> str:
    """BERT's name for a parameter of DistilBERT."""
    for theirs, ours in _RENAMED.items():
        name = name.replace(theirs, ours)
    return name


def block_names(model: TextNetwork) -> list[str]:
    """The names of a network's layers, from the first to the last."""
    path = blocks_of(model, int(model.config.num_hidden_layers))
    return [f"{path}.{number}" for number in range(int(model.config.num_hidden_layers))]

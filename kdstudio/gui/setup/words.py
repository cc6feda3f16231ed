"""How the spec is said on screen: labels, units and choices in people's words, what is common, what matters when.

Everything has a sensible form without an entry here: a field that the spec gains is shown under Advanced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.labels import CHOICES, LABELS

#: Values that a free text field offers.
OFFERED = {"device": ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")}

#: Of every term on pairs of layers.
PAIR_FIELDS = ("weight", "from_epoch", "until_epoch", "pairs")

#: What is shown before the Advanced fold, by model; models that are not here are shown whole.
COMMON: dict[str, tuple[str, ...]] = {
    "Experiment": ("name", "notes", "baseline"),
    "Digits": ("batch_size", "train_limit", "augment", "crop_padding", "jitter_pixels", "views"),
    "KnownImages": ("batch_size", "train_limit", "augment", "crop_padding", "jitter_pixels", "views"),
    "ImageFolder": (
        "path", "image_size", "grayscale", "batch_size", "augment", "crop_padding", "jitter_pixels", "views",
    ),
    "NumpyFile": ("path", "batch_size", "augment", "crop_padding", "jitter_pixels", "views"),
    "TextTable": ("path", "text", "label", "second", "tokenizer", "max_tokens", "batch_size"),
    "TaggedText": ("path", "words", "tags", "tokenizer", "max_tokens", "batch_size"),
    "TextCorpus": ("path", "task", "tokenizer", "max_tokens", "batch_size", "mask_share"),
    "HubText": ("name", "config", "task", "text", "label", "tokenizer", "max_tokens", "batch_size"),
    "LayersSpec": ("rule", "count", "keep", "slim"),
    "CacheSpec": ("use", "limit_gb"),
    "PoolSpec": ("threshold", "balance", "labels", "rounds"),
    "TeacherSpec": ("model", "widths", "args", "weights", "pretrained", "finetune", "dropout", "input_dropout"),
    "PeerSpec": ("model", "widths", "seed", "dropout", "input_dropout"),
    "AssistantSpec": ("model", "widths", "weights", "pretrained", "dropout", "input_dropout"),
    "StudentSpec": ("model", "widths", "args", "weights", "pretrained", "dropout", "input_dropout"),
    "TrainSpec": (
        "epochs", "lr", "optimizer", "schedule", "milestones", "gamma", "warmup_epochs", "weight_decay", "momentum",
    ),
    "HardTerm": ("weight", "from_epoch", "until_epoch"),
    "SoftTerm": ("weight", "temperature", "from_epoch", "until_epoch"),
    "ReverseKLTerm": ("weight", "temperature", "from_epoch", "until_epoch"),
    "JSDTerm": ("weight", "beta", "temperature", "from_epoch", "until_epoch"),
    "DecoupledTerm": ("weight", "alpha", "beta", "temperature", "from_epoch", "until_epoch"),
    "CorrelationTerm": ("weight", "inter", "intra", "temperature", "from_epoch", "until_epoch"),
    "LogitTerm": ("weight", "from_epoch", "until_epoch"),
    "EnsembleTerm": ("weight", "temperature", "weighting", "weights", "from_epoch", "until_epoch"),
    "HintTerm": PAIR_FIELDS,
    "ContextTerm": PAIR_FIELDS,
    "AttentionTerm": PAIR_FIELDS,
    "SelectivityTerm": PAIR_FIELDS,
    "FlowTerm": PAIR_FIELDS,
    "CosineTerm": PAIR_FIELDS,
    "DistanceTerm": PAIR_FIELDS,
    "AngleTerm": PAIR_FIELDS,
    "SimilarityTerm": PAIR_FIELDS,
    "ProbabilisticTerm": PAIR_FIELDS,
    "CongruenceTerm": PAIR_FIELDS,
    "VariationalTerm": PAIR_FIELDS,
    "ContrastiveTerm": ("weight", "positives", "negatives", "from_epoch", "until_epoch", "pairs"),
    "ReviewTerm": PAIR_FIELDS,
    "OverhaulTerm": PAIR_FIELDS,
    "FactorTerm": ("weight", "rate", "paraphraser_epochs", "from_epoch", "until_epoch", "pairs"),
    "BoundaryTerm": ("weight", "margin", "from_epoch", "until_epoch", "pairs"),
    "AttentionRelationTerm": ("weight", "attention", "values", "heads", "from_epoch", "until_epoch", "pairs"),
    "AttentionScoreTerm": PAIR_FIELDS,
    "PatientTerm": PAIR_FIELDS,
    "MonitorSpec": ("every_seconds", "probes"),
    "EvaluateSpec": ("test", "latency"),
}  # fmt: skip

#: Columns of the fields that take more than one.
SPANS = {
    "name": 2, "path": 2, "folder": 2, "model": 2, "weights": 2, "notes": 4, "args": 2, "classes": 2, "augment": 2,
    "source": 2, "pairs": 4, "weighting": 2, "trackers": 2, "guided": 2, "tracking_project": 2,
}  # fmt: skip

#: One of a list, in the path of a field.
PLACES = {"objective": mark("term {number}"), "pairs": mark("pair {number}"), "": mark("item {number}")}

#: What a term is called, and what the student learns by it.
TERMS = {
    "hard": (mark("Hard labels"), mark("the label of each sample, by cross-entropy")),
    "soft": (mark("Soft targets"), mark("what the teacher says of all classes, softened by a temperature")),
    "reverse-kl": (mark("Reverse KL"), mark("the teacher's main answers, not all of them (MiniLLM)")),
    "jsd": (mark("Generalised JSD"), mark("a bounded divergence between forward and reverse KL (GKD)")),
    "decoupled": (mark("Decoupled distillation"), mark("soft targets, with the other classes weighed apart (DKD)")),
    "correlation": (mark("Correlation of outputs"), mark("order and spacing of the outputs, not their values (DIST)")),
    "logits": (mark("Logit matching"), mark("the outputs before the softmax, by squared error")),
    "ensemble": (mark("Several teachers"), mark("what all teachers say of all classes, each with its weight")),
    "mutual": (mark("Mutual learning"), mark("what other students say that train at the same time (DML)")),
    "hint": (mark("Hints"), mark("what layers inside the teacher see (FitNets)")),
    "context": (mark("Hierarchical context"), mark("what maps inside the teacher hold, at several sizes (ReviewKD)")),
    "attention": (mark("Attention maps"), mark("where the teacher looks (AT)")),
    "selectivity": (mark("Neuron selectivity"), mark("which places the teacher's channels respond to (NST)")),
    "flow": (mark("Flow of the solution"), mark("how one layer's channels go with the next one's (FSP)")),
    "cosine": (mark("Directions of features"), mark("where the teacher's vectors point, not how long (DistilBERT)")),
    "distance": (mark("Relational distances"), mark("how far samples are from each other (RKD)")),
    "angle": (mark("Relational angles"), mark("the angles between any three samples (RKD)")),
    "similarity": (mark("Similarity preserving"), mark("which samples excite a layer alike (SP)")),
    "probabilistic": (mark("Probabilistic transfer"), mark("which samples are neighbours (PKT)")),
    "congruence": (mark("Correlation congruence"), mark("errors of neighbouring samples, kept apart (CC)")),
    "variational": (mark("Variational information"), mark("as much of the teacher's features as it can (VID)")),
    "contrastive": (mark("Contrastive representation"), mark("which sample is which, against a memory of all (CRD)")),
    "review": (mark("Knowledge review"), mark("all stages, later ones fused into earlier ones (ReviewKD)")),
    "overhaul": (mark("Overhauled features"), mark("features before the ReLU, with a margin (OFD)")),
    "factor": (mark("Factor transfer"), mark("the teacher's maps in its own short form (FT)")),
    "boundary": (mark("Activation boundaries"), mark("which of the teacher's neurons are active (AB)")),
    "attention-relation": (mark("Attention relations"), mark("which tokens the teacher relates to which (MiniLM)")),
    "attention-score": (mark("Attention scores"), mark("attention before its softmax, head by head (TinyBERT)")),
    "patient": (mark("Patient distillation"), mark("what the teacher makes of a text, layer by layer (PKD)")),
}


def term_words(tag: str, description: str = "") -> tuple[str, str]:
    """What a term is called, and a few words on it."""
    sentence = " ".join(description.split()).split(". ")[0].rstrip(".")
    title, words = TERMS.get(tag, (_label(tag), sentence))
    return tr(title), tr(words)


def term_inside(tag: str) -> str:
    """What a term is called in the middle of a sentence."""
    return _inside(TERMS[tag][0] if tag in TERMS else _label(tag))


def _library(values: dict[str, Any]) -> bool:
    return str(values.get("model", "")).startswith(("timm:", "torchvision:", "transformers:"))


def _own(values: dict[str, Any]) -> bool:
    return _library(values) or ".py" in str(values.get("model", ""))


def _augment(word: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: word in (values.get("augment") or [])


def _optimizer(word: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: values.get("optimizer") == word


def _family(*words: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: str(values.get("model", "")).split("-")[0] in words


#: When a field has an effect, from the values of the model that it belongs to. The others always have.
RELEVANT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "crop_padding": _augment("crop"),
    "jitter_pixels": _augment("jitter"),
    "views": lambda values: bool(values.get("augment")) or values.get("task") == "masked-lm",
    "per_token": lambda values: values.get("vocabulary", "off") != "off",
    "momentum": _optimizer("sgd"),
    "nesterov": _optimizer("sgd"),
    "milestones": lambda values: values.get("schedule") == "multistep",
    "gamma": lambda values: values.get("schedule") == "multistep",
    "sharing": lambda values: values.get("devices", 1) != 1,
    "widths": _family("mlp", "cnn"),
    "dropout": _family("mlp", "cnn", "wrn"),
    "input_dropout": _family("mlp"),
    "args": lambda values: _own(values) or str(values.get("model", "")).startswith("resnet"),
    "pretrained": _library,
    "finetune": lambda values: bool(values.get("pretrained") or values.get("weights")),
    "layers": lambda values: values.get("model") == "from-teacher",
    "mask_share": lambda values: values.get("task") == "masked-lm",
    "stream_tokens": lambda values: bool(values.get("streaming")),
    "streaming": lambda values: values.get("task") not in ("classification", "token-classification"),
    "label": lambda values: values.get("task", "classification") in ("classification", "token-classification"),
    "per_class": lambda values: bool(values.get("balance", True)),
    "weights": lambda values: values.get("weighting", "given") == "given",  # a network's, and those of teachers
    "latency_batch": lambda values: bool(values.get("latency")),
    "repeats": lambda values: bool(values.get("latency")),
}


def label_of(name: str) -> str:
    """The label of a field."""
    label = _label(name)
    return tr(label)


def label_inside(name: str) -> str:
    """The label of a field in the middle of a sentence."""
    return _inside(_label(name))


def _label(name: str) -> str:
    words = LABELS.get(name) or name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _inside(label: str) -> str:
    """English writes a label small inside a sentence; another language as its catalogue has it."""
    found = tr(label)
    return label[:1].lower() + label[1:] if found == label else found


def choice_text(name: str, value: str) -> str:
    """What a choice of a field is called."""
    found = CHOICES.get(name, {}).get(value)
    return tr(found) if found is not None else value


#: Lists are typed without the brackets that they have in YAML.
NO_BRACKETS = str.maketrans("", "", "[]")


def hint_of(description: str, values: dict[str, Any] | None = None) -> str:
    """The usual range: what a description says in brackets. Of several optimizers' ranges, the chosen one's."""
    found = re.findall(r"\(([^()]*)\)", description)
    if (values or {}).get("model") == "cnn":  # what is said of a cnn stands behind what is said of an mlp
        found.reverse()
    for words in found:
        parts = [part for part in words.split("; ") if not part.startswith("empty:")]
        by_name = dict(part.split(": ", 1) for part in parts if re.match(r"(sgd|adamw): ", part))
        chosen = by_name.get(str((values or {}).get("optimizer")))
        if chosen:
            return tr("usual {range}", range=tr(chosen))
        if parts and re.match(r"usual|for example|\d|sgd:|Hinton", parts[0]):
            return "; ".join(map(tr, parts)).translate(NO_BRACKETS)
    return ""


def empty_text(description: str) -> str:
    """What it means that an optional field is empty."""
    found = re.search(r"\(empty: ([^;)]+)", description)
    return tr(found[1]) if found else tr("not set")


def is_relevant(name: str, values: dict[str, Any]) -> bool:
    """Whether a field has an effect beside these values."""
    rule = RELEVANT.get(name)
    return rule is None or rule(values)


def amount(number: float) -> str:
    """A count in few letters: 85 k, 1.23 M."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:,.0f}"


def file_size(size: float) -> str:
    """Bytes in few letters: 340 kB."""
    for letter, unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= unit:
            return f"{size / unit:.3g} {letter}"
    return f"{size:.0f} B"


def times(ratio: float) -> str:
    """A ratio in few letters: 35, 3.6."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def path_text(path: str) -> str:
    """Where a field is, for people: objective.1.temperature is Objective, term 2: Temperature."""
    keys = path.split(".")
    parts: list[str] = []
    for before, key in zip(["", *keys], keys):
        if key.isdigit():
            parts[-1:] = [parts[-1]] if before == "objective" else parts[-1:]
            form = PLACES.get(before, PLACES[""])
            parts.append(tr(form, number=int(key) + 1))
        elif key != "pairs":
            parts.append(label_of(key))
    return parts[0] if len(parts) == 1 else tr("{group}: {field}", group=", ".join(parts[:-1]), field=parts[-1])
